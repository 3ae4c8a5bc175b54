"""Central slices: how many a second, and how far from the exact transform.

    python benchmarks/slices.py

Box 64, one volume, all half-plane samples to Nyquist. The error is against a direct sum over all
voxels, up to 80 % of Nyquist, for white noise in a ball that fills the box (the hardest volume
there is: as much density at the edge as anywhere) and for a protein-like one.
"""

import time

import numba
import numpy as np
from scipy.spatial.transform import Rotation

from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.coordinates.grids import FourierGrids, fourier_samples, voxel_positions
from napari_hypermol.imaging.projector import Placements, adjoint, forward
from napari_hypermol.synthetic.hinge import hinge

BOX, N, ROUNDS = 64, 4000, 5


def grids_of(basis: VoxelBasis, volume: np.ndarray) -> FourierGrids:
    grid = basis.fourier_grid(basis.gather(volume[None].astype(np.float32)))
    return FourierGrids(
        grid.view(np.float32).reshape(-1), np.zeros(1, np.int64), np.array([basis.grid_shape]),
        np.array([basis.grid_origin]), np.array([1]), np.array([basis.grid_scale], np.float32),
    )  # fmt: skip


def main() -> None:
    rng = np.random.default_rng(0)
    positions = voxel_positions(BOX)
    ball = (np.linalg.norm(positions, axis=-1) < BOX / 2).astype(np.float32)
    basis = VoxelBasis(ball, BOX, BOX)
    samples = fourier_samples(BOX, BOX / 2)
    placements = Placements(
        np.zeros(1, np.int64), np.eye(3, dtype=np.float32)[None], np.zeros((1, 3), np.float32),
        np.zeros(1, np.int64),
    )  # fmt: skip
    rotations = Rotation.random(N, rng=rng).as_matrix().astype(np.float32)
    volumes = {
        "white noise in a ball": rng.normal(size=ball.shape) * ball,
        "protein-like": hinge(BOX).components[0].volume(0.3, BOX) * ball,
    }
    inside = samples.shells <= 0.8 * BOX / 2
    for name, volume in volumes.items():
        slices = forward(rotations[:8], grids_of(basis, volume), placements, samples)[:, :, 0]
        where = volume != 0
        errors = []
        for rotation, found in zip(rotations[:8].astype(np.float64), slices, strict=True):
            k = np.stack([samples.kx, samples.ky], axis=1).astype(np.float64) @ rotation[:2]
            exact = np.exp(-2j * np.pi / BOX * (k @ positions[where].T)) @ volume[where] / BOX
            errors.append(np.linalg.norm((found - exact)[inside]) / np.linalg.norm(exact[inside]))
        print(f"relative error to 80 % of Nyquist, {name}: {100 * max(errors):.2f} % (worst of 8)")
    grids = grids_of(basis, volumes["protein-like"])
    values = forward(rotations, grids, placements, samples)
    adjoint(values, rotations, grids, placements, samples)
    forwards, adjoints = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        values = forward(rotations, grids, placements, samples)
        forwards.append(N / (time.perf_counter() - began))
        began = time.perf_counter()
        adjoint(values, rotations, grids, placements, samples)
        adjoints.append(N / (time.perf_counter() - began))
    for name, rates in (("slices", forwards), ("adjoint slices", adjoints)):
        print(
            f"{name}: median {np.median(rates):,.0f}/s, range {min(rates):,.0f} to "
            f"{max(rates):,.0f} ({len(samples.kx)} samples, {numba.get_num_threads()} threads)"
        )


if __name__ == "__main__":
    main()

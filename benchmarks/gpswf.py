"""Prolate functions at c = 50: how long, how much memory, how exact.

    python benchmarks/gpswf.py

A ball of radius 32 in a box of 128, band limit a quarter of a cycle per voxel: 8,780 functions.
Times are medians; the peak is the process', numba and tables included. The error of slices is
against a direct Fourier sum over a quadrature of the ball, for random coefficients and at all
frequencies up to the band limit, in a smaller ball (the sum is slow); voxels beside it.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
from scipy.spatial.transform import Rotation

from napari_hypermol.bases.gpswf import GpswfBasis
from napari_hypermol.bases.gpswf_radial import radial_orders
from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.coordinates.grids import FourierGrids, fourier_samples
from napari_hypermol.imaging.projector import Placements, forward

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from oracles.ball_quadrature import ball_rule, real_harmonics
from oracles.dft import cube_points, slice_of_points

ROUNDS = 5


def seconds(action: Callable[[], object], rounds: int = ROUNDS) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def peak() -> float:
    """Peak memory of the process so far [MiB]."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def slices_of(
    basis: GpswfBasis | VoxelBasis, coefficients: np.ndarray, rotations: np.ndarray, limit: float
) -> np.ndarray:
    stored = basis.fourier_grid(coefficients)
    grids = FourierGrids(
        stored.view(np.float32).reshape(-1), np.zeros(1, np.int64), np.array([basis.grid_shape]),
        np.array([basis.grid_origin]), np.array([1]), np.array([basis.grid_scale], np.float32),
    )  # fmt: skip
    placements = Placements(
        np.zeros(1, np.int64), np.eye(3, dtype=np.float32)[None], np.zeros((1, 3), np.float32),
        np.zeros(1, np.int64),
    )  # fmt: skip
    return forward(rotations, grids, placements, fourier_samples(basis.box_size, limit))[..., 0]


def slice_errors() -> None:
    """Ball of radius 12 that touches its cube, box 32, 80 % of Nyquist."""
    rng = np.random.default_rng(0)
    box, radius, limit = 32, 12, 0.8 * 16
    basis = GpswfBasis(radius, limit, box, 2 * radius, 2 * radius)
    points, weights = ball_rule(radius, int(2 * basis.bandwidth) + 30)
    coefficients = rng.normal(size=(1, basis.n_coefficients)).astype(np.float32)
    density, start = np.zeros(len(points)), 0
    for order in radial_orders(basis.bandwidth, basis.min_eigenvalue):
        n, n_m = order.n_functions, 2 * order.order + 1
        radial = order.evaluate(np.linalg.norm(points, axis=1) / radius) * radius**-1.5
        own = coefficients[0, start : start + n * n_m].reshape(n, n_m)
        density += ((radial @ own) * real_harmonics(order.order, points)).sum(axis=1)
        start += n * n_m
    cube = cube_points(2 * radius)
    mask = (np.linalg.norm(cube, axis=1) <= radius).astype(np.float32)
    voxels = VoxelBasis(mask.reshape((2 * radius,) * 3), 2 * radius, box)
    noise = rng.normal(size=(1, voxels.n_coefficients)).astype(np.float32)
    rotations = Rotation.random(3, rng=rng).as_matrix().astype(np.float32)
    samples = fourier_samples(box, limit)
    frequencies = list(zip(samples.kx, samples.ky, strict=True))
    for name, each, values, where, masses in (
        ("prolate functions", basis, coefficients, points, density * weights),
        ("voxels", voxels, noise, cube, voxels.evaluate(noise).ravel()),
    ):
        errors = []
        found = slices_of(each, values, rotations, limit)
        for rotation, seen in zip(rotations, found, strict=True):
            exact = slice_of_points(where, masses[:, None], rotation, frequencies, box)[:, 0]
            errors.append(np.linalg.norm(seen - exact) / np.linalg.norm(exact))
        print(f"relative error of slices, {name}: {100 * max(errors):.2f} % (worst of 3)")


def main() -> None:
    rng = np.random.default_rng(0)
    limit = 50 * 128 / (2 * np.pi * 32)
    print(f"{numba.get_num_threads()} threads, {peak():.0f} MiB before")
    for bandwidth in (50.0, 250.0):
        with tempfile.TemporaryDirectory() as empty:
            os.environ["HYPERMOL_CACHE"] = empty
            first = seconds(lambda c=bandwidth: radial_orders(c, 0.5), 1)
            again = seconds(lambda c=bandwidth: radial_orders(c, 0.5), 1)
        print(f"radial functions, c = {bandwidth:.0f}: {first:.2f} s, from the cache {again:.3f} s")
    began = time.perf_counter()
    basis = GpswfBasis(32, limit, 128, 64, 64)
    basis._grid_profiles, basis._radial_values(64)
    took = time.perf_counter() - began
    print(f"c = {basis.bandwidth:.1f}: {basis.n_coefficients} functions, all tables {took:.2f} s")
    print(f"Shannon number {basis.shannon_number:.0f}")
    for n_q in (1, 5):
        a = rng.normal(size=(n_q, basis.n_coefficients)).astype(np.float32)
        grid, cubes = basis.fourier_grid(a), basis.evaluate(a)
        basis.fourier_grid_adjoint(grid), basis.evaluate_adjoint(cubes)
        actions = {
            "to the Fourier grid": lambda a=a: basis.fourier_grid(a),
            "its adjoint": lambda grid=grid: basis.fourier_grid_adjoint(grid),
            "to voxels": lambda a=a: basis.evaluate(a),
            "its adjoint ": lambda cubes=cubes: basis.evaluate_adjoint(cubes),
            "expand": lambda cubes=cubes: basis.expand(cubes),
        }
        told = ", ".join(f"{name.strip()} {seconds(act):.3f} s" for name, act in actions.items())
        print(f"Q = {n_q}: {told}; peak {peak():.0f} MiB")
    slice_errors()


if __name__ == "__main__":
    main()

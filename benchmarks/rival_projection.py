"""Slices and projection images a second on one volume, ours beside other programs'."""

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rival_homes import MissingRival, home_of, run
from scipy.spatial.transform import Rotation

from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.coordinates.euler import relion_angles_from_rotations
from napari_hypermol.coordinates.grids import (
    FourierGrids,
    FourierSamples,
    fourier_samples,
    voxel_positions,
)
from napari_hypermol.imaging.projector import Placements, forward
from napari_hypermol.imaging.restoration import image_from_samples
from napari_hypermol.imaging.view_order import view_order
from napari_hypermol.io import write_volume
from napari_hypermol.io.mrc import write_stack
from napari_hypermol.io.star import write_star
from napari_hypermol.synthetic.hinge import hinge

__all__ = ["projection"]

Float32 = NDArray[np.float32]
ROUNDS = 5
CHUNK = 500  # images on their way from slices to the file
PIXEL_SIZE = 3.0  # [Å]
SNIPPETS = Path(__file__).resolve().parent / "rivals"


class Ours:
    """One volume, ready to be sliced."""

    def __init__(self, volume: Float32) -> None:
        box = len(volume)
        ball = (np.linalg.norm(voxel_positions(box), axis=-1) < box / 2).astype(np.float32)
        basis = VoxelBasis(ball, box, box)
        grid = basis.fourier_grid(basis.gather((volume * ball)[None]))
        self.grids = FourierGrids(
            grid.view(np.float32).reshape(-1), np.zeros(1, np.int64), np.array([basis.grid_shape]),
            np.array([basis.grid_origin]), np.array([1]), np.array([basis.grid_scale], np.float32),
        )  # fmt: skip
        self.placements = Placements(
            np.zeros(1, np.int64), np.eye(3, dtype=np.float32)[None],
            np.zeros((1, 3), np.float32), np.zeros(1, np.int64),
        )  # fmt: skip
        self.samples: FourierSamples = fourier_samples(box, box / 2)

    def slices(self, rotations: Float32) -> NDArray[np.complex64]:
        """(n, k) samples to Nyquist."""
        return forward(rotations, self.grids, self.placements, self.samples)[:, :, 0]

    def slice_rate(self, rotations: Float32) -> float:
        began = time.perf_counter()
        for start in range(0, len(rotations), CHUNK):
            self.slices(rotations[start : start + CHUNK])
        return len(rotations) / (time.perf_counter() - began)

    def image_rate(self, rotations: Float32, path: Path) -> float:
        """Slices, inverse transforms, and a new file of them all, in the order of the rotations."""
        box = self.samples.box_size
        path.unlink(missing_ok=True)
        began = time.perf_counter()
        images = np.empty((len(rotations), box, box), np.float32)
        order = view_order(rotations)
        for start in range(0, len(rotations), CHUNK):
            part = order[start : start + CHUNK]
            image_from_samples(self.slices(rotations[part]), self.samples, images, part)
        write_stack(path, images, PIXEL_SIZE)
        return len(rotations) / (time.perf_counter() - began)


def _in_its_own(
    name: str, snippet: str, folder: Path, homes: Path
) -> tuple[dict[str, float], str | None]:
    """Rates that a snippet prints, or why there are none."""
    try:
        python = home_of(name, homes) / "python"
        words = run(
            python, "-W", "ignore", SNIPPETS / snippet, folder / "volume.npy",
            folder / "rotations.npy", ROUNDS, cwd=folder,
        )  # fmt: skip
    except MissingRival as missing:
        return {}, str(missing)
    except subprocess.CalledProcessError as error:
        return {}, _failure(error)
    return json.loads(words[1].strip().splitlines()[-1]), None


def _relion(rotations: Float32, folder: Path, homes: Path) -> tuple[dict[str, float], str | None]:
    """Images a second of relion_project, its start and its reading of the map taken off."""
    try:
        home = home_of("relion", homes)
    except MissingRival as missing:
        return {}, str(missing)
    rates = []
    try:
        for _ in range(ROUNDS):
            seconds = []
            for n in (1, len(rotations)):
                angles = _angles(rotations[:n], len(np.load(folder / "volume.npy", "r")))
                write_star(folder / "angles.star", angles, overwrite=True)
                seconds.append(
                    run(
                        home / "relion_project", "--i", "volume.mrc", "--o", "projected", "--ang",
                        "angles.star", "--angpix", PIXEL_SIZE, cwd=folder,
                    )[0].wall
                )  # fmt: skip
            rates.append((len(rotations) - 1) / (seconds[1] - seconds[0]))
    except subprocess.CalledProcessError as error:
        return {}, _failure(error)
    return {"images": float(np.median(rates))}, None


def _failure(error: subprocess.CalledProcessError) -> str:
    return f"failed: {(error.stdout or str(error)).strip().splitlines()[-1]}"


def _angles(rotations: Float32, box: int) -> dict[str, pd.DataFrame]:
    """The table that relion_project reads; it asks for names and optics, and uses neither."""
    rot, tilt, psi = relion_angles_from_rotations(rotations.astype(np.float64)).T
    names = [f"{i + 1:06d}@none.mrcs" for i in range(len(rotations))]
    particles = {"rlnImageName": names, "rlnAngleRot": rot, "rlnAngleTilt": tilt}
    particles |= {"rlnAnglePsi": psi, "rlnOpticsGroup": 1}
    optics = {
        "rlnOpticsGroup": [1], "rlnOpticsGroupName": ["one"], "rlnVoltage": [300.0],
        "rlnSphericalAberration": [2.7], "rlnAmplitudeContrast": [0.1],
        "rlnImagePixelSize": [PIXEL_SIZE], "rlnImageSize": [box], "rlnImageDimensionality": [2],
    }  # fmt: skip
    return {"optics": pd.DataFrame(optics), "particles": pd.DataFrame(particles)}


def projection(box: int, n: int, homes: Path, wanted: Sequence[str]) -> None:
    """Print rates and ratios at one box, of the programs that are wanted."""
    rng = np.random.default_rng(0)
    rotations = Rotation.random(n, rng=rng).as_matrix().astype(np.float32)
    volume = hinge(box).components[0].volume(0.3, box).astype(np.float32)
    threads = numba.get_num_threads()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        np.save(folder / "volume.npy", volume)
        np.save(folder / "rotations.npy", rotations)
        write_volume(folder / "volume.mrc", volume, PIXEL_SIZE)
        ours = Ours(volume)
        image_from_samples(ours.slices(rotations[:2]), ours.samples)

        def own(kind: str) -> float:
            """Median rate, taken anew beside each rival: machines drift."""
            if kind == "slices":
                return float(np.median([ours.slice_rate(rotations) for _ in range(ROUNDS)]))
            path = folder / "ours.mrcs"
            return float(np.median([ours.image_rate(rotations, path) for _ in range(ROUNDS)]))

        print(f"\nbox {box}, {n} rotations, {threads} threads; a second")
        rivals = (
            ("RECOVAR", "linear_interp", "slices", "recovar_slices.py"),
            ("RECOVAR", "cubic", "slices", "recovar_slices.py"),
            ("RELION relion_project", "images", "images", None),
            ("ASPIRE", "images", "images", "aspire_projections.py"),
        )
        found: dict[str, tuple[dict[str, float], str | None]] = {}
        for name, key, kind, snippet in rivals:
            program = name.split()[0].lower()
            if program not in wanted:
                continue
            before = own(kind)
            if program not in found:
                found[program] = (
                    _relion(rotations, folder, homes)
                    if snippet is None
                    else _in_its_own(program, snippet, folder, homes)
                )
            rates, why = found[program]
            mine = 0.5 * (before + own(kind))
            if why is not None:
                print(f"  {name:22} {kind:7} skipped: {why}; ours {mine:,.0f}")
                continue
            label = f"{kind} ({key})" if key != kind else kind
            print(
                f"  {name:22} {label:23} {rates[key]:9,.0f}   ours {mine:9,.0f}   "
                f"ratio {mine / rates[key]:.2f}",
                flush=True,
            )
        numba.set_num_threads(1)  # relion_project has one
        path = folder / "ours.mrcs"
        single = float(np.median([ours.image_rate(rotations, path) for _ in range(ROUNDS)]))
        numba.set_num_threads(threads)
        rate = found["relion"][0].get("images") if "relion" in found else None
        told = "" if rate is None else f", {single / rate:.2f} times relion_project's"
        print(f"  ours with slices on one thread: {single:,.0f} images{told}", flush=True)

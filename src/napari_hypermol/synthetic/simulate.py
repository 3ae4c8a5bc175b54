"""A particle stack of one of the toy molecules, with its truth beside it.

Writes what RELION would have written after extraction (3.1 STAR, .mrcs), and apart from it what
nobody knows of real data: states and contrasts (truth.star), the true molecule (truth/).
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_hypermol.coordinates.fourier import half_plane_to_image
from napari_hypermol.coordinates.grids import FourierSamples
from napari_hypermol.errors import HypermolError, OutputExistsError
from napari_hypermol.imaging.ctf import contrast_transfer
from napari_hypermol.imaging.shift import shift_phases
from napari_hypermol.io.mrc import read_volume, write_stack
from napari_hypermol.io.relion_poses import pose_columns
from napari_hypermol.io.stack import images_in_memory
from napari_hypermol.io.star import write_star
from napari_hypermol.particles import Defocus, Latents, Optics, Particles
from napari_hypermol.synthetic.cat import cat
from napari_hypermol.synthetic.clam import clam
from napari_hypermol.synthetic.classes import classes
from napari_hypermol.synthetic.gaussians import GaussianMolecule
from napari_hypermol.synthetic.hinge import hinge
from napari_hypermol.synthetic.kinase import kinase
from napari_hypermol.synthetic.occupancies import OCCUPANCIES, draw_states
from napari_hypermol.synthetic.pose_errors import with_errors
from napari_hypermol.synthetic.pretzel import pretzel
from napari_hypermol.synthetic.recipes import components_of, whole_of
from napari_hypermol.synthetic.rigid_volume import is_map, read_rigid_volume
from napari_hypermol.synthetic.truth_folder import Projected, WrittenMolecule, write_truth
from napari_hypermol.synthetic.wheel import wheel

__all__ = [
    "MOLECULES",
    "Poses",
    "Simulation",
    "own_box",
    "simulate",
    "simulated_particles",
]

MOLECULES = {
    "cat": cat,
    "hinge": hinge,
    "kinase": kinase,
    "pretzel": pretzel,
    "wheel": wheel,
    "clam": clam,
    "classes": classes,
}
_CHUNK = 256  # images made at once
_TOY_BOX = (64, 3.0)  # pixels, and the edge of one [Å]

Poses = Literal["true", "none"]


class Simulation(NamedTuple):
    """What to simulate; see `simulate`, and the ``simulate`` command for defaults."""

    molecule: str
    n: int = 4000
    box_size: int = 64
    pixel_size: float = 3.0
    snr: float = 0.1
    shift_std: float = 2.0
    contrast_std: float = 0.1
    seed: int = 0
    occupancy: str = "uniform"
    pose_error: float = 0.0
    shift_error: float = 0.0
    poses: Poses = "true"


class _Draws(NamedTuple):
    """True latents, and the poses that are told."""

    rotations: NDArray[np.float64]
    shifts: NDArray[np.float64]
    told_rotations: NDArray[np.float64]
    told_shifts: NDArray[np.float64]
    contrasts: NDArray[np.float64]
    states: NDArray[np.float64]
    defocus: Defocus


def simulate(plan: Simulation, out: Path, overwrite: bool = False) -> Path:
    """Simulate a particle stack.

    Parameters
    ----------
    plan : Simulation
        ``molecule`` one of `MOLECULES`, or a map file, of a rigid molecule. ``shift_std`` in
        pixels, ``snr`` the variance of the clean images (after the CTF, over all pixels) over that
        of the noise, ``contrast_std`` the relative spread of contrasts, ``occupancy`` how the
        continuous states are distributed.

        ``pose_error`` [degrees] is the root mean square angle by which rotations in the particle
        file are off, ``shift_error`` [pixels] the standard deviation of the error of each
        coordinate of a shift; see `pose_errors`.
        ``poses``: "none" leaves angles and origins out of the particle file. The images are the
        same whatever these three say, and truth.star has the true poses.
    out : Path
        Folder to make.
    overwrite : bool
        Write into a folder that exists.

    Returns
    -------
    Path
        The particle STAR file.

    Raises
    ------
    HypermolError
        If the plan is impossible; `OutputExistsError` if `out` exists.
    """
    _check(plan)
    if out.exists() and not overwrite:
        raise OutputExistsError(f"{out}: exists already; choose another folder or --overwrite")
    molecule = _molecule(plan)
    if plan.occupancy != "uniform" and all(c.populations for c in molecule.components):
        raise HypermolError(
            f"--occupancy {plan.occupancy}: {plan.molecule} has classes, with populations of "
            "their own; leave it out"
        )
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(plan.seed)
    draws = _draw(plan, molecule, rng)
    images, noise_std = _images(plan, molecule, draws, rng)
    write_stack(out / "particles.mrcs", images, plan.pixel_size, overwrite=True)
    _write_tables(plan, draws, out)
    write_truth(
        molecule, (plan.box_size, plan.pixel_size), noise_std, out / "truth", plan.occupancy
    )
    recipe = {"particles": "particles.star", **_recipe(plan, molecule), "seed": plan.seed}
    (out / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return out / "particles.star"


def own_box(molecule: str) -> tuple[int, float | None]:
    """Box of a molecule [pixels], and the edge of a pixel [Å]: a toy's usual one, or its map's.

    The edge is None where a map does not say it.
    """
    if not is_map(molecule):
        return _TOY_BOX
    volume = read_volume(molecule)
    return volume.values.shape[-1], volume.pixel_size


def simulated_particles(plan: Simulation, molecule: Projected) -> tuple[Particles, Latents]:
    """A particle stack of any molecule, in memory, with its truth.

    Parameters
    ----------
    plan : Simulation
        ``molecule`` is not looked at.
    molecule : Projected

    Returns
    -------
    particles : Particles
        Noise of unit variance; the molecule is scaled to that.
    latents : Latents
        The true ones.
    """
    rng = np.random.default_rng(plan.seed)
    draws = _draw(plan, molecule, rng)
    images, _ = _images(plan, molecule, draws, rng)
    particles = Particles(
        images=images_in_memory(images),
        pixel_size=plan.pixel_size,
        optics=_optics(),
        optics_group=np.zeros(plan.n, dtype=np.int64),
        defocus=draws.defocus,
        rotations=draws.told_rotations if plan.poses == "true" else None,
        shifts=draws.told_shifts if plan.poses == "true" else np.zeros_like(draws.shifts),
        half_sets=None,
    )
    return particles, Latents(draws.rotations, draws.shifts, draws.contrasts, draws.states)


def _molecule(plan: Simulation) -> WrittenMolecule:
    if is_map(plan.molecule):
        return read_rigid_volume(Path(plan.molecule), plan.box_size)
    return MOLECULES[plan.molecule](plan.box_size)


def _check(plan: Simulation) -> None:
    if plan.molecule not in MOLECULES and not is_map(plan.molecule):
        raise HypermolError(
            f"molecule {plan.molecule!r}: expected {' or '.join(MOLECULES)}, or an .mrc map"
        )
    for name, value, least in (
        ("--n", plan.n, 1), ("--box", plan.box_size, 16), ("--pixel-size", plan.pixel_size, 1e-3),
        ("--snr", plan.snr, 1e-6), ("--shift-std", plan.shift_std, 0),
        ("--contrast-std", plan.contrast_std, 0), ("--pose-error", plan.pose_error, 0),
        ("--shift-error", plan.shift_error, 0),
    ):  # fmt: skip
        if not (np.isfinite(value) and value >= least):
            raise HypermolError(f"{name} {value}: expected at least {least}")
    if plan.occupancy not in OCCUPANCIES:
        raise HypermolError(f"--occupancy {plan.occupancy}: expected {' or '.join(OCCUPANCIES)}")
    if plan.poses not in get_args(Poses):
        raise HypermolError(f"poses {plan.poses!r}: expected {' or '.join(get_args(Poses))}")
    if plan.poses == "none" and (plan.pose_error or plan.shift_error):
        raise HypermolError(
            "--no-poses: leaves no poses for --pose-error and --shift-error; leave those out"
        )


def _draw(plan: Simulation, molecule: Projected, rng: np.random.Generator) -> _Draws:
    n = plan.n
    u = rng.uniform(1.0e4, 2.5e4, n)
    zeros = np.zeros(n)
    defocus = Defocus(
        u=u, v=u - rng.uniform(0, 400, n), angle=rng.uniform(0, np.pi, n),
        phase_shift=zeros, b_factor=zeros, scale=np.ones(n),
    )  # fmt: skip
    rotations = np.asarray(Rotation.random(n, rng=rng).as_matrix())
    shifts = rng.normal(scale=plan.shift_std * plan.pixel_size, size=(n, 2))
    told_rotations, told_shifts = _told_poses(plan, rotations, shifts)
    draws = _Draws(
        rotations=rotations,
        shifts=shifts,
        told_rotations=told_rotations,
        told_shifts=told_shifts,
        contrasts=np.maximum(rng.normal(1.0, plan.contrast_std, n), 0.1),
        states=rng.uniform(size=(n, molecule.dims)),
        defocus=defocus,
    )
    if not isinstance(molecule, GaussianMolecule):
        return draws
    states = draws.states.copy()
    moving = [component for component in molecule.components if component.has_state]
    for column, component in enumerate(moving):
        states[:, column] = draw_states(component, plan.occupancy, states[:, column])
    return draws._replace(states=states)


def _told_poses(
    plan: Simulation, rotations: NDArray[np.float64], shifts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotations and shifts with their errors, which are drawn apart from everything else."""
    (seed,) = np.random.SeedSequence(plan.seed).spawn(1)
    rng = np.random.default_rng(seed)
    return with_errors(rotations, plan.pose_error, shifts, plan.shift_error * plan.pixel_size, rng)


def _optics() -> Optics:
    return Optics(("o1",), np.array([300.0]), np.array([2.7e7]), np.array([0.1]), np.array([False]))


def _images(
    plan: Simulation, molecule: Projected, draws: _Draws, rng: np.random.Generator
) -> tuple[NDArray[np.float32], float]:
    """Noisy images with noise of unit variance, and the noise before that scaling."""
    n, size = plan.n, plan.box_size
    samples = _whole_plane(size)
    shape = (size, size)
    images = np.empty((n, *shape), dtype=np.float32)
    for start in range(0, n, _CHUNK):
        rows = slice(start, min(start + _CHUNK, n))
        ft = molecule.projections_ft(draws.rotations[rows], draws.states[rows], size)
        defocus = Defocus(*(column[rows] for column in draws.defocus))
        groups = np.zeros(len(ft), dtype=np.int64)
        factor = contrast_transfer(_optics(), groups, defocus, samples, plan.pixel_size)
        factor = factor * shift_phases(draws.shifts[rows], samples, plan.pixel_size)
        factor = factor * draws.contrasts[rows][:, None]
        images[rows] = half_plane_to_image(ft * factor.reshape(ft.shape), shape)
    noise_std = float(np.sqrt(images.var(axis=(1, 2), dtype=np.float64).mean() / plan.snr))
    images /= noise_std
    for image in images:
        image += rng.standard_normal(shape, dtype=np.float32)
    return images, noise_std


def _whole_plane(size: int) -> FourierSamples:
    """Every entry of the half plane, Nyquist included, in the order of the array."""
    rows, columns = np.mgrid[0:size, 0 : size // 2 + 1].reshape(2, -1)
    ky = (rows + size // 2) % size - size // 2
    ones = np.ones(len(rows), dtype=np.float32)
    return FourierSamples(
        size, float(size), columns.astype(np.float32), ky.astype(np.float32), ones,
        np.rint(np.hypot(columns, ky)).astype(np.int64), rows, columns,
    )  # fmt: skip


def _write_tables(plan: Simulation, draws: _Draws, out: Path) -> None:
    optics = pd.DataFrame(
        {
            "rlnOpticsGroup": [1], "rlnOpticsGroupName": ["o1"], "rlnVoltage": [300.0],
            "rlnSphericalAberration": [2.7], "rlnAmplitudeContrast": [0.1],
            "rlnImagePixelSize": [plan.pixel_size],
            "rlnMicrographOriginalPixelSize": [plan.pixel_size],
            "rlnImageSize": [plan.box_size], "rlnImageDimensionality": [2],
        }
    )  # fmt: skip
    rest: dict[str, Any] = {
        "rlnDefocusU": draws.defocus.u, "rlnDefocusV": draws.defocus.v,
        "rlnDefocusAngle": np.degrees(draws.defocus.angle), "rlnPhaseShift": 0.0,
        "rlnOpticsGroup": 1, "rlnRandomSubset": np.arange(plan.n) % 2 + 1,
    }  # fmt: skip
    names = {"rlnImageName": [f"{i + 1:06d}@particles.mrcs" for i in range(plan.n)]}
    told = {}
    if plan.poses == "true":
        told = pose_columns(draws.told_rotations, draws.told_shifts)
    table = pd.DataFrame(names | told | rest)
    write_star(out / "particles.star", {"optics": optics, "particles": table}, overwrite=True)
    table = pd.DataFrame(names | pose_columns(draws.rotations, draws.shifts) | rest)
    for column, states in enumerate(draws.states.T):
        table[f"trueState{column + 1}"] = states
    table["trueContrast"] = draws.contrasts
    write_star(out / "truth.star", {"optics": optics, "particles": table}, overwrite=True)


def _recipe(plan: Simulation, molecule: WrittenMolecule) -> dict[str, object]:
    """The recipe a scientist would write for this molecule and these poses."""
    poses = "known"
    if plan.poses == "none":
        poses = "search"
    elif plan.pose_error or plan.shift_error:
        poses = "refine"
    latents = {"rotation": poses, "shift": poses, "contrast": "refine"}
    name = molecule.components[0].name if is_map(plan.molecule) else plan.molecule
    unit = plan.pixel_size * plan.box_size / 64
    components = components_of(name, unit)
    if plan.poses == "none" and len(components) > 1:  # parts have no place before there are poses
        components = whole_of(molecule.dims, unit)
    return {"components": components, "latents": latents, "schedule": "auto"}

"""A particle stack of one of the toy molecules, with its truth beside it.

Writes what RELION would have written after extraction (3.1 STAR, .mrcs), and apart from it what
nobody knows of real data: states and contrasts (truth.star), the true molecule (truth/).
"""

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_hypermol.coordinates.euler import relion_angles_from_rotations
from napari_hypermol.coordinates.fourier import half_plane_to_image
from napari_hypermol.coordinates.grids import FourierSamples
from napari_hypermol.errors import HypermolError, OutputExistsError
from napari_hypermol.imaging.ctf import contrast_transfer
from napari_hypermol.imaging.shift import shift_phases
from napari_hypermol.io.mrc import write_stack, write_volume
from napari_hypermol.io.stack import images_in_memory
from napari_hypermol.io.star import write_star
from napari_hypermol.particles import Defocus, Latents, Optics, Particles
from napari_hypermol.synthetic.cat import cat
from napari_hypermol.synthetic.clam import clam
from napari_hypermol.synthetic.classes import classes
from napari_hypermol.synthetic.gaussians import GaussianComponent, GaussianMolecule
from napari_hypermol.synthetic.hinge import hinge
from napari_hypermol.synthetic.occupancies import OCCUPANCIES, draw_states
from napari_hypermol.synthetic.pretzel import pretzel
from napari_hypermol.synthetic.recipes import components_of
from napari_hypermol.synthetic.wheel import wheel

__all__ = ["MOLECULES", "Projected", "Simulation", "simulate", "simulated_particles"]

MOLECULES = {
    "cat": cat,
    "hinge": hinge,
    "pretzel": pretzel,
    "wheel": wheel,
    "clam": clam,
    "classes": classes,
}
TRUTH_STATES = 21  # states at which the true maps are written; 5 % of the range apart
_CHUNK = 256  # images made at once


class Simulation(NamedTuple):
    """What to simulate; see the ``simulate`` command for units and defaults."""

    molecule: str
    n: int = 4000
    box_size: int = 64
    pixel_size: float = 3.0
    snr: float = 0.1
    shift_std: float = 2.0
    contrast_std: float = 0.1
    seed: int = 0
    occupancy: str = "uniform"


class Projected(Protocol):
    """A molecule as the simulation sees it."""

    @property
    def dims(self) -> int:
        """Number of state coordinates."""
        ...

    def projections_ft(
        self, rotations: NDArray[np.float64], states: NDArray[np.float64], box_size: int
    ) -> NDArray[np.complex64]:
        """Unitary transforms of projections on the whole half plane; (n, y, x // 2 + 1)."""
        ...


class _Draws(NamedTuple):
    rotations: NDArray[np.float64]
    shifts: NDArray[np.float64]
    contrasts: NDArray[np.float64]
    states: NDArray[np.float64]
    defocus: Defocus


def simulate(plan: Simulation, out: Path, overwrite: bool = False) -> Path:
    """Simulate a particle stack.

    Parameters
    ----------
    plan : Simulation
        ``shift_std`` in pixels, ``snr`` the variance of the clean images (after the CTF, over
        all pixels) over that of the noise, ``contrast_std`` the relative spread of contrasts,
        ``occupancy`` how the continuous states are distributed.
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
    molecule = MOLECULES[plan.molecule](plan.box_size)
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
    _write_truth(plan, molecule, noise_std, out)
    recipe = {"particles": "particles.star", **_recipe(plan), "seed": plan.seed}
    (out / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return out / "particles.star"


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
        rotations=draws.rotations,
        shifts=draws.shifts,
        half_sets=None,
    )
    return particles, Latents(draws.rotations, draws.shifts, draws.contrasts, draws.states)


def _check(plan: Simulation) -> None:
    if plan.molecule not in MOLECULES:
        raise HypermolError(f"molecule {plan.molecule!r}: expected {' or '.join(MOLECULES)}")
    for name, value, least in (
        ("--n", plan.n, 1), ("--box", plan.box_size, 16), ("--pixel-size", plan.pixel_size, 1e-3),
        ("--snr", plan.snr, 1e-6), ("--shift-std", plan.shift_std, 0),
        ("--contrast-std", plan.contrast_std, 0),
    ):  # fmt: skip
        if not (np.isfinite(value) and value >= least):
            raise HypermolError(f"{name} {value}: expected at least {least}")
    if plan.occupancy not in OCCUPANCIES:
        raise HypermolError(f"--occupancy {plan.occupancy}: expected {' or '.join(OCCUPANCIES)}")


def _draw(plan: Simulation, molecule: Projected, rng: np.random.Generator) -> _Draws:
    n = plan.n
    u = rng.uniform(1.0e4, 2.5e4, n)
    zeros = np.zeros(n)
    defocus = Defocus(
        u=u, v=u - rng.uniform(0, 400, n), angle=rng.uniform(0, np.pi, n),
        phase_shift=zeros, b_factor=zeros, scale=np.ones(n),
    )  # fmt: skip
    draws = _Draws(
        rotations=np.asarray(Rotation.random(n, rng=rng).as_matrix()),
        shifts=rng.normal(scale=plan.shift_std * plan.pixel_size, size=(n, 2)),
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
    angles = relion_angles_from_rotations(draws.rotations)
    table = pd.DataFrame(
        {
            "rlnImageName": [f"{i + 1:06d}@particles.mrcs" for i in range(plan.n)],
            "rlnAngleRot": angles[:, 0], "rlnAngleTilt": angles[:, 1], "rlnAnglePsi": angles[:, 2],
            "rlnOriginXAngst": -draws.shifts[:, 0], "rlnOriginYAngst": -draws.shifts[:, 1],
            "rlnDefocusU": draws.defocus.u, "rlnDefocusV": draws.defocus.v,
            "rlnDefocusAngle": np.degrees(draws.defocus.angle), "rlnPhaseShift": 0.0,
            "rlnOpticsGroup": 1, "rlnRandomSubset": np.arange(plan.n) % 2 + 1,
        }
    )  # fmt: skip
    write_star(out / "particles.star", {"optics": optics, "particles": table}, overwrite=True)
    for column, states in enumerate(draws.states.T):
        table[f"trueState{column + 1}"] = states
    table["trueContrast"] = draws.contrasts
    write_star(out / "truth.star", {"optics": optics, "particles": table}, overwrite=True)


def _write_truth(plan: Simulation, molecule: GaussianMolecule, noise_std: float, out: Path) -> None:
    """True maps of every component at `TRUTH_STATES` states, on the scale of the images."""
    folder = out / "truth"
    folder.mkdir(exist_ok=True)
    listing = []
    for component in molecule.components:
        names = []
        states = _map_states(component)
        for index, state in enumerate(states):
            name = component.name + (f"_{index:02d}.mrc" if component.has_state else ".mrc")
            volume = component.volume(float(state), plan.box_size) / np.float32(noise_std)
            write_volume(folder / name, volume, plan.pixel_size, overwrite=True)
            names.append(name)
        entry: dict[str, object] = {"name": component.name, "volumes": names}
        if component.has_state:
            entry |= {"kind": component.kind, "states": [round(float(s), 6) for s in states]}
            entry |= _distribution(component, plan.occupancy)
        listing.append(entry)
    facts: dict[str, object] = {"components": listing, "occupancy": plan.occupancy}
    if molecule.hinge is not None:
        facts["hinge"] = {
            "component": molecule.hinge.component,
            "axis": [round(v, 6) for v in molecule.hinge.axis],
            "pivot": [round(v * plan.pixel_size, 4) for v in molecule.hinge.pivot],
            "angles": list(molecule.hinge.angles),
        }
    (folder / "truth.yaml").write_text(yaml.safe_dump(facts, sort_keys=False))


def _map_states(component: GaussianComponent) -> NDArray[np.float64]:
    """Where true maps are written: over the whole range, both ends; in every class; or once."""
    if not component.has_state:
        return np.zeros(1)
    if component.kind == "class":
        return (np.arange(len(component.populations)) + 0.5) / len(component.populations)
    return np.linspace(0, 1, TRUTH_STATES)


def _distribution(component: GaussianComponent, occupancy: str) -> dict[str, object]:
    """The true distribution of a state: shares of classes, or a mixture of Beta densities."""
    if component.kind == "class":
        return {"populations": list(component.populations)}
    return {"betas": [list(entry) for entry in OCCUPANCIES[occupancy]]}


def _recipe(plan: Simulation) -> dict[str, object]:
    """The recipe a scientist would write for this molecule."""
    latents = {"rotation": "known", "shift": "known", "contrast": "refine"}
    components = components_of(plan.molecule, plan.pixel_size * plan.box_size / 64)
    return {"components": components, "latents": latents, "schedule": "auto"}

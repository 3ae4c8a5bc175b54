"""What poses are proposed from: where each particle is thought to be, and how well it is told.

The shape is that of `posterior.pose_information` at a band limit and a map, the centre a mean of
what that says and of the poses the chain has been at since. Both follow the map while it is sought;
for draws from a posterior they are frozen after the warm-up.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import as_numpy
from napari_hypermol.coordinates.rotations import turn_between, turned
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior import pose_information_cuda
from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.posterior.pose_information import PoseInformation, pose_information
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.device_images import DeviceImages
from napari_hypermol.runs.pieces import joined
from napari_hypermol.runs.remote_images import RemoteImages
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.whitening import rows_of
from napari_hypermol.samplers.pose_metropolis import PoseGuide

__all__ = ["Guide", "fresh_guide", "guide_from", "guide_of", "state_functions"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]
_SAYS = 3.0  # poses of the chain that the mode of the normal approximation is worth
_REMEMBERED = 6.0  # of the poses before a guide was made anew
_NARROWEST = 1e-4  # [rad] standard deviation
_FURTHEST = 0.3  # [rad] that the mode may lie from the pose: farther it is no more than a direction
# Sweeps in a stage whose map is still moving; the first guide is made farther off, and worse.
_LASTS, _FIRST_LASTS = 6, 2
_CHUNK = 16384  # particles at once, which need 2 KB each for a while


class Guide(NamedTuple):
    """Of all particles, with what it takes to go on from it.

    Attributes
    ----------
    poses : PoseGuide
    weight : float
        Poses that its centres are the mean of.
    age : int
        Sweeps since its shapes were found.
    """

    poses: PoseGuide
    weight: float
    age: int = 0

    @property
    def is_stale(self) -> bool:
        """Whether a map that moves has left it behind."""
        is_first = self.weight == _SAYS + self.age
        return self.age >= (_FIRST_LASTS if is_first else _LASTS)

    def followed(self, rotations: Float) -> "Guide":
        """With the rotations (n, 3, 3) of one more sweep in the mean."""
        toward = turn_between(self.poses.centres, rotations) / (self.weight + 1)
        centres = turned(self.poses.centres, toward).astype(np.float32)
        return Guide(self.poses._replace(centres=centres), self.weight + 1, self.age + 1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For the disk."""
        arrays: dict[str, NDArray[Any]] = {
            f"guide_{name}": value for name, value in self.poses._asdict().items()
        }
        return arrays | {"guide_facts": np.array([self.weight, self.age])}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> "Guide | None":
        """From the disk; None where there was none."""
        if "guide_facts" not in arrays:
            return None
        weight, age = arrays["guide_facts"]
        poses = PoseGuide(*(arrays[f"guide_{name}"] for name in PoseGuide._fields))
        return cls(poses, float(weight), int(age))


def fresh_guide(
    problem: StageProblem,
    estimate: Estimate,
    prior: PosePrior,
    contrasts: Float64 | None = None,
    states: Float64 | None = None,
    temperature: float = 1.0,
    is_shift_known: bool = False,
    last: Guide | None = None,
) -> Guide:
    """A guide from the images at their present poses, and from the poses of the last one.

    Parameters
    ----------
    problem : StageProblem
    estimate : Estimate
    prior : PosePrior
    contrasts : (n,) float ndarray or None
        None: 1.
    states : (n, d) float ndarray or None
        Of all components side by side; None: the middle.
    temperature : float
        Factor on the log likelihood.
    is_shift_known : bool
    last : Guide or None
    """
    n, molecule = len(problem.shifts), problem.molecule
    dims = sum(len(molecule.kinds(m)) for m in range(len(molecule.components)))
    if states is None or states.shape[1] < dims:  # before there are any, or fewer
        states = np.full((n, dims), 0.5)
    states = states[:, :dims]
    shifts = problem.shifts / problem.pixel_size
    if is_shift_known:
        prior = prior._replace(shifts=shifts, shift_precision=1e9)
    contrasts = np.ones(n) if contrasts is None else contrasts
    std = float(estimate.contrast_std)
    images, grids = problem.images, problem.scene(estimate.theta)
    sizes = len(problem.placements.grids), sum(molecule.n_functions), dims
    is_there = pose_information_cuda.is_possible(*sizes)
    if isinstance(images, RemoteImages):
        own = shifts, prior, contrasts, *state_functions(molecule, states)
        device = None if is_there else "cpu"
        said = joined(images.each(pose_information, own, (*grids, std, temperature), device=device))
    elif isinstance(images, DeviceImages) and is_there:
        spread = shifts, prior, contrasts, states
        said = joined(images.each(_said_of, spread, (molecule, *grids, std, temperature)))
    else:
        _, images = problem.here()
        here, pieces = problem.grids(estimate.theta), []
        for begin in range(0, n, _CHUNK):
            part = slice(begin, begin + _CHUNK)
            about = prior._replace(rotations=prior.rotations[part], shifts=prior.shifts[part])
            pieces.append(
                pose_information(
                    rows_of(images, part), shifts[part], about, contrasts[part],
                    *state_functions(molecule, states[part]), here, problem.placements,
                    problem.samples, std, temperature,
                )
            )  # fmt: skip
        said = joined(pieces)
    guide = guide_from(said, problem.rotations)
    poses = guide.poses
    if is_shift_known:
        poses = poses._replace(levers=np.zeros_like(poses.levers))
    if last is None:
        return guide._replace(poses=poses)
    before = min(last.weight, _REMEMBERED)
    weight = guide.weight + before
    back = turn_between(poses.centres, last.poses.centres) * before / weight
    centres = turned(poses.centres, back).astype(np.float32)
    return Guide(poses._replace(centres=centres), weight)


def _said_of(
    images: WhitenedImages, shifts: Any, prior: PosePrior, contrasts: Any, states: Any,
    molecule: LinearMolecule, *rest: Any,
) -> PoseInformation:  # fmt: skip
    """`pose_information` of one batch on a device."""
    about = state_functions(molecule, as_numpy(states))
    return pose_information(images, shifts, prior, contrasts, *about, *rest)


def guide_from(said: PoseInformation, rotations: Float) -> Guide:
    """A guide from what the images say at these rotations; (n, 3, 3)."""
    values, axes = np.linalg.eigh(said.covariances[:, :3, :3])
    # of images that tell a turn very well, sums in single precision may leave nothing of it
    turns = np.einsum("nij,nj,nkj->nik", axes, np.maximum(values, _NARROWEST**2), axes)
    levers = np.linalg.solve(turns, said.covariances[:, :3, 3:]).swapaxes(1, 2)
    length = np.linalg.norm(said.steps[:, :3], axis=1, keepdims=True)
    toward = said.steps[:, :3] * np.minimum(1.0, _FURTHEST / np.maximum(length, 1e-12))
    poses = PoseGuide(
        turned(rotations, toward).astype(np.float32),
        np.linalg.cholesky(turns).astype(np.float32),
        np.ascontiguousarray(levers, dtype=np.float32),
    )
    return Guide(poses, _SAYS)


def guide_of(
    problem: StageProblem,
    estimate: Estimate,
    prior: PosePrior,
    posterior: ParticlePosterior | None,
    temperature: float = 1.0,
    is_shift_known: bool = False,
    last: Guide | None = None,
) -> Guide:
    """`fresh_guide` at what a posterior says of contrasts and states."""
    contrasts = None if posterior is None else posterior.contrast_mean
    states = None if posterior is None else posterior.state_mean
    return fresh_guide(
        problem, estimate, prior, contrasts, states, temperature, is_shift_known, last
    )


def state_functions(molecule: LinearMolecule, states: Float64) -> tuple[Float64, Float64, Float64]:
    """Functions c at states, their slopes, and where a normal prior would not pull the states.

    Parameters
    ----------
    molecule : LinearMolecule
    states : (n, d) float64 ndarray
        Of all components side by side.

    Returns
    -------
    functions : (n, q) float64 ndarray
        1 for rigid components. Of a component that moves as a whole, at the nearest position.
    slopes : (n, d, q) float64 ndarray
        Zero over positions and classes, which are taken for known.
    middles : (n, d) float64 ndarray
        The states; 0.5 where they have no middle, on a circle or among classes.
    """
    n, n_q = len(states), sum(molecule.n_functions)
    functions, slopes = np.ones((n, n_q)), np.zeros((n, states.shape[1], n_q))
    middles, start = np.full(states.shape, 0.5), 0
    for m, columns in enumerate(molecule.columns):
        kinds, basis = molecule.kinds(m), molecule.state_bases[m]
        if not kinds:
            continue
        axes = slice(start, start + len(kinds))
        start += len(kinds)
        own = np.clip(states[:, axes], 0.0, 1.0)
        for axis, kind in enumerate(kinds):
            if kind == "interval":
                middles[:, axes.start + axis] = own[:, axis]
        position, shape = molecule.split_state(m, own)
        values = basis.evaluate(shape)
        if molecule.trajectory(m) is None:
            functions[:, columns] = values
            slopes[:, axes, columns] = basis.derivative(shape).swapaxes(1, 2)
            continue
        places = molecule.positions(m)
        away = ((position[:, None] - places[None]) ** 2).sum(axis=2)
        at, width = away.argmin(axis=1), values.shape[1]
        placed = np.zeros((n, len(places), width))
        placed[np.arange(n), at] = values
        functions[:, columns] = placed.reshape(n, -1)
    return functions, slopes, middles

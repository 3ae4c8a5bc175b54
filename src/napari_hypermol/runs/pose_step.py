"""Poses as part of a sweep: Metropolis on rotations and shifts, states and contrast summed out.

Knows how far to step at a band limit, which joint states to sum over, and how the stage's images
follow their poses.
"""

from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.particles import Particles
from napari_hypermol.posterior.collapsed import CollapsedModel, PosePrior
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.device_images import DeviceImages
from napari_hypermol.runs.pieces import joined
from napari_hypermol.runs.remote_images import RemoteImages
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.sweep import state_tables
from napari_hypermol.samplers.pose_metropolis import (
    PoseChain,
    PoseGuide,
    PoseInfo,
    PoseProposals,
    draw_proposals,
    pose_metropolis,
)
from napari_hypermol.samplers.pose_metropolis_cuda import is_possible

__all__ = [
    "PoseSettings",
    "Poses",
    "at_chain",
    "collapsed_model",
    "joint_nodes",
    "pose_step",
    "with_poses",
]

Float = NDArray[np.floating]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
PoseMode = Literal["known", "refine", "search"]

_NODES = {1: 8, 2: 6}  # states of each coordinate that are summed over while a rotation is judged
_MOST_NODES = 256
_REACH = 0.3  # of the box: how far from its middle what turns is
# Steps in units of the turn or shift that changes phases at the band limit by 1 rad.
_TURNS, _SHIFTS = (0.25, 3.0), (0.2, 1.5)


class PoseSettings(NamedTuple):
    """What is to be found of the poses.

    Attributes
    ----------
    rotation, shift : {"known", "refine", "search"}
    rotation_std : float or None
        Of rotations about the file's [rad]; None: uniform.
    learns_rotation_std : bool
        That number is only where it begins.
    shift_std : float or None
        Of shifts about the file's or, in a search, about zero [Å]; None: 5 % of the box.
    search_mode : {"marginal", "maxcc"}
        How a search from nothing weighs its cells, see `samplers.search`.
    n_starts : int or None
        Of a search from nothing; None: the usual number.
    """

    rotation: PoseMode = "known"
    shift: PoseMode = "known"
    rotation_std: float | None = None
    learns_rotation_std: bool = False
    shift_std: float | None = None
    search_mode: Literal["marginal", "maxcc"] = "marginal"
    n_starts: int | None = None

    @property
    def is_search(self) -> bool:
        """Whether rotations are found from nothing."""
        return self.rotation == "search"

    @property
    def searches_again(self) -> bool:
        """Whether the whole grid is worth another look: nothing is said of where rotations are."""
        return self.rotation != "known" and self.rotation_std is None

    def held(self, rotation: bool, shift: bool) -> "PoseSettings":
        """The same, but that what is held is taken for known."""
        return self._replace(
            rotation="known" if rotation else self.rotation,
            shift="known" if shift else self.shift,
        )


class Poses(NamedTuple):
    """Poses of the particles of a run.

    Attributes
    ----------
    rotations : (n, 3, 3) float32 ndarray
    shifts : (n, 2) float64 ndarray
        [Å].
    rotation_std : (n,) float64 ndarray
        Root mean square angle about `rotations` [rad]; zero where it was not sampled.
    shift_std : (n,) float64 ndarray
        Likewise, of each coordinate [Å].
    """

    rotations: Float32
    shifts: Float64
    rotation_std: Float64
    shift_std: Float64


def with_poses(particles: Particles, rows: NDArray[np.int64], poses: Poses) -> Particles:
    """Particles with the poses of some of them replaced."""
    n = int(particles.images.shape[0])
    given = particles.rotations
    rotations = np.tile(np.eye(3), (n, 1, 1)) if given is None else np.array(given)
    shifts = np.array(particles.shifts, dtype=np.float64)
    rotations[rows], shifts[rows] = poses.rotations, poses.shifts
    return particles._replace(rotations=rotations, shifts=shifts)


def joint_nodes(
    problem: StageProblem,
    estimate: Estimate,
    posterior: ParticlePosterior | None,
    rng: np.random.Generator,
    n_states: int | None = None,
) -> tuple[Float32, Float64]:
    """Joint states to sum over, as c, and their log prior.

    Parameters
    ----------
    problem : StageProblem
    estimate : Estimate
    posterior : ParticlePosterior or None
        Of the states, where they are too many.
    rng : Generator
    n_states : int or None
        Of each coordinate; None: as many as a rotation needs.

    Returns
    -------
    nodes : (1 or n, t, q) float32 ndarray
        All combinations of a few states of every component; where they are too many, one draw
        from every particle's own tables.
    log_prior : (t,) float64 ndarray
    """
    molecule, n_q = problem.molecule, sum(problem.molecule.n_functions)
    n_states = n_states or _NODES.get(len(state_tables(molecule)), 4)
    coarse = state_tables(molecule, estimate.occupancies, n_states)
    are_few = int(np.prod([len(t.states) for t in coarse])) <= _MOST_NODES
    if are_few or posterior is None:
        nodes, log_prior = np.ones((1, n_q), dtype=np.float32), np.zeros(1)
        n_summed = len(coarse) if are_few else 2
        for table in coarse[n_summed:]:  # too many, and nothing known yet: at their mean
            nodes[:, table.columns] = np.exp(table.log_prior) @ table.functions
        for table in coarse[:n_summed]:
            t = len(table.states)
            nodes = np.repeat(nodes, t, axis=0)
            nodes[:, table.columns] = np.tile(table.functions, (len(log_prior), 1))
            log_prior = np.repeat(log_prior, t) + np.tile(table.log_prior, len(log_prior))
        return nodes[None], log_prior
    tables = state_tables(molecule, estimate.occupancies)
    c = np.ones((len(problem.shifts), 1, n_q), dtype=np.float32)
    for table, p in zip(tables, posterior.tables, strict=True):
        c[:, 0, table.columns] = table.functions[_drawn(p, rng)]
    return c, np.zeros(1)


def _drawn(probabilities: Float32, rng: np.random.Generator) -> NDArray[np.int64]:
    cumulated = np.cumsum(probabilities, axis=1, dtype=np.float64)
    target = rng.random(len(cumulated)) * cumulated[:, -1]
    return np.asarray((cumulated < target[:, None]).sum(axis=1))


def collapsed_model(
    problem: StageProblem,
    estimate: Estimate,
    posterior: ParticlePosterior | None,
    rng: np.random.Generator,
    temperature: float = 1.0,
    functions: Float | None = None,
) -> CollapsedModel:
    """What rotations are judged by, at the stage's band limit; `functions` as in `pose_step`."""
    nodes, log_prior = _nodes(problem, estimate, posterior, rng, functions)
    return CollapsedModel(
        problem.grids(estimate.theta),
        Placements(*problem.molecule.placement_arrays),
        problem.samples,
        np.ascontiguousarray(nodes),
        log_prior,
        float(estimate.contrast_std),
        temperature,
    )


def _nodes(
    problem: StageProblem,
    estimate: Estimate,
    posterior: ParticlePosterior | None,
    rng: np.random.Generator,
    functions: Float | None,
) -> tuple[Float32, Float64]:
    """`joint_nodes`, or every particle's own."""
    if functions is None:
        return joint_nodes(problem, estimate, posterior, rng)
    return np.asarray(functions[:, None], dtype=np.float32), np.zeros(1)


def pose_step(
    problem: StageProblem,
    estimate: Estimate,
    posterior: ParticlePosterior | None,
    prior: PosePrior,
    settings: PoseSettings,
    rng: np.random.Generator,
    n_steps: int,
    temperature: float = 1.0,
    guide: PoseGuide | None = None,
    functions: Float | None = None,
) -> tuple[StageProblem, PoseInfo]:
    """Metropolis steps of all poses; the images follow.

    Parameters
    ----------
    problem : StageProblem
        With the present poses.
    estimate : Estimate
    posterior : ParticlePosterior or None
        Of the states, where they are too many to be summed over.
    prior : PosePrior
    settings : PoseSettings
        What is known stays.
    rng : Generator
    n_steps : int
    temperature : float
        Factor on the log likelihood.
    guide : PoseGuide or None
        Where rotations are proposed; None: about where they are, in all directions alike.
    functions : (n, q) float ndarray or None
        c of every particle, whose states stay; None: states are summed out, and must be drawn next.

    Returns
    -------
    problem : StageProblem
    info : PoseInfo
    """
    if settings.rotation == "known":
        guide = None
    n, box, radius = len(problem.shifts), problem.samples.box_size, problem.samples.max_radius
    per_turn = 1.0 / (2 * np.pi * radius * _REACH)
    per_shift = box / (2 * np.pi * radius)
    proposals = draw_proposals(
        rng, n, n_steps,
        (_TURNS[0] * per_turn, _TURNS[1] * per_turn),
        (_SHIFTS[0] * per_shift, _SHIFTS[1] * per_shift),
        width=1 if settings.shift == "known" else 3,
        turns_per_patch=2 if n_steps % 2 == 0 else 1,
        guide=guide,
    )  # fmt: skip
    if settings.rotation == "known":
        proposals = proposals._replace(turns=np.zeros_like(proposals.turns))
    images, shifts = problem.images, problem.shifts / problem.pixel_size
    if isinstance(images, (RemoteImages, DeviceImages)):
        nodes, log_prior = _nodes(problem, estimate, posterior, rng, functions)
        nodes = np.ascontiguousarray(nodes)
        own, common = (nodes, None) if len(nodes) == n else (None, nodes)
        judged = (common, log_prior, float(estimate.contrast_std), temperature)
        spread = shifts, prior, proposals, own, guide
        shared = *problem.scene(estimate.theta), *judged
        sizes = nodes.shape[2], nodes.shape[1], proposals.patches.shape[2]
        is_there = is_possible(len(problem.placements.grids), *sizes)
        if isinstance(images, RemoteImages):
            pieces = images.each(_moved, spread, shared, device=None if is_there else "cpu")
            rotations, shifts, info = joined(pieces)
            shifts = shifts * problem.pixel_size
            return replace(problem, images=images.at(rotations, shifts), shifts=shifts), info
        if is_there:
            images, (shifts, info) = images.at_poses(_moved_there, spread, shared)
            return replace(problem, images=images, shifts=shifts * problem.pixel_size), info
    _, images = problem.here()
    chain = PoseChain(images.rotations, shifts, images.data)
    model = collapsed_model(problem, estimate, posterior, rng, temperature, functions)
    chain, info = pose_metropolis(images, chain, prior, model, proposals, guide)
    return at_chain(problem, chain), info


def _moved(images: WhitenedImages, *about: Any) -> tuple[Float32, Float64, PoseInfo]:
    """As `_moved_there`, of a chunk whose images stay where they are and are whitened anew."""
    return _moved_there(images, *about)[1:]


def _moved_there(
    images: WhitenedImages,
    shifts: Float64,
    prior: PosePrior,
    proposals: PoseProposals,
    own_nodes: Float32 | None,
    guide: PoseGuide | None,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
    nodes: Float32 | None,
    log_prior: Float64,
    contrast_std: float,
    temperature: float,
) -> tuple[Float32, Float32, Float64, PoseInfo]:
    """Data, rotations and shifts of one chunk after its steps, and what they did."""
    c: Any = nodes if own_nodes is None else own_nodes
    model = CollapsedModel(grids, placements, samples, c, log_prior, contrast_std, temperature)
    chain = PoseChain(images.rotations, shifts, images.data)
    chain, info = pose_metropolis(images, chain, prior, model, proposals, guide)
    return chain.data, chain.rotations, chain.shifts, info


def at_chain(problem: StageProblem, chain: PoseChain) -> StageProblem:
    """The same problem at other poses."""
    _, moved = problem.here()
    moved = moved._replace(data=chain.data, rotations=chain.rotations)
    images: Any = problem.images
    images = images.others(moved) if isinstance(images, DeviceImages) else moved
    return replace(problem, images=images, shifts=chain.shifts * problem.pixel_size)

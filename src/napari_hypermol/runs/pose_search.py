"""All poses searched once more, with the molecule and its states in hand.

Local steps do not leap: a particle that the initial model has put on the wrong side stays there.
Once states are known to some extent the whole grid is looked at again, with the hypermolecule at a
few states instead of its mean. Where other places are probable they are bettered by the same local
steps, and each particle goes on from one of them or from where it is, drawn by their evidence.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.rotations import angles_between
from napari_hypermol.posterior.collapsed import PosePrior, collapsed_evidence
from napari_hypermol.runs.device_images import DeviceImages
from napari_hypermol.runs.grid_search import (
    SearchGrid,
    random_grid,
    search_images,
    search_target,
    shift_spacing,
)
from napari_hypermol.runs.pose_guide import fresh_guide
from napari_hypermol.runs.pose_kernels import shifted
from napari_hypermol.runs.pose_step import PoseSettings, collapsed_model, joint_nodes, pose_step
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.samplers.search import Cells

__all__ = ["Places", "far_places", "pose_search"]

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
_ORDER = 2  # 4608 rotations, 15 degrees apart
_STATES = {1: 5, 2: 3}  # of each coordinate, by their number
_CELLS = 24  # of every particle that are looked at: the neighbours of the best are among them
_ELSEWHERE = np.radians(25.0)  # nearer cells are the same place: the local steps reach them
_MOST_PLACES = 3
_WORTH = 10.0  # [nats] below the best cell: less probable ones are not bettered
_STEPS = 16  # Metropolis steps at each place
_LEAST_SHIFT_STD = 0.5  # [pixels]
_PATCH = 0.5  # spacing of the shifts summed over [1 rad at the band limit]


class Places(NamedTuple):
    """Cells of a grid that are worth a look, p of all particles together.

    Attributes
    ----------
    particles : (p,) int64 ndarray
    rotations : (p, 3, 3) float64 ndarray
    shifts : (p, 2) float64 ndarray
        From the middle of their prior [pixels].
    """

    particles: Int64
    rotations: Float64
    shifts: Float64


def far_places(cells: Cells, grid: SearchGrid, present: NDArray[np.floating]) -> Places:
    """The most probable cells far from where particles are, and from one another.

    Parameters
    ----------
    cells : Cells
    grid : SearchGrid
    present : (n, 3, 3) float ndarray
        Rotations the particles have.
    """
    known = [np.asarray(present, dtype=np.float64)]
    probable = cells.log_weights > cells.log_weights[:, :1] - _WORTH
    particles, rotations, shifts = [], [], []
    for _ in range(_MOST_PLACES):
        here = grid.rotations[cells.rotations]  # (n, c, 3, 3)
        far = probable & (angles_between(here, known[-1][:, None]) > _ELSEWHERE)
        rows = np.flatnonzero(far.any(axis=1))
        best = far.argmax(axis=1)  # the first: cells are in the order of their probability
        chosen = here[np.arange(len(here)), best]
        particles.append(rows)
        rotations.append(chosen[rows])
        shifts.append(grid.shifts[cells.shifts[rows, best[rows]]])
        probable, known = far, [*known, chosen]
    return Places(np.concatenate(particles), np.concatenate(rotations), np.concatenate(shifts))


def pose_search(
    problem: StageProblem,
    coarse: StageProblem,
    estimate: Estimate,
    prior: PosePrior,
    settings: PoseSettings,
    rng: np.random.Generator,
    check: Callable[[], None] = lambda: None,
) -> tuple[StageProblem, Int64]:
    """Every particle at its present place or at another that the whole grid offers.

    Parameters
    ----------
    problem : StageProblem
        At the present poses.
    coarse : StageProblem
        The same molecule and particles at the band limit of the search, every shift in the middle
        of its prior.
    estimate : Estimate
    prior : PosePrior
        Of rotations uniform.
    settings : PoseSettings
    rng : Generator
    check : callable
        May raise to stop.

    Returns
    -------
    problem : StageProblem
        The images follow.
    moved : (m,) int64 ndarray
        Particles that went elsewhere.
    """
    problem, _ = problem.here()
    cells, grid = _searched(problem, coarse, estimate, prior, rng)
    check()
    places = far_places(cells, grid, problem.rotations)
    if not len(places.particles):
        return problem, places.particles
    there = _placed(problem, places, prior)
    own = _of_prior(prior, places.particles)
    there = _bettered(there, estimate, own, settings, rng)
    check()
    # against the same steps from where they are, so that neither has the luck of more tries
    here = problem.of(np.unique(places.particles))
    its = _of_prior(prior, np.unique(places.particles))
    here = _bettered(here, estimate, its, settings, rng)
    log_p = np.full((len(problem.shifts), 1 + _MOST_PLACES), -np.inf)
    log_p[np.unique(places.particles), 0] = _evidence(here, estimate, its, rng)
    index = _numbered(places.particles)
    log_p[places.particles, index] = _evidence(there, estimate, own, rng)
    chosen = np.argmax(log_p + rng.gumbel(size=log_p.shape), axis=1)  # drawn in proportion to exp
    took = np.flatnonzero(chosen[places.particles] == index)
    return _replaced(problem, places.particles[took], there.of(took)), places.particles[took]


def _searched(
    problem: StageProblem,
    coarse: StageProblem,
    estimate: Estimate,
    prior: PosePrior,
    rng: np.random.Generator,
) -> tuple[Cells, SearchGrid]:
    """The best cells of every particle, among shifts as wide as those found."""
    away = problem.shifts / problem.pixel_size - prior.shifts
    found = 1.1 * np.sqrt((away**2).mean())
    std = float(np.clip(found, _LEAST_SHIFT_STD, prior.shift_precision**-0.5))
    samples, molecule = coarse.samples, coarse.molecule
    grid = random_grid(rng, _ORDER, std, shift_spacing(samples.box_size, samples.max_radius))
    dims = sum(len(molecule.kinds(m)) for m in range(len(molecule.components)))
    nodes, log_prior = joint_nodes(coarse, estimate, None, rng, _STATES.get(dims, 2))
    target = search_target(molecule, estimate.theta, nodes[0], log_prior, grid, samples)
    images = coarse.images if isinstance(coarse.images, DeviceImages) else coarse.here()[1]
    cells, _ = search_images(images, target, n_cells=_CELLS, with_sums=False)
    return cells, grid


def _bettered(
    problem: StageProblem,
    estimate: Estimate,
    prior: PosePrior,
    settings: PoseSettings,
    rng: np.random.Generator,
) -> StageProblem:
    """After local steps, in the shape that each image allows where it is."""
    guide = fresh_guide(problem, estimate, prior, is_shift_known=settings.shift == "known")
    problem, _ = pose_step(problem, estimate, None, prior, settings, rng, _STEPS, guide=guide.poses)
    return problem


def _numbered(particles: Int64) -> Int64:
    """1, 2, ... for the first, second, ... mention of every particle."""
    seen: dict[int, int] = {}
    numbers = []
    for particle in particles.tolist():
        seen[particle] = seen.get(particle, 0) + 1
        numbers.append(seen[particle])
    return np.array(numbers, dtype=np.int64)


def _of_prior(prior: PosePrior, rows: Int64) -> PosePrior:
    return prior._replace(rotations=prior.rotations[rows], shifts=prior.shifts[rows])


def _placed(problem: StageProblem, places: Places, prior: PosePrior) -> StageProblem:
    """One "particle" for every place, put there."""
    there = problem.of(places.particles)
    shifts = (prior.shifts[places.particles] + places.shifts) * problem.pixel_size
    there = shifted(there, shifts)
    rotations = np.ascontiguousarray(places.rotations, dtype=np.float32)
    return replace(there, images=there.here()[1]._replace(rotations=rotations))


def _evidence(
    problem: StageProblem, estimate: Estimate, prior: PosePrior, rng: np.random.Generator
) -> Float64:
    """Log evidence of the poses, a patch of shifts about them, states and contrast summed out."""
    spacing = _PATCH * problem.samples.box_size / (2 * np.pi * problem.samples.max_radius)
    axis = spacing * np.arange(-1, 2)
    patch = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    _, images = problem.here()
    evidence, _ = collapsed_evidence(
        images,
        images.rotations[:, None],
        np.tile(patch, (len(problem.shifts), 1, 1)),
        problem.shifts / problem.pixel_size,
        prior,
        collapsed_model(problem, estimate, None, rng),
    )
    return evidence[:, 0]


def _replaced(problem: StageProblem, rows: Int64, there: StageProblem) -> StageProblem:
    """The problem with some particles' poses taken from another."""
    (_, images), (_, others) = problem.here(), there.here()
    data, rotations, shifts = images.data.copy(), images.rotations.copy(), problem.shifts.copy()
    data[rows], rotations[rows], shifts[rows] = others.data, others.rotations, there.shifts
    images = images._replace(data=data, rotations=rotations)
    return replace(problem, images=images, shifts=shifts)

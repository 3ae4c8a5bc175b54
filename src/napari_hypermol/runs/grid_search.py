"""Exhaustive searches of a stack: the molecule against every particle, and solves from their sums.

`samplers.search` does the arithmetic; here molecules become slices and the sums of a search become
a problem that the coefficients' solve takes like any other: one averaged image a grid rotation and
state.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_hypermol.coordinates.grids import FourierSamples
from napari_hypermol.coordinates.rotations import rotation_grid
from napari_hypermol.imaging.forward import shell_sums
from napari_hypermol.imaging.projector import Placements, forward
from napari_hypermol.imaging.shift import shift_phases
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.likelihood import WhitenedImages, explained_power
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.device_images import DeviceImages
from napari_hypermol.runs.image_work import each
from napari_hypermol.runs.pieces import joined
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.samplers.search import Cells, Mode, SearchSums, SearchTarget, search

__all__ = [
    "SearchGrid",
    "explained_by_sums",
    "grid_problem",
    "random_grid",
    "search_images",
    "search_target",
    "shift_grid",
    "shift_spacing",
]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


class SearchGrid(NamedTuple):
    """Where a search looks.

    Attributes
    ----------
    rotations : (r, 3, 3) float64 ndarray
    shifts : (s, 2) float64 ndarray
        [pixels].
    log_prior : (s,) float64 ndarray
        Of the shifts, normalised.
    """

    rotations: Float64
    shifts: Float64
    log_prior: Float64


def shift_grid(std: float, spacing: float) -> tuple[Float64, Float64]:
    """Shifts on a square lattice within three standard deviations, and their log prior [pixels]."""
    n = int(3 * std / spacing)
    axis = np.arange(-n, n + 1) * spacing
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    grid = grid[(grid**2).sum(axis=1) <= 9 * std**2]
    log_prior = -0.5 * (grid**2).sum(axis=1) / std**2
    return grid, log_prior - np.log(np.exp(log_prior).sum())


def shift_spacing(box: int, radius: float) -> float:
    """Of shifts [pixels]: 1.2 rad at the band limit."""
    return max(1.2 * box / (2 * np.pi * radius), 1.0)


def random_grid(
    rng: np.random.Generator, order: int, shift_std: float, spacing: float
) -> SearchGrid:
    """The grid of an order, turned at random so that no orientation is favoured over sweeps."""
    turn = np.asarray(Rotation.random(rng=rng).as_matrix())
    return SearchGrid(rotation_grid(order) @ turn, *shift_grid(shift_std, spacing))


def search_target(
    molecule: LinearMolecule,
    theta: Float32,
    nodes: Float32,
    log_prior: Float64,
    grid: SearchGrid,
    samples: FourierSamples,
) -> SearchTarget:
    """Slices of a molecule at tabulated joint states, on a search's grid.

    Parameters
    ----------
    molecule : LinearMolecule
    theta : (coefficients,) float32 ndarray
    nodes : (t, q) float32 ndarray
        c of every state.
    log_prior : (t,) float64 ndarray
    grid : SearchGrid
    samples : FourierSamples
    """
    slices = forward(
        grid.rotations.astype(np.float32),
        molecule.grids(theta),
        Placements(*molecule.placement_arrays),
        samples,
    )
    by_state = np.einsum("rkq,tq->trk", slices, nodes.astype(np.float32))
    phases = np.conj(shift_phases(grid.shifts, samples, 1.0))
    prior = log_prior[:, None] + grid.log_prior
    return SearchTarget(
        np.ascontiguousarray(by_state), np.asarray(phases), prior.astype(np.float32)
    )


def search_images(
    images: WhitenedImages | DeviceImages,
    target: SearchTarget,
    mode: Mode = "marginal",
    n_cells: int = 1,
    with_sums: bool = True,
) -> tuple[Cells, SearchSums | None]:
    """`samplers.search` of all images, on their GPU if they have one.

    Parameters
    ----------
    images : WhitenedImages or DeviceImages
        Their rotations are not looked at.
    target : SearchTarget
        In main memory.
    mode, n_cells, with_sums
        As for `samplers.search`.

    Returns
    -------
    cells : Cells
    sums : SearchSums or None
        Both in main memory.
    """
    parts = each(images, _search, shared=(target, mode, n_cells, with_sums))
    cells: Cells = joined([cells for cells, _ in parts])
    (_, sums), *others = parts
    for _, more in others if with_sums else ():
        for column, values in zip(sums, more, strict=True):
            column += values
    return cells, sums


def _search(
    images: WhitenedImages, target: SearchTarget, mode: Mode, n_cells: int, with_sums: bool
) -> tuple[Cells, SearchSums | None]:
    return search(
        images.data, images.weights, target, mode=mode, n_cells=n_cells, with_sums=with_sums
    )


def grid_problem(
    sums: SearchSums,
    rotations: Float64,
    nodes: Float32,
    molecule: LinearMolecule,
    samples: FourierSamples,
    n_shells: int,
    pixel_size: float,
    negligible: float = 1e-3,
) -> tuple[StageProblem, ParticlePosterior]:
    """A search's sums as a problem with one "particle" a grid rotation and state.

    Parameters
    ----------
    sums : SearchSums
    rotations : (r, 3, 3) float64 ndarray
    nodes : (t, q) float32 ndarray
    molecule, samples, n_shells, pixel_size
    negligible : float
        Posterior mass [particles] below which a cell is left out.

    Returns
    -------
    problem : StageProblem
    posterior : ParticlePosterior
        Its moments: c of the state.
    """
    kept = np.flatnonzero(sums.mass.ravel() > negligible)
    n_states, n_rotations = sums.mass.shape
    state, rotation = np.divmod(kept, n_rotations)
    weights = np.ascontiguousarray(sums.weights.reshape(n_states * n_rotations, -1)[kept])
    data = np.ascontiguousarray(sums.data.reshape(n_states * n_rotations, 2, -1)[kept])
    n = len(kept)
    c = np.ascontiguousarray(nodes[state], dtype=np.float32)
    images = WhitenedImages(
        data=data,
        weights=weights,
        power=np.zeros((n, n_shells), dtype=np.float32),
        fill=np.zeros((n, n_shells), dtype=np.float32),
        is_premultiplied=np.zeros(n, dtype=np.bool_),
        groups=np.zeros(n, dtype=np.int64),
        rotations=np.ascontiguousarray(rotations[rotation], dtype=np.float32),
    )
    count = np.maximum(np.bincount(samples.shells, samples.weights, n_shells), 1e-12)
    mean_weights = shell_sums(weights, samples, n_shells) / count
    problem = StageProblem(images, molecule, samples, mean_weights, pixel_size, np.zeros((n, 2)))
    nothing = np.zeros((n, 0))
    posterior = ParticlePosterior(
        state_mean=nothing,
        state_std=nothing,
        contrast_mean=np.ones(n),
        contrast_std=np.zeros(n),
        first=c,
        second=c[:, :, None] * c[:, None, :],
        log_evidence=np.zeros(n),
        tables=(),
    )
    return problem, posterior


def explained_by_sums(
    problem: StageProblem, posterior: ParticlePosterior, estimate: Estimate
) -> Float64:
    """Power of all images together that the molecule explains, in units of the noise; (shells,)."""
    ones = np.ones_like(estimate.noise[:1], dtype=np.float32)
    grids = problem.grids(estimate.theta)
    explained = explained_power(
        problem.here()[1], posterior.first, posterior.second, ones, grids, problem.placements,
        problem.samples,
    )  # fmt: skip
    return np.asarray(explained.sum(axis=0))

"""What a sweep finds with coefficients given: states and contrasts of every particle.

Expectation maximisation of Eq. (23): exact posterior tables of the particles given the coefficients
(E) here, the coefficients and the noise given the tables' moments (M) in `coefficient_step`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.likelihood import WhitenedImages, overlaps
from napari_hypermol.posterior.priors import posterior_covariance, signal_precision
from napari_hypermol.posterior.states import (
    MAX_ENTRIES,
    ParticlePosterior,
    StateTable,
    table_posterior,
)
from napari_hypermol.runs.coefficient_step import precisions
from napari_hypermol.runs.image_work import each
from napari_hypermol.runs.pieces import joined
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.whitening import rows_of
from napari_hypermol.samplers.gibbs import gibbs_posterior

__all__ = [
    "edge_share",
    "expectation",
    "kindled_mixing",
    "state_tables",
]

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
# Posterior probability below which a position is given no slices in the solve; 24 of them together
# weigh less than the noise of any estimate here.
_NEGLIGIBLE = 1e-3
_CHUNK = 16384  # particles whose overlaps are kept at once; there are Q^2 of them each


def state_tables(
    molecule: LinearMolecule, occupancies: Sequence[Float64] = (), n_states: int = 32
) -> tuple[StateTable, ...]:
    """Grids of states for every component that has any.

    Parameters
    ----------
    molecule : LinearMolecule
    occupancies : sequence of (t,) float64 ndarray
        Probabilities of every table's states; uniform where they are of other tables or none.
    n_states : int
        Of one coordinate.
    """
    tables: list[StateTable] = []
    for m, columns in enumerate(molecule.columns):
        kinds = molecule.kinds(m)
        if kinds:
            states, functions = molecule.table(m, n_states)
            log_prior = np.full(len(states), -np.log(len(states)))
            if len(tables) < len(occupancies) and len(occupancies[len(tables)]) == len(states):
                log_prior = np.log(occupancies[len(tables)])
            tables.append(StateTable(states, functions, log_prior, columns, kinds))
    return tuple(tables)


def expectation(
    problem: StageProblem,
    estimate: Estimate,
    tables: tuple[StateTable, ...],
    rng: np.random.Generator,
    kindling: float = 0.0,
    temperature: float = 1.0,
) -> ParticlePosterior:
    """Posterior of every particle's states and contrast given the coefficients.

    Parameters
    ----------
    problem : StageProblem
    estimate : Estimate
    tables : tuple of StateTable
    rng : Generator
        For Gibbs draws, where there are too many states for a joint table.
    kindling : float
        State functions weaker than this (mean G_qq over particles) are read as if they were as
        strong. From a random start they are weak because they are wrong, and expectation
        maximisation then creeps; read at fixed strength it is a power iteration, whose rate does
        not depend on the strength. Zero for the posterior itself.
    temperature : float
        Factor on the log likelihood.
    """
    molecule = problem.molecule
    entries = int(np.prod([len(t.states) for t in tables], dtype=np.int64))
    is_tabulated = len(tables) <= 2 and entries <= MAX_ENTRIES
    has_positions = any(t is not None for t in molecule.trajectories)
    negligible = _NEGLIGIBLE if has_positions else 0.0
    if is_tabulated and kindling == 0:
        about = (molecule.pairs, tables, estimate.contrast_std, negligible, temperature)
        scene = problem.scene(estimate.theta)
        staying = ("first", "second")
        pieces = each(problem.images, _tabulated, shared=(*scene, *about), staying=staying)
        return joined(pieces)  # type: ignore[no-any-return]
    b, g = problem.overlaps(estimate.theta, molecule.pairs)
    if kindling > 0:
        lifted = kindled_mixing(molecule, g, kindling)
        b = np.asarray(b @ lifted, dtype=np.float32)
        g = np.asarray(lifted.T @ g @ lifted, dtype=np.float32)
    if temperature != 1:
        b, g = np.float32(temperature) * b, np.float32(temperature) * g
    if is_tabulated:
        return table_posterior(b, g, tables, estimate.contrast_std, negligible=negligible)
    return gibbs_posterior(rng, b, g, tables, estimate.contrast_std)


def _tabulated(
    images: WhitenedImages,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
    pairs: NDArray[np.bool_],
    tables: tuple[StateTable, ...],
    contrast_std: float,
    negligible: float,
    temperature: float,
) -> ParticlePosterior:
    """Posterior tables of one chunk, whose overlaps do not leave it."""
    parts = []
    for start in range(0, len(images.weights), _CHUNK):
        part = slice(start, start + _CHUNK)
        own = rows_of(images, part)
        b, g = overlaps(own, grids, placements, samples, pairs)
        if temperature != 1:
            b, g = np.float32(temperature) * b, np.float32(temperature) * g
        parts.append(table_posterior(b, g, tables, contrast_std, negligible=negligible))
    return joined(parts)  # type: ignore[no-any-return]


def kindled_mixing(molecule: LinearMolecule, g: Float32, target: float) -> Float32:
    """Mixing of the columns (q, q) that lifts weak state functions to a mean G of trace `target`.

    Several functions of a component are made independent of one another and equally strong on the
    way, as in a block power iteration: each by itself would end up as the strongest motion.
    Circles begin elsewhere and are left alone.
    """
    mean = g.mean(axis=0, dtype=np.float64)
    mixing = np.eye(len(mean), dtype=np.float32)
    for m, (basis, columns) in enumerate(zip(molecule.state_bases, molecule.columns, strict=True)):
        width = basis.n_functions
        if "circle" in molecule.kinds(m):
            continue
        starts = range(columns.start, columns.stop, width)
        places = [slice(start + 1, start + width) for start in starts]
        # at one position only: the mean over positions of a trajectory
        block = np.mean([mean[place, place] for place in places], axis=0)
        if 0 < np.trace(block) < target:
            values, vectors = np.linalg.eigh(block)
            values = np.maximum(values, 1e-3 * values[-1])
            root = (vectors / np.sqrt(values)) @ vectors.T * np.sqrt(target / (width - 1))
            for place in places:
                mixing[place, place] = root
    return mixing


def edge_share(problem: StageProblem, estimate: Estimate, posterior: ParticlePosterior) -> float:
    """Share of the mean molecule that is data, not prior, in the last shells of the band limit.

    Returns
    -------
    float
        1 - C / S of function 0, the largest among the coefficient sets; near 0 where the data say
        nothing, near 1 where they say all.
    """
    shares = []
    for h, spectrum in zip(precisions(problem, posterior.second), estimate.spectra, strict=True):
        covariance = posterior_covariance(h, signal_precision(spectrum))
        seen = np.flatnonzero(h[:, 0, 0] > 1e-2 * h[:, 0, 0].max())[-3:]
        shares.append(float((1 - covariance[seen, 0, 0] / spectrum[0, seen]).mean()))
    return max(shares)

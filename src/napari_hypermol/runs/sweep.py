"""What a sweep finds with coefficients given: states and contrasts of every particle, and noise.

Expectation maximisation of Eq. (23): exact posterior tables of the particles given the coefficients
(E) here, the coefficients given the tables' moments (M) in `coefficient_step`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.likelihood import (
    WhitenedImages,
    explained_power,
    overlaps,
)
from napari_hypermol.posterior.priors import posterior_covariance, signal_precision
from napari_hypermol.posterior.states import (
    MAX_ENTRIES,
    ParticlePosterior,
    StateTable,
    table_posterior,
)
from napari_hypermol.runs.coefficient_step import precisions
from napari_hypermol.runs.image_work import each, total
from napari_hypermol.runs.pieces import joined
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.whitening import rows_of
from napari_hypermol.samplers.gibbs import gibbs_posterior

__all__ = [
    "edge_share",
    "expectation",
    "kindled_mixing",
    "residual_noise",
    "state_tables",
    "updated_noise",
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


def updated_noise(
    problem: StageProblem, estimate: Estimate, posterior: ParticlePosterior
) -> Float64:
    """Noise spectra from the expected residuals, inside the stage's band limit."""
    noise32 = estimate.noise.astype(np.float32)
    sums = total(
        problem.images,
        _residual_sums,
        (posterior.first, posterior.second),
        (noise32, *problem.scene(estimate.theta)),
    )
    return _noise_of(sums, estimate.noise, problem.samples)


def _residual_sums(
    images: WhitenedImages,
    first: Float32,
    second: Float32,
    noise: Float32,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
) -> Float64:
    xp = array_module(images.data)
    noise = xp.asarray(noise)
    sums: Float64 = xp.zeros((2, *noise.shape))
    for start in range(0, len(first), _CHUNK):
        part = slice(start, start + _CHUNK)
        own = rows_of(images, part)
        moments = first[part], second[part]
        explained = explained_power(own, *moments, noise, grids, placements, samples)
        sums += residual_sums(own, explained, len(noise))
    return sums


def residual_sums(images: WhitenedImages, explained: Float64, n_groups: int) -> Float64:
    """Residual power of every optics group and what the noise's share of it is.

    Parameters
    ----------
    images : WhitenedImages
    explained : (n, shells) float64 ndarray
        Power that the molecule explains, as `posterior.likelihood.explained_power` counts it.
    n_groups : int

    Returns
    -------
    (2, groups, shells) float64 ndarray
    """
    xp = array_module(images.data)
    out: Float64 = xp.zeros((2, n_groups, explained.shape[1]))
    for group in range(n_groups):
        rows = images.groups == group
        out[0, group] = (images.power[rows] - explained[rows]).sum(axis=0)
        out[1, group] = images.fill[rows].sum(axis=0, dtype=np.float64)
    return np.asarray(out) if xp is np else out


def residual_noise(
    images: WhitenedImages, explained: Float64, noise: Float64, samples: FourierSamples
) -> Float64:
    """Mean residual power of every optics group inside the band limit; `noise` elsewhere.

    Parameters
    ----------
    images : WhitenedImages
    explained : (n, shells) float64 ndarray
        As in `residual_sums`.
    noise : (groups, shells) float64 ndarray
        The spectra so far.
    samples : FourierSamples

    Returns
    -------
    (groups, shells) float64 ndarray
    """
    return _noise_of(residual_sums(images, explained, len(noise)), noise, samples)


def _noise_of(sums: Float64, noise: Float64, samples: FourierSamples) -> Float64:
    noise, inside = noise.copy(), np.unique(samples.shells)
    residual, fill = sums[:, :, inside]
    for group in np.flatnonzero(sums[1].any(axis=1)):
        new = residual[group] / np.maximum(fill[group], 1e-12)
        # A shell can lose at most nine tenths at once: early maps explain noise too.
        noise[group, inside] = np.maximum(new, 0.1 * noise[group, inside])
    return noise

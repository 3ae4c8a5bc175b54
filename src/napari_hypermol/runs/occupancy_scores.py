"""How well a run's occupancy, the population along a state, agrees with the true one.

A state's parametrisation is a gauge: a run may stretch a crowded part of a motion, and then its
histogram is another one of the same population. So found states are first placed on the true
coordinate by their maps, which know nothing of how many particles there are.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.fourier import (
    radius_index,
    volume_from_half_space,
    volume_to_half_space,
)
from napari_hypermol.runs.correspondence import Correspondence, found_classes, population
from napari_hypermol.runs.state_scores import spearman
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.truth import TrueComponent

__all__ = [
    "Placement",
    "occupancy_distance",
    "occupancy_score",
    "place_states",
    "rebinned",
    "sampling_noise",
    "total_variation",
]

Float64 = NDArray[np.float64]
_BINS = 10
_FINE = 201  # true states at which found ones may be placed; 20 to a bin
_ROUNDS = 5  # of placing states and fitting the amplitude; it settles in two or three


class Placement(NamedTuple):
    """Where found states lie on the true coordinate.

    Attributes
    ----------
    states : (f,) float64 ndarray
        Never going back, or never going forth.
    amplitude : float
        Of the found motion against the true one; regularised maps move too little.
    """

    states: Float64
    amplitude: float


def total_variation(one: Float64, two: Float64) -> float:
    """Half the sum of absolute differences of two distributions: the share that must move."""
    return float(0.5 * np.abs(one - two).sum())


def sampling_noise(shares: Float64, n: int) -> float:
    """Total variation to expect between `shares` and a histogram of n draws from them.

    Each bin's count is nearly normal, with E|count / n - p| = sqrt(2 p (1 - p) / (pi n)).
    """
    return float(0.5 * np.sqrt(2 * shares * (1 - shares) / (np.pi * n)).sum())


def rebinned(shares: Float64, edges: Float64, n_bins: int) -> Float64:
    """Shares of cells between ascending `edges` (cells + 1,) in equal bins of [0, 1].

    A cell's share is spread evenly over it; a cell without width falls into the bin it lies in.
    """
    result = np.zeros(n_bins)
    for share, low, high in zip(shares, edges[:-1] * n_bins, edges[1:] * n_bins, strict=True):
        if high - low < 1e-9:
            result[min(int(low), n_bins - 1)] += share
            continue
        bins = np.arange(n_bins)
        overlap = np.clip(np.minimum(high, bins + 1) - np.maximum(low, bins), 0, None)
        result += share * overlap / (high - low)
    return result


def place_states(
    cross: Float64, gram: Float64, found_shares: Float64, true_shares: Float64, states: Float64
) -> Placement:
    """Place found states on the true coordinate by their maps, in order.

    The least squares distance of difference maps, weighted by the found population, over all
    placements that keep the order, by dynamic programming. Differences are from the mean over the
    population, which no parametrisation changes.

    Parameters
    ----------
    cross : (f, t) float64 ndarray
        Inner products of found and true maps.
    gram : (t, t) float64 ndarray
        Of the true maps with one another.
    found_shares, true_shares : (f,), (t,) float64 ndarray
        Populations, each of sum 1.
    states : (t,) float64 ndarray
        Of the true maps, ascending from 0 to 1.
    """
    n_found, n_true = cross.shape
    fine = np.linspace(0, 1, _FINE)
    # true maps are linear between the written ones
    between = np.stack([np.interp(fine, states, row) for row in np.eye(n_true)], axis=1)
    off_found = np.eye(n_found) - found_shares
    off_true = between - true_shares
    inner = off_found @ cross @ off_true.T
    square = np.einsum("lt,tu,lu->l", off_true, gram, off_true)
    weights = found_shares + 1e-3 / n_found  # states without particles still keep the order
    amplitude = 1.0
    placed = np.zeros(n_found, dtype=np.int64)
    for _ in range(_ROUNDS):
        cost = weights[:, None] * (amplitude**2 * square - 2 * amplitude * inner)
        forth, back = _in_order(cost), _in_order(cost[:, ::-1])
        backward = _FINE - 1 - back
        rows = np.arange(n_found)
        is_forth = cost[rows, forth].sum() <= cost[rows, backward].sum()
        placed = forth if is_forth else backward
        strength = weights @ square[placed]
        if strength > 0:
            amplitude = float(np.clip(weights @ inner[rows, placed] / strength, 0.25, 2.0))
    return Placement(fine[placed], amplitude)


def _in_order(cost: Float64) -> NDArray[np.int64]:
    """Columns, never going back from row to row, with the least sum of `cost`; (rows,)."""
    best = cost[0].copy()
    came_from = np.zeros(cost.shape, dtype=np.int64)
    for row in range(1, len(cost)):
        lowest = np.minimum.accumulate(best)
        # the last column so far at which the running minimum was reached
        reached = np.where(best == lowest, np.arange(len(best)), 0)
        came_from[row] = np.maximum.accumulate(reached)
        best = lowest + cost[row]
    path = np.empty(len(cost), dtype=np.int64)
    path[-1] = int(best.argmin())
    for row in range(len(cost) - 1, 0, -1):
        path[row - 1] = came_from[row, path[row]]
    return path


def occupancy_distance(
    found_shares: Float64, placed: Float64, true_shares: Float64
) -> tuple[float, Float64]:
    """Total variation between a found population, placed on the true coordinate, and the true one.

    Parameters
    ----------
    found_shares : (f,) float64 ndarray
        On equal cells of the found coordinate.
    placed : (f,) float64 ndarray
        True states of the cells' middles, monotone.
    true_shares : (bins,) float64 ndarray
        In equal bins of the true coordinate.

    Returns
    -------
    distance : float
    shares : (bins,) float64 ndarray
        The found population in the true coordinate's bins.
    """
    if placed[0] > placed[-1]:
        found_shares, placed = found_shares[::-1], placed[::-1]
    steps = np.diff(placed)
    first = placed[0] - 0.5 * (steps[0] if len(steps) else 0.0)
    last = placed[-1] + 0.5 * (steps[-1] if len(steps) else 0.0)
    middles = 0.5 * (placed[1:] + placed[:-1])
    edges = np.clip(np.concatenate([[first], middles, [last]]), 0, 1)
    shares = rebinned(found_shares, edges, len(true_shares))
    return total_variation(shares, true_shares), shares


def occupancy_score(
    run: Run, component: TrueComponent, its: Correspondence, true: Float64
) -> dict[str, Any] | None:
    """Compare the population along one range with the true one, in ten bins of the true state.

    Returns
    -------
    dict or None
        ``total_variation`` after found states are placed by their maps;
        ``total_variation_unaligned`` with only the direction of the state aligned;
        ``sampling_noise``, what as many particles drawn from the truth would have; the ``bins``,
        and the shares in them. None if the true population or the run's is not known.
    """
    shares = population(run, its.axis)
    if not component.population or shares is None or found_classes(run, its.axis) is not None:
        return None
    true_shares = component.shares(np.linspace(0, 1, _BINS + 1))
    cross, gram = _inner_products(run, component, its, len(shares))
    placement = place_states(cross, gram, shares, np.exp(component.log_prior()), component.states)
    aligned, placed_shares = occupancy_distance(shares, placement.states, true_shares)
    is_reversed = spearman(run.states[:, its.axis], true) < 0
    plain = rebinned(
        shares[::-1] if is_reversed else shares, np.linspace(0, 1, len(shares) + 1), _BINS
    )
    return {
        "total_variation": aligned,
        "total_variation_unaligned": total_variation(plain, true_shares),
        "sampling_noise": sampling_noise(true_shares, len(true)),
        "bins": _BINS,
        "true": [round(float(v), 4) for v in true_shares],
        "found": [round(float(v), 4) for v in placed_shares],
        "found_unaligned": [round(float(v), 4) for v in plain],
        "motion_amplitude": placement.amplitude,
    }


def _inner_products(
    run: Run, component: TrueComponent, its: Correspondence, n_found: int
) -> tuple[Float64, Float64]:
    """Of found maps with true ones, and of true ones; up to the run's own band limit."""
    size = run.box_size
    outside = radius_index(size) > run.snapshot.stage.max_radius
    true = np.empty((len(component.states), size**3), dtype=np.float32)
    for row, volume in zip(true, component.volumes, strict=True):
        spectrum = volume_to_half_space(volume)
        spectrum[outside] = 0
        row[:] = volume_from_half_space(spectrum, size).ravel()
    state = [0.5] * run.maps.dims
    cross = np.empty((n_found, len(true)))
    for index in range(n_found):
        state[its.axis] = (index + 0.5) / n_found
        cross[index] = true @ run.maps.volume(state).ravel()
    return cross, (true @ true.T).astype(np.float64)

"""How well a run's occupancy, its particles' distribution over a state, agrees with the true one.

A state's parametrisation is a gauge: a run may stretch a crowded part of a motion, and then its
histogram is another one of the same occupancy. So found states are first placed on the true
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
from napari_hypermol.runs.correspondence import Correspondence, found_classes, found_occupancy
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
    "with_ends",
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

    The least squares distance of difference maps, weighted by the found occupancy, over all
    placements that keep the order, by dynamic programming. Differences are from the mean over the
    occupancy, which no parametrisation changes.

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


def with_ends(placed: Float64) -> Float64:
    """Placed edges, the first and last of which stand for the ends of the true range.

    By definition nothing lies beyond a run's states 0 and 1, but its maps there are averages over
    neighbouring states and regularised: they look like true maps some way inside.
    """
    edges = placed.copy()
    edges[[0, -1]] = [0.0, 1.0] if placed[0] <= placed[-1] else [1.0, 0.0]
    return edges


def occupancy_distance(
    found_shares: Float64, placed: Float64, true_shares: Float64
) -> tuple[float, Float64]:
    """Total variation between a found occupancy, placed on the true coordinate, and the true one.

    Parameters
    ----------
    found_shares : (cells,) float64 ndarray
    placed : (cells + 1,) float64 ndarray
        True states of the cells' edges, monotone, in [0, 1].
    true_shares : (bins,) float64 ndarray
        In equal bins of the true coordinate.

    Returns
    -------
    distance : float
    shares : (bins,) float64 ndarray
        The found occupancy in the true coordinate's bins.
    """
    if placed[0] > placed[-1]:
        found_shares, placed = found_shares[::-1], placed[::-1]
    shares = rebinned(found_shares, placed, len(true_shares))
    return total_variation(shares, true_shares), shares


def occupancy_score(
    run: Run, component: TrueComponent, its: Correspondence, true: Float64
) -> dict[str, Any] | None:
    """Compare the occupancy along one range with the true one, in ten bins of the true state.

    Returns
    -------
    dict or None
        ``total_variation`` after found states are placed by their maps;
        ``total_variation_unaligned`` with only the direction of the state aligned;
        ``sampling_noise``, what as many particles drawn from the truth would have; the ``bins``,
        and the shares in them. None if the true occupancy or the run's is not known.
    """
    shares = found_occupancy(run, its.axis)
    if not component.occupancy or shares is None or found_classes(run, its.axis) is not None:
        return None
    true_shares = component.shares(np.linspace(0, 1, _BINS + 1))
    points = np.linspace(0, 1, 2 * len(shares) + 1)  # edges and middles of the cells
    cross, gram = _inner_products(run, component, its, points)
    placement = place_states(
        cross, gram, _at_points(shares), np.exp(component.log_prior()), component.states
    )
    edges = with_ends(placement.states[::2])
    aligned, placed_shares = occupancy_distance(shares, edges, true_shares)
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


def _at_points(shares: Float64) -> Float64:
    """Shares of cells at their edges and middles, by Simpson's rule; (2 cells + 1,)."""
    points = np.zeros(2 * len(shares) + 1)
    points[1::2] = shares * 4 / 6
    points[:-1:2] += shares / 6
    points[2::2] += shares / 6
    return points


def _inner_products(
    run: Run, component: TrueComponent, its: Correspondence, points: Float64
) -> tuple[Float64, Float64]:
    """Of found maps at `points` with true ones, and of true ones; up to the run's band limit."""
    size = run.box_size
    outside = radius_index(size) > run.snapshot.stage.max_radius
    true = np.empty((len(component.states), size**3), dtype=np.float32)
    for row, volume in zip(true, component.volumes, strict=True):
        spectrum = volume_to_half_space(volume)
        spectrum[outside] = 0
        row[:] = volume_from_half_space(spectrum, size).ravel()
    state = [0.5] * run.maps.dims
    cross = np.empty((len(points), len(true)))
    for products, point in zip(cross, points, strict=True):
        state[its.axis] = float(point)
        products[:] = true @ run.maps.volume(state).ravel()
    return cross, (true @ true.T).astype(np.float64)

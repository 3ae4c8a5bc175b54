"""How populated states are: shares of particles in bins of one state coordinate or of two.

Not here: what an estimate of the occupancy is worth (`occupancy_scores`), its draws (`mixing`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hypermol.runs.state_axes import StateAxis
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.sweep import state_tables

__all__ = [
    "Bins",
    "Occupancy",
    "bin_counts",
    "bin_majority",
    "bin_means",
    "bins_of",
    "occupancies",
]

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


class Occupancy(NamedTuple):
    """How populated the tabulated states of one coordinate are; (t,) both.

    Attributes
    ----------
    axis : StateAxis
    states : (t,) float64 ndarray
    shares : (t,) float64 ndarray
        Of the particles, each spread over the states that it may be in.
    """

    axis: StateAxis
    states: Float64
    shares: Float64


def occupancies(run: Run) -> list[Occupancy]:
    """Average posterior of the particles along every coordinate."""
    axes = run.maps.axes
    found: list[Occupancy] = []
    for table, posterior in zip(
        state_tables(run.snapshot.molecule), run.snapshot.posterior.tables, strict=True
    ):
        shares = posterior.mean(axis=0, dtype=np.float64)
        for states in table.states.T:
            values, index = np.unique(states, return_inverse=True)
            summed = np.zeros(len(values))
            np.add.at(summed, index, shares)
            found.append(Occupancy(axes[len(found)], values, summed))
    return found


class Bins(NamedTuple):
    """Which bin every particle is in, along one coordinate or two.

    Attributes
    ----------
    number : (n,) int64 ndarray
        Of the bin, the last axis running fastest.
    shape : tuple of int
        Bins along each axis; as many as there are classes, where it is a class.
    """

    number: Int64
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """All bins."""
        return int(np.prod(self.shape))


def bins_of(states: Float64, axes: tuple[StateAxis, ...], n_bins: int) -> Bins:
    """Bins of equal width over [0, 1].

    Parameters
    ----------
    states : (n, d) float64 ndarray
        Of the `axes`.
    axes : tuple of StateAxis, length d
    n_bins : int
        Along a range or a circle.

    Returns
    -------
    Bins
    """
    shape = tuple(axis.n_classes if axis.kind == "class" else n_bins for axis in axes)
    index = np.zeros(len(states), dtype=np.int64)
    for column, count in zip(states.T, shape, strict=True):
        own = (column * count).astype(np.int64)
        index *= count
        index += np.clip(own, 0, count - 1, out=own)
    return Bins(index, shape)


def bin_counts(bins: Bins, chosen: NDArray[np.bool_] | None = None) -> Int64:
    """Particles in every bin, of all or of those `chosen` (n,); in the bins' shape."""
    index = bins.number if chosen is None else bins.number[chosen]
    return np.bincount(index, minlength=bins.size).reshape(bins.shape)


def bin_means(bins: Bins, values: ArrayLike) -> Float64:
    """Mean of the particles' finite `values` (n,) in every bin; nan where there is none."""
    numbers = np.asarray(values, dtype=np.float64)
    known = np.isfinite(numbers)
    index, numbers = bins.number[known], numbers[known]
    sums = np.bincount(index, numbers, bins.size)
    counts = np.bincount(index, minlength=bins.size)
    means = np.divide(sums, counts, out=np.full(bins.size, np.nan), where=counts > 0)
    return np.asarray(means.reshape(bins.shape))


def bin_majority(bins: Bins, codes: Int64, n_codes: int) -> Float64:
    """Which of `n_codes` values most particles of a bin have; nan where there is none."""
    table = np.bincount(bins.number * n_codes + codes, minlength=bins.size * n_codes)
    table = table.reshape(bins.size, n_codes)
    most = np.where(table.any(axis=1), table.argmax(axis=1), np.nan)
    return np.asarray(most.reshape(bins.shape))

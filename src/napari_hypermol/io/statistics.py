"""What the header of an MRC file says of its numbers, in one walk through them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.loops import compiled, inlined

__all__ = ["Statistics", "statistics_of"]

_AT_ONCE = 2**14  # numbers, read three times, and once from memory


class Statistics(NamedTuple):
    """Of some numbers; of none of them, what MRC has for unknown: the greatest below the least.

    Attributes
    ----------
    least, greatest, mean, std : float
        NaN, all four, where a number is NaN or infinite.
    """

    least: float
    greatest: float
    mean: float
    std: float


# What is finite may be summed in any order and compared as if there were no NaN; before that is
# known, only the former.
@inlined(fastmath={"reassoc", "contract"})
def _sum(part: Any) -> Any:
    total = 0.0
    for i in range(len(part)):
        total += np.float64(part[i])
    return total


@inlined(fastmath=True)
def _extremes(part: Any) -> Any:
    least = greatest = part[0]
    for i in range(len(part)):
        least, greatest = min(least, part[i]), max(greatest, part[i])
    return least, greatest


@inlined(fastmath=True)
def _squares(part: Any, mean: Any) -> Any:
    total = 0.0
    for i in range(len(part)):
        apart = np.float64(part[i]) - mean
        total += apart * apart
    return total


@compiled()
def _walked(flat: Any, at_once: Any) -> Any:
    least, greatest, mean, squares = np.inf, -np.inf, 0.0, 0.0
    for start in range(0, len(flat), at_once):
        part = flat[start : start + at_once]
        total = _sum(part)
        if not np.isfinite(total):
            return np.nan, np.nan, np.nan, np.nan
        low, high = _extremes(part)
        least, greatest = min(least, low), max(greatest, high)
        own = total / len(part)
        away, share = own - mean, len(part) / (start + len(part))
        squares += _squares(part, own) + away * away * start * share
        mean += away * share
    return least, greatest, mean, np.sqrt(squares / len(flat))


def statistics_of(values: NDArray[np.float32], at_once: int = _AT_ONCE) -> Statistics:
    """Least, greatest, mean and standard deviation.

    Parameters
    ----------
    values : float32 ndarray
        In C order.
    at_once : int
        Numbers that are looked at together, about their own mean; no effect but by rounding.
    """
    flat = values.reshape(-1)
    if not len(flat):
        return Statistics(0.0, -1.0, -2.0, -1.0)
    return Statistics(*map(float, _walked(flat, at_once)))

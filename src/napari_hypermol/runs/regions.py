"""Which particles lie in a region of their states: a range, classes, what a lasso goes around."""

from collections.abc import Collection
from typing import Literal

import numpy as np
from matplotlib.path import Path as Outline
from numpy.typing import ArrayLike, NDArray

from napari_hypermol.errors import ShapeError
from napari_hypermol.runs.state_axes import StateAxis, class_numbers

__all__ = ["Change", "changed", "inside_lasso", "inside_range", "of_classes"]

Float64 = NDArray[np.float64]
Mask = NDArray[np.bool_]
Change = Literal["replace", "add", "subtract"]
_CLOSE = 2e-3  # of the axes; corners of a lasso nearer to one another say nothing more


def inside_lasso(states: Float64, corners: ArrayLike) -> Mask:
    """Particles inside a closed outline.

    Parameters
    ----------
    states : (n, 2) float64 ndarray
    corners : (m, 2) array_like
        Of the outline; its end is joined to its beginning.

    Returns
    -------
    (n,) bool ndarray
    """
    outline = _thinned(np.asarray(corners, dtype=np.float64).reshape(-1, 2))
    inside = np.zeros(len(states), dtype=np.bool_)
    if len(outline) < 3:
        return inside
    low, high = outline.min(axis=0), outline.max(axis=0)
    x, y = states[:, 0], states[:, 1]
    near = np.flatnonzero((x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1]))
    inside[near] = Outline(outline).contains_points(states[near])
    return inside


def _thinned(corners: Float64) -> Float64:
    """Corners without those that hardly differ from the one before."""
    kept: list[Float64] = []
    for corner in corners:
        if not kept or np.abs(corner - kept[-1]).max() >= _CLOSE:
            kept.append(corner)
    return np.array(kept).reshape(-1, 2)


def inside_range(states: Float64, low: float, high: float) -> Mask:
    """Particles from `low` to `high`, both included; `low` > `high` runs through the end.

    Parameters
    ----------
    states : (n,) float64 ndarray
    low, high : float
        As an interval of a circle: from 0.9 to 0.1 is a fifth of a turn.
    """
    if low <= high:
        return np.asarray((states >= low) & (states <= high))
    return np.asarray((states >= low) | (states <= high))


def of_classes(states: Float64, axis: StateAxis, numbers: Collection[int]) -> Mask:
    """Particles of some classes, by their numbers from 1."""
    return np.isin(class_numbers(states, axis.n_classes), list(numbers))


def changed(old: Mask | None, new: Mask, change: Change) -> Mask | None:
    """A selection replaced by another, or with it added or taken away; None for an empty one."""
    if old is not None and len(old) != len(new):
        raise ShapeError(f"a selection of {len(new)} particles, expected {len(old)}")
    before = np.zeros_like(new) if old is None else old
    result = {"replace": new, "add": before | new, "subtract": before & ~new}[change]
    return result if result.any() else None

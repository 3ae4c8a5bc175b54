"""Which particles lie in a region of their states: a range, classes, what a lasso goes around."""

from collections.abc import Collection
from typing import Literal

import numpy as np
from matplotlib.path import Path as Outline
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_hypermol.errors import ShapeError
from napari_hypermol.runs.state_axes import StateAxis, class_numbers

__all__ = ["Change", "changed", "inside_lasso", "inside_range", "of_classes"]

Float64 = NDArray[np.float64]
Mask = NDArray[np.bool_]
Change = Literal["replace", "add", "subtract"]
_CELLS = 128  # along either axis, to look at most particles together
_CLOSE = 2e-3  # of the axes; corners of a lasso nearer to one another say nothing more


def inside_lasso(states: Float64, corners: ArrayLike) -> Mask:
    """Particles inside a closed outline.

    Parameters
    ----------
    states : (n, 2) float64 ndarray
        In [0, 1].
    corners : (m, 2) array_like
        Of the outline; its end is joined to its beginning.

    Returns
    -------
    (n,) bool ndarray
    """
    outline = _thinned(np.asarray(corners, dtype=np.float64).reshape(-1, 2))
    if len(outline) < 3:
        return np.zeros(len(states), dtype=np.bool_)
    path = Outline(outline)
    # all particles of a cell that the outline does not enter are inside or outside together
    centre = (np.arange(_CELLS) + 0.5) / _CELLS
    centres = np.stack(np.meshgrid(centre, centre, indexing="ij"), axis=-1).reshape(-1, 2)
    whole = path.contains_points(centres)
    x, y = np.clip((states * _CELLS).astype(np.int32), 0, _CELLS - 1).T
    cell = x * _CELLS + y
    inside = whole[cell]
    cut = np.flatnonzero(_entered(outline)[cell])
    inside[cut] = path.contains_points(states[cut])
    return np.asarray(inside)


def _entered(outline: Float64) -> Mask:
    """Cells that an outline enters, and their neighbours; (cells^2,)."""
    steps = np.diff(np.concatenate([outline, outline[:1]]), axis=0)
    counts = 2 + (np.abs(steps).max(axis=1) * _CELLS).astype(np.int64)  # a cell or less apart
    on_line = [
        start + np.linspace(0, 1, count)[:, None] * step
        for start, step, count in zip(outline, steps, counts, strict=True)
    ]
    x, y = np.clip((np.concatenate(on_line) * _CELLS).astype(np.int64), 0, _CELLS - 1).T
    entered = np.zeros((_CELLS, _CELLS), dtype=np.bool_)
    entered[x, y] = True
    return ndimage.binary_dilation(entered, np.ones((3, 3), dtype=np.bool_)).ravel()


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

"""A path through the states, drawn as a line: where on it maps are made.

Not here: how a component moves with its state (`trajectories`), what is made along a path
(`series`).
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hypermol.errors import HypermolError

__all__ = ["Spacing", "nearest_on_path", "path_length", "states_along"]

Float64 = NDArray[np.float64]
Spacing = Literal["length", "particles"]
_REACH = 0.1  # of the axes; particles further from a path are not of it


def states_along(
    corners: ArrayLike, n: int, spacing: Spacing = "length", states: Float64 | None = None
) -> Float64:
    """States on a path, its two ends among them.

    Parameters
    ----------
    corners : (m, d) array_like
        Of the path, in [0, 1].
    n : int
        How many.
    spacing : Spacing
        Evenly spaced by arc length; or as many particles between one and the next as between any
        other two, of those near the path.
    states : (p, d) float64 ndarray
        The particles', for spacing by them.

    Returns
    -------
    (n, d) float64 ndarray

    Raises
    ------
    HypermolError
        If the path is a point, or no particle is near it.
    """
    line = np.clip(np.asarray(corners, dtype=np.float64), 0, 1)
    ends = _arc(line)
    if n < 2 or ends[-1] <= 0:
        raise HypermolError(
            f"a path of length {ends[-1]:.2g} with {n} maps; draw a longer one, with at least 2"
        )
    share = np.linspace(0, 1, n)
    if spacing == "length":
        at = share * ends[-1]
    else:
        if states is None:
            raise HypermolError("spacing by particles needs their states")
        at = _by_particles(line, states, share)
    return np.stack([np.interp(at, ends, column) for column in line.T], axis=1)


def path_length(corners: ArrayLike) -> float:
    """Arc length; states are in [0, 1], so that the whole of one axis is 1."""
    return float(_arc(np.asarray(corners, dtype=np.float64))[-1])


def _arc(line: Float64) -> Float64:
    """Arc length from the beginning to every corner."""
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def nearest_on_path(corners: ArrayLike, states: Float64) -> tuple[Float64, Float64]:
    """How far along a path every particle is, and how far from it; (p,) both."""
    line = np.asarray(corners, dtype=np.float64)
    begins = _arc(line)
    at, distance = np.zeros(len(states)), np.full(len(states), np.inf)
    for start, end, begin in zip(line[:-1], line[1:], begins[:-1], strict=True):
        step = end - start
        length = float(np.linalg.norm(step))
        if length == 0:
            continue
        share = np.clip((states - start) @ step / length**2, 0, 1)
        away = np.linalg.norm(states - start - share[:, None] * step, axis=1)
        is_nearer = away < distance
        at[is_nearer] = (begin + share * length)[is_nearer]
        distance[is_nearer] = away[is_nearer]
    return at, distance


def _by_particles(line: Float64, states: Float64, share: Float64) -> Float64:
    """Arc lengths between which there are equally many particles; the ends of the path stay."""
    at, distance = nearest_on_path(line, states)
    near = at[distance <= _REACH]
    if len(near) < len(share):
        raise HypermolError(
            f"{len(near)} particles near the path, too few to space {len(share)} maps by them; "
            "space them evenly, or draw the path where the particles are"
        )
    inner = np.quantile(near, share[1:-1])
    return np.concatenate([[0.0], inner, [_arc(line)[-1]]])

"""Preconditioned conjugate gradients: the MAP solve of anything quadratic.

Knows callables, not molecules.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["SolveInfo", "solve"]

Vector = NDArray[np.floating]


class SolveInfo(NamedTuple):
    """How a solve went.

    Attributes
    ----------
    n_iterations : int
    residual : float
        Preconditioned residual norm at the end, relative to that of the right-hand side.
    """

    n_iterations: int
    residual: float


def _dot(x: Vector, y: Vector) -> float:
    return float(np.dot(x.astype(np.float64), y.astype(np.float64)))


def solve(
    operator: Callable[[Vector], Vector],
    right_side: Vector,
    start: Vector,
    precondition: Callable[[Vector], Vector],
    max_iterations: int,
    tolerance: float,
    patience: int = 1,
    enough: float = np.inf,
) -> tuple[Vector, SolveInfo]:
    """Solve ``operator(x) = right_side`` for a symmetric positive operator.

    Parameters
    ----------
    operator, precondition : callable, (k,) -> (k,)
        Both symmetric positive.
    right_side, start : (k,) float ndarray
    max_iterations : int
    tolerance : float
        On the relative preconditioned residual.
    patience : int
        Up to so many times `max_iterations` while the residual exceeds `enough`.
    enough : float

    Returns
    -------
    x : (k,) float ndarray
    info : SolveInfo
    """
    x = start.copy()
    scale = _dot(right_side, precondition(right_side))
    if scale <= 0:
        return np.zeros_like(x), SolveInfo(0, 0.0)
    residual = right_side - operator(x) if x.any() else right_side.copy()
    z = precondition(residual)
    direction, rho, done = z, _dot(residual, z), 0
    while rho > tolerance**2 * scale:
        if done >= max_iterations and (
            done >= patience * max_iterations or rho <= enough**2 * scale
        ):
            break
        applied = operator(direction)
        step = rho / _dot(direction, applied)
        x = x + np.asarray(step, x.dtype) * direction
        residual = residual - np.asarray(step, x.dtype) * applied
        z = precondition(residual)
        rho, previous = _dot(residual, z), rho
        direction = z + np.asarray(rho / previous, x.dtype) * direction
        done += 1
    return x, SolveInfo(done, float(np.sqrt(max(rho, 0.0) / scale)))

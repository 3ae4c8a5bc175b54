"""Preconditioned conjugate gradients: the MAP solve of anything quadratic.

Knows callables, not molecules. Vectors may be on a device.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module
from napari_hypermol.loops import compiled

__all__ = ["SolveInfo", "refine", "solve"]

Vector = NDArray[np.floating]
_FAR = 2.0  # from what an operator's stand-in says: an estimate is not believed alone


class SolveInfo(NamedTuple):
    """How a solve went.

    Attributes
    ----------
    n_iterations : int
    residual : float
        Preconditioned residual norm at the end, relative to that of the right-hand side (`solve`),
        or to that at the start (`refine`).
    """

    n_iterations: int
    residual: float


@compiled(fastmath={"reassoc", "contract"})
def _dot_here(x: Any, y: Any) -> Any:
    total = 0.0
    for i in range(len(x)):
        total += np.float64(x[i]) * np.float64(y[i])
    return total


def _dot(x: Vector, y: Vector) -> float:
    """In double precision, whatever the vectors have."""
    if array_module(x) is np:
        return float(_dot_here(x, y))
    return float(x.astype(np.float64) @ y.astype(np.float64))


def solve(
    operator: Callable[[Vector], Vector],
    right_side: Vector,
    start: Vector,
    precondition: Callable[[Vector], Vector],
    max_iterations: int,
    tolerance: float,
    patience: int = 1,
    enough: float = np.inf,
    is_flexible: bool = False,
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
    is_flexible : bool
        `precondition` is a solve itself, cut short, and so not the same matrix twice: directions
        are made orthogonal by what they are, not by what exact arithmetic says.

    Returns
    -------
    x : (k,) float ndarray
    info : SolveInfo
    """
    x = start.copy()
    z = precondition(right_side)
    scale = _dot(right_side, z)
    if scale <= 0:
        return array_module(x).zeros_like(x), SolveInfo(0, 0.0)
    residual = right_side
    if x.any():
        residual = right_side - operator(x)
        z = precondition(residual)
    direction, rho, done = z, _dot(residual, z), 0
    while rho > tolerance**2 * scale:
        if done >= max_iterations and (
            done >= patience * max_iterations or rho <= enough**2 * scale
        ):
            break
        applied = operator(direction)
        step = rho / _dot(direction, applied)
        x = x + x.dtype.type(step) * direction
        residual, before = residual - x.dtype.type(step) * applied, residual
        z = precondition(residual)
        rho, previous = _dot(residual, z), rho
        kept = rho - (_dot(before, z) if is_flexible else 0.0)
        direction = z + x.dtype.type(kept / previous) * direction
        done += 1
    return x, SolveInfo(done, float(np.sqrt(max(rho, 0.0) / scale)))


def refine(
    residual: Callable[[Vector], Vector],
    approximate: Callable[[Vector], Vector],
    curvature: Callable[[Vector], float],
    start: Vector,
    precondition: Callable[[Vector], Vector],
    max_iterations: int,
    tolerance: float,
    roughly: Callable[[Vector], float] | None = None,
) -> tuple[Vector, SolveInfo]:
    """One step of iterative refinement: x + t B^-1 (b - A x), where B is cheap and near A.

    The error that is left is that of x times how far B is from A: where x is refined again and
    again it converges to the solution of A, not to that of B. The length t that is best for A lets
    it converge however far B is.

    Parameters
    ----------
    residual : callable, (k,) -> (k,)
        b - A x; called once.
    approximate : callable, (k,) -> (k,)
        B, symmetric positive.
    curvature : callable, (k,) -> float
        s -> s.A s; called once at most.
    start : (k,) float ndarray
        x.
    precondition : callable, (k,) -> (k,)
        Of the solve with B.
    max_iterations : int
    tolerance : float
        Of that solve, on the preconditioned residual relative to what it begins with.
    roughly : callable or None
        An estimate of `curvature`, which is asked for only where the two disagree by a factor of
        two: the estimate and B.

    Returns
    -------
    x : (k,) float ndarray
    info : SolveInfo
        Iterations with B; the residual that they leave, relative to that of `start`.
    """
    right = residual(start)
    step, info = solve(
        approximate,
        right,
        array_module(start).zeros_like(start),
        precondition,
        max_iterations,
        tolerance,
    )
    along = _dot(step, right)
    if along <= 0:  # nothing to do
        return start.copy(), SolveInfo(info.n_iterations, 0.0)
    # conjugate gradients leave what is orthogonal to the step, so that s.B s = s.r: B says 1
    curved = along if roughly is None else roughly(step)
    if roughly is None or not 1 / _FAR < curved / along < _FAR:
        curved = curvature(step)
    return start + step.dtype.type(along / curved) * step, info

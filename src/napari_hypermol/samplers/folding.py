"""States in [0, 1] for kernels that step on the whole line: intervals reflect, circles close.

A log density on [0, 1] is continued to the line, mirrored at 0 and 1 or with period 1. Steps on the
line commute with mirroring and turning, so the folded chain has the right equilibrium, and
no proposal is lost at an end.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import ShapeError
from napari_hypermol.protocols import StateKind

__all__ = ["fold", "unfolded"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]
LogDensityGrad = Callable[[Float64], tuple[Float64, Float64]]


def fold(values: Float, kinds: Sequence[StateKind]) -> tuple[Float64, Float64]:
    """States on the line to states in [0, 1].

    Parameters
    ----------
    values : (n, d) float ndarray
    kinds : sequence of d StateKind
        Classes are left as they are.

    Returns
    -------
    states : (n, d) float64 ndarray
    signs : (n, d) float64 ndarray
        Derivatives of the states with respect to the values, 1 or -1.
    """
    states = np.array(values, dtype=np.float64)
    if states.ndim != 2 or states.shape[1] != len(kinds):
        raise ShapeError(f"states of shape {states.shape}, expected (n, {len(kinds)})")
    signs = np.ones_like(states)
    for axis, kind in enumerate(kinds):
        column = states[:, axis]
        if kind == "interval":
            signs[:, axis] = np.where(column % 2 <= 1, 1.0, -1.0)
            states[:, axis] = 1 - np.abs(1 - column % 2)
        elif kind == "circle":
            turns = column % 1
            states[:, axis] = np.where(turns < 1, turns, 0.0)  # -1e-20 % 1 is 1
    return states, signs


def unfolded(log_density_grad: LogDensityGrad, kinds: Sequence[StateKind]) -> LogDensityGrad:
    """A log density of states (n, d) and its gradient, continued to the whole line.

    For `mala` and `hmc`, whose chain is then on the line: `fold` its value.
    """
    if "class" in kinds:
        raise ShapeError("a class has no gradient; move classes by tables or by state_walk")

    def continued(value: Float64) -> tuple[Float64, Float64]:
        states, signs = fold(value, kinds)
        there, gradient = log_density_grad(states)
        return there, signs * gradient

    return continued

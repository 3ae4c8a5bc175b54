"""Exact draws from a Gaussian whose precision is only known as an operator: perturb and solve.

With precision A and right-hand side b, theta = A^-1 (b + eta), eta ~ N(0, A), has mean A^-1 b and
covariance A^-1. Where A is a sum of terms F_j^T F_j, as the normal equations of the coefficients
and their prior are, eta is the sum of F_j^T white noise: noise images sent through the adjoint.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.samplers.conjugate_gradient import SolveInfo, solve

__all__ = ["gaussian_draw"]

Vector = NDArray[np.floating]
Operator = Callable[[Vector], Vector]


def gaussian_draw(
    rng: np.random.Generator,
    value: Vector,
    operator: Operator,
    right_side: Vector,
    perturbation: Callable[[np.random.Generator], Vector],
    precondition: Operator,
    max_iterations: int,
    tolerance: float = 1e-6,
    is_flexible: bool = False,
) -> tuple[Vector, SolveInfo]:
    """A draw from N(A^-1 b, A^-1), independent of the last up to the tolerance of the solve.

    Parameters
    ----------
    rng : Generator
    value : (k,) float ndarray
        The chain: the last draw, where the solve begins.
    operator, precondition : callable, (k,) -> (k,)
        A, and an approximate inverse of it; both symmetric positive.
    right_side : (k,) float ndarray
        b.
    perturbation : callable, Generator -> (k,)
        Draws from N(0, A).
    max_iterations : int
    tolerance : float
        Of the solve; what is left unsolved stays near the last draw.
    is_flexible : bool
        `precondition` is itself a solve, cut short.

    Returns
    -------
    value : (k,) float ndarray
    info : SolveInfo
    """
    perturbed = right_side + perturbation(rng)
    return solve(
        operator, perturbed, value, precondition, max_iterations, tolerance, is_flexible=is_flexible
    )

"""Symmetric positive preconditioners A of Langevin and Hamiltonian steps, Eq. (19).

Given by what they do: `apply` multiplies by A, `apply_sqrt` turns white noise into N(0, A). No
kernel needs the inverse of A or its root, so A may be any operator, such as a filter in Fourier
space.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["IDENTITY", "Preconditioner", "dense", "diagonal"]

Float64 = NDArray[np.float64]


class Preconditioner(NamedTuple):
    """A and a root of it.

    Attributes
    ----------
    apply : callable, (n, ...) -> (n, ...)
        A, the same for all chains or each its own; it must not depend on the value.
    apply_sqrt : callable, (n, ...) -> (n, ...)
        Any S with S S^T = A; it need not be symmetric.
    """

    apply: Callable[[Float64], Float64]
    apply_sqrt: Callable[[Float64], Float64]


def _same(x: Float64) -> Float64:
    return x


IDENTITY = Preconditioner(_same, _same)


def diagonal(variances: ArrayLike) -> Preconditioner:
    """Multiplication by positive `variances`, of a shape that broadcasts to (n, ...)."""
    variances = np.asarray(variances, dtype=np.float64)
    root = np.sqrt(variances)
    return Preconditioner(lambda x: variances * x, lambda x: root * x)


def dense(covariance: ArrayLike) -> Preconditioner:
    """A matrix (d, d) for values (n, d), with its Cholesky root."""
    covariance = np.asarray(covariance, dtype=np.float64)
    root = np.linalg.cholesky(covariance)
    return Preconditioner(lambda x: x @ covariance, lambda x: x @ root.T)

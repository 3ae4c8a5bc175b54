"""Log evidence of states off their table, the contrast summed out, and its slope (Eq. 23).

For kernels that move states by steps instead of drawing them from a table. With b and G of
`likelihood`, l = c.b and s = c.G c, the contrast's integral is a function of l and s alone, and

    d log p / dc = E[a] b - E[a^2] G c,

the moments those of the contrast given c.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import ShapeError
from napari_hypermol.loops import compiled
from napari_hypermol.posterior.states import contrast_moments

__all__ = ["state_evidence"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]


@compiled(parallel=True)
def _evidence(b: Any, g: Any, c: Any, std: Any, value: Any, gradient: Any) -> None:
    for i in numba.prange(b.shape[0]):
        linear, square = 0.0, 0.0
        for p in range(b.shape[1]):
            inner = 0.0
            for q in range(b.shape[1]):
                inner += g[i, p, q] * c[i, q]
            gradient[i, p] = inner
            linear += c[i, p] * b[i, p]
            square += c[i, p] * inner
        value[i], mean, mean_square = contrast_moments(linear, max(square, 0.0), std)
        for p in range(b.shape[1]):
            gradient[i, p] = mean * b[i, p] - mean_square * gradient[i, p]


def state_evidence(
    b: Float, g: Float, functions: Float, contrast_std: float
) -> tuple[Float64, Float64]:
    """Log evidence of n particles at given state functions, against the empty molecule.

    Parameters
    ----------
    b : (n, q) float ndarray
    g : (n, q, q) float ndarray
    functions : (n, q) float ndarray
        c of every particle.
    contrast_std : float
        Of the contrasts' normal prior about 1, truncated at 0; zero fixes them at 1.

    Returns
    -------
    evidence : (n,) float64 ndarray
    gradient : (n, q) float64 ndarray
        Over c.
    """
    n, n_q = functions.shape
    if b.shape != (n, n_q) or g.shape != (n, n_q, n_q):
        raise ShapeError(
            f"b of shape {b.shape} and G of {g.shape}, expected ({n}, {n_q}) and "
            f"({n}, {n_q}, {n_q})"
        )
    value, gradient = np.empty(n), np.empty((n, n_q))
    c = np.ascontiguousarray(functions, dtype=np.float64)
    _evidence(b, g, c, float(contrast_std), value, gradient)
    return value, gradient

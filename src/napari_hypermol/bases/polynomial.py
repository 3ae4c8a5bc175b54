"""Polynomial state bases on [0, 1]: Legendre and Chebyshev.

Both span the polynomials; they differ in what an independent prior of their coefficients means.
"""

import numpy as np
from numpy.polynomial import chebyshev, legendre
from numpy.typing import NDArray

from napari_hypermol.bases.degree_basis import DegreeBasis
from napari_hypermol.bases.state_algebra import checked_states

__all__ = ["ChebyshevBasis", "LegendreBasis"]

Float64 = NDArray[np.float64]


class LegendreBasis(DegreeBasis):
    """P_q = sqrt(2 q + 1) L_q(2 tau - 1), orthonormal for the uniform density.

    Assumes a smooth change along the state that need not flatten at its ends: a steady turn.
    """

    @property
    def _scale(self) -> Float64:
        return np.asarray(np.sqrt(2.0 * self.degrees + 1))

    def evaluate(self, states: NDArray[np.floating]) -> Float64:
        """The state functions; (n, 1) -> (n, q)."""
        x = 2 * checked_states(states, 1)[:, 0] - 1
        return np.asarray(legendre.legvander(x, self.degree) * self._scale, dtype=np.float64)

    def derivative(self, states: NDArray[np.floating]) -> Float64:
        """Their derivatives; (n, 1) -> (n, q, 1)."""
        x = 2 * checked_states(states, 1)[:, 0] - 1
        slopes = legendre.legder(np.diag(self._scale), scl=2)
        return np.asarray(legendre.legval(x, slopes).T, dtype=np.float64)[:, :, None]


class ChebyshevBasis(DegreeBasis):
    """P_q = sqrt(2) T_q(2 tau - 1), P_0 = 1: orthonormal for the density of a cosine's values.

    Assumes what `LegendreBasis` does, and treats the ends of the state as carefully as its middle.
    """

    @property
    def _scale(self) -> Float64:
        return np.where(self.degrees > 0, np.sqrt(2.0), 1.0)

    def evaluate(self, states: NDArray[np.floating]) -> Float64:
        """The state functions; (n, 1) -> (n, q)."""
        x = 2 * checked_states(states, 1)[:, 0] - 1
        return np.asarray(chebyshev.chebvander(x, self.degree) * self._scale)

    def derivative(self, states: NDArray[np.floating]) -> Float64:
        """Their derivatives; (n, 1) -> (n, q, 1)."""
        x = 2 * checked_states(states, 1)[:, 0] - 1
        slopes = chebyshev.chebder(np.diag(self._scale), scl=2)
        return np.asarray(chebyshev.chebval(x, slopes).T, dtype=np.float64)[:, :, None]

"""Polynomial state bases on [0, 1]: Legendre and Chebyshev.

Both span the polynomials; they differ in what an independent prior of their coefficients means.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.polynomial import chebyshev, legendre
from numpy.typing import NDArray

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.state_algebra import checked_states, gauss_legendre
from napari_hypermol.errors import ShapeError
from napari_hypermol.protocols import StateBasis, StateKind

__all__ = ["ChebyshevBasis", "LegendreBasis"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class _PolynomialBasis:
    """What both have in common; x = 2 tau - 1.

    Parameters
    ----------
    degree : int
        Highest degree, at least 1.
    """

    degree: int

    def __post_init__(self) -> None:
        if self.degree < 1:
            raise ShapeError(f"polynomial basis: degree {self.degree}; 1 or more is possible")

    @property
    def dims(self) -> int:
        """One."""
        return 1

    @property
    def kinds(self) -> tuple[StateKind, ...]:
        """An interval."""
        return ("interval",)

    @property
    def n_functions(self) -> int:
        """Number of state functions, q."""
        return self.degree + 1

    @property
    def degrees(self) -> NDArray[np.int64]:
        """0, 1, 2, ...; (q,)."""
        return np.arange(self.degree + 1)

    def capped(self, degree: int) -> StateBasis:
        """The functions up to `degree`."""
        return self._of(min(self.degree, degree)) if degree > 0 else ConstantBasis()

    def _of(self, degree: int) -> Self:
        return type(self)(degree)

    def evaluate(self, states: NDArray[np.floating]) -> Float64:
        """The state functions; (n, 1) -> (n, q)."""
        raise NotImplementedError

    def derivative(self, states: NDArray[np.floating]) -> Float64:
        """Their derivatives; (n, 1) -> (n, q, 1)."""
        raise NotImplementedError

    def quadrature(self) -> tuple[Float64, Float64]:
        """Gauss-Legendre, exact."""
        return gauss_legendre(self.degree + 1)

    def table(self, n_states: int) -> Float64:
        """Midpoints of equal parts; (t, 1)."""
        return (np.arange(n_states)[:, None] + 0.5) / n_states


class LegendreBasis(_PolynomialBasis):
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


class ChebyshevBasis(_PolynomialBasis):
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

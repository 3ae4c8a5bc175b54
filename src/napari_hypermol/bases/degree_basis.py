"""What state bases of one coordinate and a highest degree have in common."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.state_algebra import gauss_legendre
from napari_hypermol.errors import ShapeError
from napari_hypermol.protocols import StateBasis, StateKind

__all__ = ["DegreeBasis"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class DegreeBasis:
    """Functions of one coordinate on an interval, one for each degree.

    Parameters
    ----------
    degree : int
        Highest degree, at least 1.
    """

    degree: int

    def __post_init__(self) -> None:
        if self.degree < 1:
            name = type(self).__name__.removesuffix("Basis").lower()
            raise ShapeError(f"{name} basis: degree {self.degree}; 1 or more is possible")

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

    def evaluate(self, states: NDArray[np.floating]) -> Float64:
        """The state functions; (n, 1) -> (n, q)."""
        raise NotImplementedError

    def derivative(self, states: NDArray[np.floating]) -> Float64:
        """Their derivatives; (n, 1) -> (n, q, 1)."""
        raise NotImplementedError

    def capped(self, degree: int) -> StateBasis:
        """The functions up to `degree`."""
        return self._of(min(self.degree, degree)) if degree > 0 else ConstantBasis()

    def _of(self, degree: int) -> Self:
        return type(self)(degree)

    def quadrature(self) -> tuple[Float64, Float64]:
        """Gauss-Legendre, exact for polynomials and to rounding for cosines."""
        return gauss_legendre(2 * self.degree + 20)

    def table(self, n_states: int) -> Float64:
        """Midpoints of equal parts; (t, 1)."""
        return (np.arange(n_states)[:, None] + 0.5) / n_states

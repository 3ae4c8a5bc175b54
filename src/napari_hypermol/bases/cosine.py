"""Cosine state basis on [0, 1], orthonormal for the uniform density, Eq. (21)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.state_algebra import checked_states, gauss_legendre
from napari_hypermol.errors import ShapeError
from napari_hypermol.protocols import StateBasis, StateKind

__all__ = ["CosineBasis"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class CosineBasis:
    """P_0 = 1, P_q = sqrt(2) cos(pi q tau).

    Assumes that the density changes smoothly along the state and flattens at its ends.

    Parameters
    ----------
    degree : int
        Highest q, at least 1.
    """

    degree: int

    def __post_init__(self) -> None:
        if self.degree < 1:
            raise ShapeError(f"cosine basis: degree {self.degree}; 1 or more is possible")

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
        factor = np.where(self.degrees > 0, np.sqrt(2.0), 1.0)
        return np.asarray(factor * np.cos(np.pi * checked_states(states, 1) * self.degrees))

    def derivative(self, states: NDArray[np.floating]) -> Float64:
        """Their derivatives; (n, 1) -> (n, q, 1)."""
        angles = np.pi * checked_states(states, 1) * self.degrees
        return np.asarray(-np.sqrt(2.0) * np.pi * self.degrees * np.sin(angles))[:, :, None]

    def capped(self, degree: int) -> StateBasis:
        """The functions up to `degree`."""
        return CosineBasis(min(self.degree, degree)) if degree > 0 else ConstantBasis()

    def quadrature(self) -> tuple[Float64, Float64]:
        """Gauss-Legendre, to rounding."""
        return gauss_legendre(2 * self.degree + 20)

    def table(self, n_states: int) -> Float64:
        """Midpoints of equal parts; (t, 1)."""
        return (np.arange(n_states)[:, None] + 0.5) / n_states

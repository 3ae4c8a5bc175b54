"""Fourier state basis on the circle: a knob that can be turned all the way round."""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.degree_basis import DegreeBasis
from napari_hypermol.bases.state_algebra import checked_states
from napari_hypermol.protocols import StateKind

__all__ = ["FourierBasis"]

Float64 = NDArray[np.float64]


class FourierBasis(DegreeBasis):
    """P_0 = 1, P_2q-1 = sqrt(2) cos(2 pi q tau), P_2q = sqrt(2) sin(2 pi q tau).

    Assumes that the states 0 and 1 are one and the same.
    """

    @property
    def kinds(self) -> tuple[StateKind, ...]:
        """A circle."""
        return ("circle",)

    @property
    def n_functions(self) -> int:
        """Number of state functions, 2 degree + 1."""
        return 2 * self.degree + 1

    @property
    def degrees(self) -> NDArray[np.int64]:
        """0, 1, 1, 2, 2, ...; (q,)."""
        return (np.arange(self.n_functions) + 1) // 2

    @property
    def _lag(self) -> Float64:
        """Phase that makes a sine of every second function [rad]."""
        return np.where(np.arange(self.n_functions) % 2, 0.0, -0.5 * np.pi)

    def evaluate(self, states: NDArray[np.floating]) -> Float64:
        """The state functions; (n, 1) -> (n, q)."""
        angles = 2 * np.pi * checked_states(states, 1) * self.degrees + self._lag
        return np.asarray(np.where(self.degrees > 0, np.sqrt(2.0) * np.cos(angles), 1.0))

    def derivative(self, states: NDArray[np.floating]) -> Float64:
        """Their derivatives; (n, 1) -> (n, q, 1)."""
        angles = 2 * np.pi * checked_states(states, 1) * self.degrees + self._lag
        slope = -np.sqrt(2.0) * 2 * np.pi * self.degrees * np.sin(angles)
        return np.asarray(slope)[:, :, None]

    def quadrature(self) -> tuple[Float64, Float64]:
        """Equal weights, exact on a circle."""
        n = 2 * self.degree + 1
        return np.arange(n)[:, None] / n, np.full(n, 1 / n)

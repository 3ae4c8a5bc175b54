"""Cosine state basis on [0, 1], orthonormal for the uniform density, Eq. (21)."""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.degree_basis import DegreeBasis
from napari_hypermol.bases.state_algebra import checked_states

__all__ = ["CosineBasis"]

Float64 = NDArray[np.float64]


class CosineBasis(DegreeBasis):
    """P_0 = 1, P_q = sqrt(2) cos(pi q tau).

    Assumes that the density changes smoothly along the state and flattens at its ends.
    """

    def evaluate(self, states: NDArray[np.floating]) -> Float64:
        """The state functions; (n, 1) -> (n, q)."""
        factor = np.where(self.degrees > 0, np.sqrt(2.0), 1.0)
        return np.asarray(factor * np.cos(np.pi * checked_states(states, 1) * self.degrees))

    def derivative(self, states: NDArray[np.floating]) -> Float64:
        """Their derivatives; (n, 1) -> (n, q, 1)."""
        angles = np.pi * checked_states(states, 1) * self.degrees
        return np.asarray(-np.sqrt(2.0) * np.pi * self.degrees * np.sin(angles))[:, :, None]

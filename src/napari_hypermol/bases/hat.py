"""Piecewise linear state basis: maps at a few states and linear interpolation between them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.state_algebra import checked_states, gauss_legendre
from napari_hypermol.errors import ShapeError
from napari_hypermol.protocols import StateBasis, StateKind

__all__ = ["HatBasis"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class HatBasis:
    """The functions that are linear between equally spaced nodes.

    They are written in the orthonormal basis that goes from smooth to rough (eigenfunctions of the
    roughness, discrete cosines), not in the hats themselves: so function 0 is the constant, every
    function has a prior of its own, and a schedule can add them one by one.

    Parameters
    ----------
    n_nodes : int
        Nodes from 0 to 1, at least 2.
    degree : int or None
        How many of the rougher functions are used; None: all, ``n_nodes - 1``.
    """

    n_nodes: int
    degree: int | None = None

    def __post_init__(self) -> None:
        if self.n_nodes < 2:
            raise ShapeError(f"hat basis: {self.n_nodes} nodes; 2 or more are possible")
        if self.degree is not None and not 1 <= self.degree < self.n_nodes:
            raise ShapeError(
                f"hat basis: degree {self.degree}; 1 to {self.n_nodes - 1} is possible with "
                f"{self.n_nodes} nodes"
            )

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
        return (self.n_nodes - 1 if self.degree is None else self.degree) + 1

    @property
    def degrees(self) -> NDArray[np.int64]:
        """0, 1, 2, ... from smooth to rough; (q,)."""
        return np.arange(self.n_functions)

    @cached_property
    def _node_values(self) -> Float64:
        """Values of the functions at the nodes; (n_nodes, q)."""
        n = self.n_nodes
        mass = np.zeros((n, n))
        stiffness = np.zeros((n, n))
        for i in range(n - 1):
            pair = slice(i, i + 2)
            mass[pair, pair] += np.array([[2, 1], [1, 2]]) / (6 * (n - 1))
            stiffness[pair, pair] += np.array([[1, -1], [-1, 1]]) * (n - 1)
        values = np.asarray(eigh(stiffness, mass)[1])
        values *= np.sign(values[0])  # eigenvectors come with either sign
        values[:, 0] = 1.0
        return values[:, : self.n_functions]

    def _locate(self, states: NDArray[np.floating]) -> tuple[NDArray[np.int64], Float64]:
        place = np.clip(checked_states(states, 1)[:, 0], 0, 1) * (self.n_nodes - 1)
        left = np.minimum(place.astype(np.int64), self.n_nodes - 2)
        return left, (place - left)[:, None]

    def evaluate(self, states: NDArray[np.floating]) -> Float64:
        """The state functions; (n, 1) -> (n, q)."""
        left, share = self._locate(states)
        values = self._node_values
        return np.asarray((1 - share) * values[left] + share * values[left + 1])

    def derivative(self, states: NDArray[np.floating]) -> Float64:
        """Their derivatives, from the right at the nodes; (n, 1) -> (n, q, 1)."""
        left, _ = self._locate(states)
        slopes = np.diff(self._node_values, axis=0) * (self.n_nodes - 1)
        return np.asarray(slopes[left])[:, :, None]

    def capped(self, degree: int) -> StateBasis:
        """The smoothest functions, `degree` of them besides the constant."""
        if degree < 1:
            return ConstantBasis()
        return HatBasis(self.n_nodes, min(degree, self.n_functions - 1))

    def quadrature(self) -> tuple[Float64, Float64]:
        """Gauss-Legendre on every piece, exact."""
        return gauss_legendre(2, self.n_nodes - 1)

    def table(self, n_states: int) -> Float64:
        """Midpoints of equal parts; (t, 1)."""
        return (np.arange(n_states)[:, None] + 0.5) / n_states

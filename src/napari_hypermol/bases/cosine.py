"""Cosine state basis P_q(tau) on [0, 1]^d, orthonormal for the uniform density, Eq. (21)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import ShapeError

__all__ = ["CosineBasis"]


@dataclass(frozen=True)
class CosineBasis:
    """P_0 = 1, P_q = sqrt(2) cos(pi q tau); products in two dimensions.

    Parameters
    ----------
    dims : int
        0 (rigid: the constant alone), 1 or 2.
    degree : int
        Highest q in each dimension; in two dimensions only products of total degree <= `degree`.
    """

    dims: int
    degree: int

    def __post_init__(self) -> None:
        if self.dims not in (0, 1, 2):
            raise ShapeError(f"cosine basis: {self.dims} dimensions; 0, 1 or 2 are possible")
        if self.degree < 0:
            raise ShapeError(f"cosine basis: degree {self.degree}; 0 or more is possible")

    @property
    def orders(self) -> NDArray[np.int64]:
        """Degree of each function in each dimension, by total degree; (q, dims)."""
        if self.dims == 0:
            return np.zeros((1, 0), dtype=np.int64)
        if self.dims == 1:
            return np.arange(self.degree + 1)[:, None]
        pairs = [(i, t - i) for t in range(self.degree + 1) for i in range(t, -1, -1)]
        return np.array(pairs, dtype=np.int64)

    @property
    def n_functions(self) -> int:
        """Number of state functions, q."""
        return len(self.orders)

    def evaluate(self, states: NDArray[np.floating]) -> NDArray[np.float64]:
        """The state functions.

        Parameters
        ----------
        states : (n, dims) float ndarray
            In [0, 1].

        Returns
        -------
        (n, q) float64 ndarray
        """
        states = np.asarray(states, dtype=np.float64)
        if states.ndim != 2 or states.shape[1] != self.dims:
            raise ShapeError(f"states of shape {states.shape}, expected (n, {self.dims})")
        values = np.ones((len(states), self.n_functions))
        for dim in range(self.dims):
            order = self.orders[:, dim]
            factor = np.where(order > 0, np.sqrt(2.0), 1.0)
            values *= factor * np.cos(np.pi * states[:, dim : dim + 1] * order)
        return values

    def nested_in(self, finer: "CosineBasis") -> NDArray[np.int64]:
        """Where this basis' functions stand in a basis of higher degree; (q,) indices."""
        wanted = [tuple(order) for order in self.orders]
        available = [tuple(order) for order in finer.orders]
        return np.array([available.index(order) for order in wanted], dtype=np.int64)

"""States of two coordinates: products of the functions of each, also of classes and a continuum."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.state_algebra import checked_states
from napari_hypermol.errors import ShapeError
from napari_hypermol.protocols import StateBasis, StateKind

__all__ = ["ProductBasis"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class ProductBasis:
    """P_qp(tau) = P_q(tau_1) P_p(tau_2), of total degree at most `degree`.

    A class counts as no degree beyond the first: every class has a continuum of its own.

    Parameters
    ----------
    first, second : StateBasis
        Of one coordinate each.
    degree : int
    """

    first: StateBasis
    second: StateBasis
    degree: int

    def __post_init__(self) -> None:
        if self.first.dims != 1 or self.second.dims != 1:
            raise ShapeError("a product basis has two factors of one state coordinate each")
        if self.degree < 1:
            raise ShapeError(f"product basis: degree {self.degree}; 1 or more is possible")

    @property
    def dims(self) -> int:
        """Two."""
        return 2

    @property
    def kinds(self) -> tuple[StateKind, ...]:
        """The kinds of both."""
        return (*self.first.kinds, *self.second.kinds)

    def _all_degrees(self) -> NDArray[np.int64]:
        one, two = np.meshgrid(self.first.degrees, self.second.degrees, indexing="ij")
        is_mixed = "class" in self.kinds
        return np.asarray(np.maximum(one, two) if is_mixed else one + two)

    @property
    def _kept(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which function of each factor; by degree, so that coarser bases come first."""
        degrees = self._all_degrees()
        one, two = np.nonzero(degrees <= self.degree)
        order = np.argsort(degrees[one, two], kind="stable")
        return one[order], two[order]

    @property
    def n_functions(self) -> int:
        """Number of state functions, q."""
        return len(self._kept[0])

    @property
    def degrees(self) -> NDArray[np.int64]:
        """Total degree; (q,)."""
        return np.asarray(self._all_degrees()[self._kept])

    def evaluate(self, states: NDArray[np.floating]) -> Float64:
        """The state functions; (n, 2) -> (n, q)."""
        at = checked_states(states, 2)
        one, two = self._kept
        return np.asarray(
            self.first.evaluate(at[:, :1])[:, one] * self.second.evaluate(at[:, 1:])[:, two]
        )

    def derivative(self, states: NDArray[np.floating]) -> Float64:
        """Their derivatives; (n, 2) -> (n, q, 2)."""
        at = checked_states(states, 2)
        one, two = self._kept
        a, b = self.first.evaluate(at[:, :1]), self.second.evaluate(at[:, 1:])
        da, db = self.first.derivative(at[:, :1]), self.second.derivative(at[:, 1:])
        return np.stack([da[:, one, 0] * b[:, two], a[:, one] * db[:, two, 0]], axis=2)

    def capped(self, degree: int) -> StateBasis:
        """The functions up to a total degree."""
        if degree < 1:
            return ConstantBasis()
        return ProductBasis(self.first, self.second, min(self.degree, degree))

    def quadrature(self) -> tuple[Float64, Float64]:
        """Products of both quadratures."""
        (one, w1), (two, w2) = self.first.quadrature(), self.second.quadrature()
        return _pairs(one, two), np.outer(w1, w2).ravel()

    def table(self, n_states: int) -> Float64:
        """Products of both tables, each half as fine as that of a single state; (t, 2)."""
        half = max(n_states // 2, 2)
        return _pairs(self.first.table(half), self.second.table(half))


def _pairs(one: Float64, two: Float64) -> Float64:
    first, second = np.meshgrid(one[:, 0], two[:, 0], indexing="ij")
    return np.stack([first.ravel(), second.ravel()], axis=1)

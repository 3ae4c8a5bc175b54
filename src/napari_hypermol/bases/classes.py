"""Discrete states: K classes, whose indicators make 3-D classification a recipe like any other."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.state_algebra import checked_states
from napari_hypermol.errors import ShapeError
from napari_hypermol.protocols import StateBasis, StateKind

__all__ = ["ClassBasis"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class ClassBasis:
    """Functions that are constant on each of K equal parts of [0, 1], one part a class.

    Written as the mean of all classes and an orthonormal set of differences from it (Helmert's), so
    that what the classes share is learned from all particles.

    Parameters
    ----------
    n_classes : int
        K, at least 2.
    """

    n_classes: int

    def __post_init__(self) -> None:
        if self.n_classes < 2:
            raise ShapeError(
                f"classes: {self.n_classes}; 2 or more are possible, leave the state out for one"
            )

    @property
    def dims(self) -> int:
        """One."""
        return 1

    @property
    def kinds(self) -> tuple[StateKind, ...]:
        """A class."""
        return ("class",)

    @property
    def n_functions(self) -> int:
        """K."""
        return self.n_classes

    @property
    def degrees(self) -> NDArray[np.int64]:
        """0 for the mean, 1 for every difference: classes come all at once; (q,)."""
        return np.minimum(np.arange(self.n_classes), 1)

    @cached_property
    def _values(self) -> Float64:
        """Values of the functions in every class; (classes, q)."""
        k = self.n_classes
        values = np.zeros((k, k))
        values[:, 0] = 1.0
        for q in range(1, k):  # class q against the mean of those before it
            values[:q, q] = -1.0
            values[q, q] = q
            values[:, q] *= np.sqrt(k / (q * (q + 1)))
        return values

    def classes(self, states: NDArray[np.floating]) -> NDArray[np.int64]:
        """The class of every state; (n, 1) -> (n,)."""
        index = np.floor(checked_states(states, 1)[:, 0] * self.n_classes).astype(np.int64)
        return np.asarray(np.clip(index, 0, self.n_classes - 1))

    def evaluate(self, states: NDArray[np.floating]) -> Float64:
        """The state functions; (n, 1) -> (n, q)."""
        return np.asarray(self._values[self.classes(states)])

    def derivative(self, states: NDArray[np.floating]) -> Float64:
        """Zero: a class has no neighbours; (n, 1) -> (n, q, 1)."""
        return np.zeros((len(checked_states(states, 1)), self.n_classes, 1))

    def capped(self, degree: int) -> StateBasis:
        """All classes or none."""
        return self if degree > 0 else ConstantBasis()

    def quadrature(self) -> tuple[Float64, Float64]:
        """The middle of every class."""
        return self.table(self.n_classes), np.full(self.n_classes, 1 / self.n_classes)

    def table(self, n_states: int) -> Float64:
        """The middle of every class, however many are asked for; (K, 1)."""
        del n_states
        return (np.arange(self.n_classes)[:, None] + 0.5) / self.n_classes

"""The basis of what does not move: the constant alone, without a state."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.state_algebra import checked_states
from napari_hypermol.protocols import StateKind

__all__ = ["ConstantBasis"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class ConstantBasis:
    """P_0 = 1, of a rigid component."""

    @property
    def dims(self) -> int:
        """None."""
        return 0

    @property
    def kinds(self) -> tuple[StateKind, ...]:
        """None."""
        return ()

    @property
    def n_functions(self) -> int:
        """One."""
        return 1

    @property
    def degrees(self) -> NDArray[np.int64]:
        """Zero."""
        return np.zeros(1, dtype=np.int64)

    def evaluate(self, states: NDArray[np.floating]) -> Float64:
        """Ones; (n, 0) -> (n, 1)."""
        return np.ones((len(checked_states(states, 0)), 1))

    def derivative(self, states: NDArray[np.floating]) -> Float64:
        """Nothing to derive by; (n, 1, 0)."""
        return np.zeros((len(checked_states(states, 0)), 1, 0))

    def capped(self, degree: int) -> "ConstantBasis":
        """Itself."""
        del degree
        return self

    def quadrature(self) -> tuple[Float64, Float64]:
        """The one state without coordinates."""
        return np.zeros((1, 0)), np.ones(1)

    def table(self, n_states: int) -> Float64:
        """The one state without coordinates."""
        del n_states
        return np.zeros((1, 0))

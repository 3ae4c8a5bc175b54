"""State coordinates as a person meets them: a name, a component, a kind, the states to look at.

A range is shown from end to end, a circle once round without repeating where it began, classes
one by one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.protocols import StateKind

__all__ = [
    "StateAxis",
    "class_numbers",
    "known_words",
    "middle_states",
    "shown_states",
    "state_axes",
]

Float64 = NDArray[np.float64]


class StateAxis(NamedTuple):
    """One state coordinate of a molecule.

    Attributes
    ----------
    name : str
        tau1, tau2, ... in the order of the components.
    component : str
    kind : StateKind
    n_classes : int
        K of a class; 0 otherwise.
    is_position : bool
        Whether it moves the component as a whole, along a trajectory.
    """

    name: str
    component: str
    kind: StateKind = "interval"
    n_classes: int = 0
    is_position: bool = False

    @property
    def label(self) -> str:
        """Its name, and what it is unless a range: ``tau1 (circle)``, ``tau2 (class)``."""
        return self.name if self.kind == "interval" else f"{self.name} ({self.kind})"

    @property
    def words(self) -> str:
        """What it is of: ``position of lid``."""
        if self.kind == "circle":
            return f"circular state of {self.component}"
        if self.kind == "class":
            return f"class of {self.component}"
        return f"{'position' if self.is_position else 'state'} of {self.component}"

    def text(self, state: float) -> str:
        """A state as it is written on the screen: a number, or its class."""
        if self.kind == "class":
            return f"class {int(class_numbers(np.array([state]), self.n_classes)[0])}"
        return f"{state:.2f}"


def state_axes(molecule: LinearMolecule | Composite) -> tuple[StateAxis, ...]:
    """All state coordinates of a molecule's recipe, components side by side.

    Those that it does not have yet, early in a run, are among them.
    """
    axes: list[StateAxis] = []
    for component in molecule.components:
        n_positions = 0 if component.trajectory is None else component.trajectory.dims
        shape = component.state_basis
        first = 0 if component.is_tied else n_positions  # where coordinates of the shape begin
        for index, kind in enumerate(component.kinds):
            n_classes = 0
            if kind == "class":
                n_classes = len(np.unique(shape.table(2)[:, index - first]))
            name = f"tau{len(axes) + 1}"
            axes.append(StateAxis(name, component.name, kind, n_classes, index < n_positions))
    return tuple(axes)


def shown_states(axis: StateAxis, n: int, low: float = 0.0, high: float = 1.0) -> Float64:
    """States along an axis at which it is shown; (t,) in [0, 1].

    Parameters
    ----------
    axis : StateAxis
    n : int
        How many; classes are as many as there are.
    low, high : float
        Ends of a range; a circle has none.
    """
    if axis.kind == "class":
        return (np.arange(axis.n_classes) + 0.5) / axis.n_classes
    if axis.kind == "circle":
        return np.arange(n) / n
    return np.linspace(low, high, n)


def middle_states(axes: Sequence[StateAxis]) -> list[float]:
    """Half way along every axis; of classes, the one in the middle."""
    return [
        (axis.n_classes // 2 + 0.5) / axis.n_classes if axis.kind == "class" else 0.5
        for axis in axes
    ]


def class_numbers(states: Float64, n_classes: int) -> NDArray[np.int64]:
    """Number of the class, 1 to K, that states in [0, 1] stand for."""
    index = np.floor(np.asarray(states) * n_classes).astype(np.int64)
    return np.asarray(np.clip(index, 0, n_classes - 1) + 1)


def known_words(axis: StateAxis, states: Float64, stds: Float64) -> str:
    """How well the particles' states are known; (n,) both, as `state_moments` has them."""
    if axis.kind == "interval":
        return f"known to ± {stds.mean():.3f} on average"
    if axis.kind == "circle":
        return f"known to ± {stds.mean():.3f} of a turn on average"
    counts = np.bincount(class_numbers(states, axis.n_classes), minlength=axis.n_classes + 1)[1:]
    shares = ", ".join(f"{100 * c / len(states):.0f} %" for c in counts)
    return f"with {shares} of the particles, each in another with probability {stds.mean():.3f}"

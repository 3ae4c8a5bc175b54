"""A run that found the truth itself, but in a gauge of its own: scores without a recovery."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from napari_hypermol.runs.truth import TrueComponent, Truth

SIZE = 16


def bead(centre: Sequence[float], width: float = 1.5) -> np.ndarray:
    """A Gaussian at (x, y, z) voxels from the centre of a box of `SIZE`."""
    z, y, x = np.mgrid[:SIZE, :SIZE, :SIZE] - SIZE // 2
    squares = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2
    return np.exp(-squares / (2 * width**2)).astype(np.float32)


def along(state: float) -> np.ndarray:
    """A bead that moves 9 voxels along x with its state."""
    return bead((9 * state - 4.5, 0, 0))


def around(state: float) -> np.ndarray:
    """A bead that goes round z with its state."""
    return bead((4 * np.cos(2 * np.pi * state), 4 * np.sin(2 * np.pi * state), -3))


def one_of_three(state: float) -> np.ndarray:
    """A bead in one of three places."""
    return bead([(0, 4, 3), (0, -4, 3), (3, 0, 4)][min(int(3 * state), 2)])


MAPS = {"interval": along, "circle": around, "class": one_of_three}
STATES = {
    "interval": np.linspace(0, 1, 21),
    "circle": np.linspace(0, 1, 21),
    "class": (np.arange(3) + 0.5) / 3,
}


def true_component(kind: str, occupancy: tuple[Any, ...] = ()) -> TrueComponent:
    """A moving component with its maps."""
    volumes = np.stack([MAPS[kind](state) for state in STATES[kind]])
    return TrueComponent(kind, STATES[kind], volumes, kind, occupancy)


def rigid_component() -> TrueComponent:
    """One map."""
    return TrueComponent("body", np.zeros(1), bead((0, 0, 0), 2.0)[None])


def truth_of(states: np.ndarray, components: Sequence[TrueComponent]) -> Truth:
    """A truth of these components beside a rigid one."""
    return Truth(states, None, [rigid_component(), *components])


def gauged_run(
    truth: Truth,
    found: np.ndarray,
    true_of: Sequence[Callable[[float], float]],
    tables: Sequence[np.ndarray] = (),
    classes: Sequence[int | None] = (),
    order: Sequence[int] | None = None,
) -> Any:
    """A run with the true molecule at `true_of` its own states.

    Parameters
    ----------
    truth : Truth
    found : (n, d) float64 ndarray
        In the run's order of coordinates.
    true_of : sequence of callable
        Of every coordinate of the run: its state -> the true state of its component.
    tables : sequence of (n, t) ndarray
    classes : sequence of int or None
        Number of classes of each coordinate; None: continuous.
    order : sequence of int
        Which moving component of the truth each coordinate of the run is; default: as they come.
    """
    moving = truth.moving
    order = list(range(len(moving))) if order is None else list(order)
    names = [moving[i].name for i in order]
    classes = classes or [None] * len(order)

    def volume(states: Sequence[float]) -> np.ndarray:
        total = bead((0, 0, 0), 2.0)
        for state, own, index in zip(states, true_of, order, strict=True):
            total = total + MAPS[moving[index].kind](own(state))
        return total

    def item(k: int | None) -> Any:
        state = SimpleNamespace(basis="cosine") if k is None else (
            SimpleNamespace(basis="classes", classes=k)
        )  # fmt: skip
        return SimpleNamespace(share=None, state=state)

    components = [SimpleNamespace(dims=1) for _ in order]
    return SimpleNamespace(
        states=found,
        contrasts=np.ones(len(found)),
        box_size=SIZE,
        pixel_size=2.0,
        metrics={},
        recipe=SimpleNamespace(
            components={n: item(k) for n, k in zip(names, classes, strict=True)}
        ),
        maps=SimpleNamespace(
            dims=len(order),
            axis_components=tuple(names),
            volume=volume,
            molecule=SimpleNamespace(components=components),
        ),
        snapshot=SimpleNamespace(
            stage=SimpleNamespace(max_radius=6.0), posterior=SimpleNamespace(tables=tuple(tables))
        ),
    )

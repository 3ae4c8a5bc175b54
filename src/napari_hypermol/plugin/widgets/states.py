"""Which state is on the screen, in words: napari's sliders count stops, not states."""

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_hypermol.plugin.viewing import hypermol_of, states_shown
from napari_hypermol.runs.state_axes import StateAxis

__all__ = ["StateReadout"]


class StateReadout(QWidget):
    """One line a state axis: its name, its value or class, and what it is of.

    Parameters
    ----------
    viewer : napari Viewer
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer: Any = None
        self._axes: tuple[StateAxis, ...] = ()
        self._values: dict[str, QLabel] = {}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(2, 1)
        self._hint = QLabel("Open or compute a molecule: its knobs are the sliders.")
        self._hint.setWordWrap(True)
        self._grid.addWidget(self._hint, 0, 0, 1, 3)
        viewer.dims.events.point.connect(self._on_point)

    def let_go(self) -> None:
        """Disconnect from the viewer, which is closing or losing this widget."""
        if self._viewer is not None:
            self._viewer.dims.events.point.disconnect(self._on_point)
        self._viewer = self._layer = None

    @property
    def text(self) -> str:
        """What stands there: ``tau1 = 0.35  tau2 = 0.50``."""
        return "  ".join(f"{axis} = {label.text()}" for axis, label in self._values.items())

    def follow(self, layer: Any) -> None:
        """Show the states of this layer, or of none."""
        self._layer = layer
        facts = (hypermol_of(layer, "states") if layer is not None else None) or {}
        axes = tuple(facts.get("axes", ()))
        if axes != self._axes:
            self._rebuild(axes)
        self._on_point()

    def _rebuild(self, axes: tuple[StateAxis, ...]) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            if item.widget() is not self._hint:
                item.widget().deleteLater()
        self._axes, self._values = axes, {}
        self._hint.setVisible(not axes)
        if not axes:
            self._grid.addWidget(self._hint, 0, 0, 1, 3)
        for row, axis in enumerate(axes):
            value = QLabel()
            value.setAlignment(Qt.AlignmentFlag.AlignRight)
            value.setStyleSheet("font-weight: bold")
            self._values[axis.name] = value
            self._grid.addWidget(QLabel(axis.name), row, 0)
            self._grid.addWidget(value, row, 1)
            words = QLabel(axis.words)
            words.setWordWrap(True)  # a long name must not widen the window
            self._grid.addWidget(words, row, 2)

    def _on_point(self, event: Any = None) -> None:
        if self._viewer is None or self._layer is None:
            return
        if self._layer not in self._viewer.layers:
            self.follow(None)
            return
        shown = states_shown(self._viewer, self._layer)
        for axis in self._axes if shown else ():
            self._values[axis.name].setText(axis.text(shown[axis.name]))

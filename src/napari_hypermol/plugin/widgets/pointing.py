"""The mouse over a plot: clicks and lines, in the plot's own coordinates."""

from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal

__all__ = ["PointingBox"]


class PointingBox(pg.ViewBox):
    """A plot's inside that reports instead of panning.

    Signals: `clicked` (x, y, is_double); `dragged` (list of (x, y) so far, modifiers, is_over).
    """

    clicked = Signal(float, float, bool)
    dragged = Signal(object, object, bool)

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self.setMouseEnabled(x=False, y=False)
        self._line: list[tuple[float, float]] = []

    def _place(self, at: Any) -> tuple[float, float]:
        point = self.mapSceneToView(at)
        return float(point.x()), float(point.y())

    def mouseClickEvent(self, event: Any) -> None:
        """A click of the left button."""
        if event.button() == Qt.MouseButton.LeftButton:
            event.accept()
            self.clicked.emit(*self._place(event.scenePos()), event.double())

    def mouseDragEvent(self, event: Any, axis: Any = None) -> None:
        """The left button is held down."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        event.accept()
        if event.isStart():
            self._line = [self._place(event.buttonDownScenePos())]
        self._line.append(self._place(event.scenePos()))
        self.dragged.emit(self._line, event.modifiers(), event.isFinish())

    def wheelEvent(self, event: Any, axis: Any = None) -> None:
        """Leave the wheel to the page, which scrolls."""
        event.ignore()

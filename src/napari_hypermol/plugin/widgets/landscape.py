"""The landscape: how many particles are where, along one state axis or two.

It draws what it is given and reports what the mouse asks for; what that means is for
`landscape_panel` to say. With 300,000 particles only bins are drawn.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Qt, QTimer, Signal

from napari_hypermol.plugin.plot_colours import (
    MARKER,
    PARTICLES,
    PATH,
    SELECTED,
    PlotColours,
    hold_still,
    tint,
)
from napari_hypermol.plugin.widgets.pointing import PointingBox
from napari_hypermol.runs.state_axes import StateAxis

__all__ = ["Landscape"]

Float64 = NDArray[np.float64]
_PACE = 40  # [ms] between reports while the mouse moves: what follows one must not pile up
_HEIGHT = 236  # [px] beside the rest of the page in a window of 800


class Landscape(pg.PlotWidget):
    """A plot of states that can be pointed at.

    Signals: `placed` (tuple, is_over), a state is wanted; `outlined` (corners, change, is_over),
    a region; `traced` (corners), a path. Corners are tuples of as many numbers as axes are shown.
    """

    placed = Signal(object, bool)
    outlined = Signal(object, str, bool)
    traced = Signal(object)

    def __init__(self) -> None:
        self._box = PointingBox()
        super().__init__(viewBox=self._box)
        hold_still(self, _HEIGHT)
        self.setAccessibleName("Landscape of the states")
        self.mode = "look"
        self.axes: tuple[StateAxis, ...] = ()
        self.is_dragging = False
        self._corners: list[tuple[float, ...]] = []
        self._is_path_open = False
        self._report: tuple[Any, ...] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._on_pace)
        self._box.clicked.connect(self._on_clicked)
        self._box.dragged.connect(self._on_dragged)
        self._make_items()

    def _make_items(self) -> None:
        self._bars: list[Any] = []
        self._cells, self._selected_cells = pg.ImageItem(), pg.ImageItem()
        self._points = pg.ScatterPlotItem(pen=None, size=6)
        self._selected_bars = pg.BarGraphItem(x=[], height=[], width=0.1)
        self._curve = pg.PlotDataItem(pen=pg.mkPen("w", width=1.5))
        self._band = pg.ErrorBarItem(x=np.zeros(1), y=np.zeros(1), height=np.zeros(1))
        # lines keep a dark edge: under them are colours of every kind
        edge = pg.mkPen((0, 0, 0, 170), width=4.5)
        self._outline = pg.PlotDataItem(pen=pg.mkPen(SELECTED, width=2), shadowPen=edge)
        self._path = pg.PlotDataItem(
            pen=pg.mkPen(PATH, width=2),
            shadowPen=edge,
            symbol="o",
            symbolSize=5,
            symbolBrush=PATH,
            symbolPen=None,
        )
        self._line = pg.InfiniteLine(angle=90, pen=pg.mkPen(MARKER, width=2))
        self._spot = pg.ScatterPlotItem(
            size=15, symbol="o", pen=pg.mkPen(MARKER, width=2.5), brush=(255, 255, 255, 90)
        )
        items = (
            self._cells, self._points, self._selected_cells, self._selected_bars, self._curve,
            self._band, self._outline, self._path, self._line, self._spot,
        )  # fmt: skip
        for depth, item in enumerate(items):
            item.setZValue(10 * depth)
            self.addItem(item)

    # ---- what is drawn ------------------------------------------------------------------------

    def set_colours(self, colours: PlotColours) -> None:
        """Take the colours of a theme."""
        tint(self, colours)
        self._curve.setPen(pg.mkPen(colours.text, width=1.5))
        self._band.setData(pen=pg.mkPen(colours.text, width=1.5))

    def clear_drawing(self, axes: tuple[StateAxis, ...]) -> None:
        """Begin again, with these axes."""
        self.axes = axes
        for bar in self._bars:
            self.removeItem(bar)
        self._bars = []
        for item in (self._cells, self._selected_cells):
            item.clear()
        for item in (self._points, self._spot, self._curve, self._path, self._outline):
            item.setData([], [])
        self._corners, self._is_path_open = [], False
        self.draw_selected_bars(None)
        self._band.setVisible(False)
        self._line.setVisible(False)
        sides = ("bottom", "left")
        for side, axis in zip(sides, axes, strict=False):
            # pyqtgraph takes the text for HTML
            self.getAxis(side).setLabel(f"{axis.name}, {axis.words}")
            self.getAxis(side).setTicks(_class_ticks(axis))
        if len(axes) == 2:
            self.setRange(xRange=(0, 1), yRange=(0, 1), padding=0.02)

    def draw_bars(self, heights: Float64, label: str, colours: Sequence[Any] | None = None) -> None:
        """Bars over one axis; (bins,), or stacked (k, bins) with a colour each.

        Parameters
        ----------
        heights : (bins,) or (k, bins) float64 ndarray
        label : str
            What they are.
        colours : sequence, optional
            Of the bars, or of the rows of a stack.
        """
        rows = np.atleast_2d(heights)
        n_bins, base = rows.shape[1], np.zeros(rows.shape[1])
        x, width = (np.arange(n_bins) + 0.5) / n_bins, self._bar_width(n_bins)
        for number, row in enumerate(rows):
            look: dict[str, Any] = {"brush": PARTICLES}
            if colours is not None and heights.ndim == 2:
                look = {"brush": colours[number]}
            elif colours is not None:
                look = {"brushes": colours}
            bar = pg.BarGraphItem(
                x=x, y0=base.copy(), height=row.copy(), width=width, pen=None, **look
            )
            bar.setZValue(-1)
            self.addItem(bar)
            self._bars.append(bar)
            base += row
        self.getAxis("left").setLabel(label)
        self.getAxis("left").setTicks(None)
        top = float(np.nanmax(base)) or 1.0
        self.setRange(xRange=(0, 1), yRange=(0, 1.08 * top), padding=0.0)

    def _bar_width(self, n_bins: int) -> float:
        return (0.8 if self.axes and self.axes[0].kind == "class" else 1.0) / n_bins

    def draw_selected_bars(self, heights: Float64 | None) -> None:
        """The selected particles' part of the bars; None for none."""
        if heights is None:
            self._selected_bars.setOpts(x=[], y0=[], height=[], width=0.1)
            return
        x = (np.arange(len(heights)) + 0.5) / len(heights)
        width = self._bar_width(len(heights))
        self._selected_bars.setOpts(
            x=x, y0=np.zeros(len(x)), height=heights, width=width, brush=SELECTED, pen=None
        )

    def draw_curve(self, x: Float64, y: Float64) -> None:
        """A line over the bars."""
        self._curve.setData(x, y)

    def draw_bands(self, x: Float64, low: Float64, median: Float64, high: Float64) -> None:
        """Error bars over the bars; all (bins,)."""
        self._band.setData(
            x=x, y=median, top=np.maximum(high - median, 0), bottom=np.maximum(median - low, 0),
            height=None, beam=0.3 / len(x),
        )  # fmt: skip
        self._band.setVisible(True)
        top = self._box.viewRange()[1][1]
        self.setRange(yRange=(0, max(top, 1.05 * float(high.max()))), padding=0.0)

    def draw_cells(self, colours: NDArray[np.uint8]) -> None:
        """Cells over two axes; (bins of x, bins of y, 4) uint8."""
        self._cells.setImage(colours, levels=(0, 255))
        self._cells.setRect(0, 0, 1, 1)

    def draw_selected_cells(self, shares: Float64 | None) -> None:
        """How much of every cell is selected, (bins of x, bins of y) in [0, 1]; None for none."""
        if shares is None:
            self._selected_cells.clear()
            return
        picture = np.zeros((*shares.shape, 4), dtype=np.uint8)
        picture[..., :3] = SELECTED
        picture[..., 3] = np.where(shares > 0, 60 + 130 * shares, 0)
        self._selected_cells.setImage(picture, levels=(0, 255))
        self._selected_cells.setRect(0, 0, 1, 1)

    def draw_points(self, states: Float64, colours: NDArray[np.uint8]) -> None:
        """Particles one by one; (n, 2) and (n, 4), where they are few."""
        brushes = [pg.mkBrush(*colour) for colour in colours.tolist()]
        self._points.setData(states[:, 0], states[:, 1], brush=brushes)

    def set_marker(self, place: Sequence[float]) -> None:
        """Put the marker somewhere, unless it is being dragged."""
        if not self.is_dragging:
            self._move_marker(place)

    @property
    def marker(self) -> tuple[float, ...]:
        """Where it is."""
        if len(self.axes) == 1:
            return (float(self._line.value()),)
        x, y = self._spot.getData()
        return (float(x[0]), float(y[0])) if len(x) else ()

    def _move_marker(self, place: Sequence[float]) -> None:
        self._line.setVisible(len(self.axes) == 1)
        if len(self.axes) == 1:
            self._line.setValue(place[0])
        else:
            self._spot.setData([place[0]], [place[1]])

    def draw_path(self, corners: Sequence[Sequence[float]]) -> None:
        """Show a path, or none."""
        line = self._on_plot(corners)
        self._path.setSymbol("o" if len(line) < 30 else None)  # drawn freely: dots say nothing
        self._path.setData(line[:, 0], line[:, 1])

    def draw_outline(self, corners: Sequence[Sequence[float]]) -> None:
        """Show a lasso or the ends of a range, or none."""
        if len(self.axes) == 1 and len(corners) == 2:
            top = self._box.viewRange()[1][1]
            (low,), (high,) = corners
            self._outline.setData([low, low, high, high], [0, top, top, 0])
            return
        line = self._on_plot(corners)
        closed = np.concatenate([line, line[:1]])
        self._outline.setData(closed[:, 0], closed[:, 1])

    def _on_plot(self, corners: Sequence[Sequence[float]]) -> Float64:
        """Corners in the plane: over one axis half way up."""
        line = np.asarray(corners, dtype=np.float64).reshape(-1, len(self.axes) or 1)
        if line.shape[1] == 1:
            middle = 0.5 * self._box.viewRange()[1][1]
            line = np.concatenate([line, np.full((len(line), 1), middle)], axis=1)
        return line

    # ---- what the mouse asks for --------------------------------------------------------------

    def _clipped(self, point: tuple[float, float]) -> tuple[float, ...]:
        return tuple(min(max(t, 0.0), 1.0) for t in point[: len(self.axes)])

    def _on_clicked(self, x: float, y: float, is_double: bool) -> None:
        if not self.axes:
            return
        place = self._clipped((x, y))
        if self.mode == "look":
            self.placed.emit(place, True)
        elif self.mode == "select" and self.axes[0].kind == "class" and len(self.axes) == 1:
            self.outlined.emit([place, place], "replace", True)
        elif self.mode == "path" and len(self.axes) == 2:
            self._add_corner(place, is_double)

    def _add_corner(self, place: tuple[float, ...], is_last: bool) -> None:
        """A path corner by corner; a double click is the last, a click after it begins anew."""
        if not self._is_path_open:
            self._corners = []
        if not is_last:  # its place was clicked already
            self._corners.append(place)
        self._is_path_open = not is_last
        self.draw_path(self._corners)
        self.traced.emit(list(self._corners))

    def _on_dragged(self, line: list[tuple[float, float]], keys: Any, is_over: bool) -> None:
        if not self.axes:
            return
        corners = [self._clipped(point) for point in line]
        if len(self.axes) == 1 and self.mode != "look":
            corners = [corners[0], corners[-1]]
        if self.mode == "look":
            self.is_dragging = not is_over
            self._move_marker(corners[-1])
            self._tell(is_over, self.placed, corners[-1])
        elif self.mode == "select":
            if len(self.axes) == 1:
                corners.sort()
            self.draw_outline(corners)
            self._tell(is_over, self.outlined, corners, _change(keys))
        else:
            self._corners, self._is_path_open = corners, False
            self.draw_path(corners)
            if is_over:
                self.traced.emit(list(corners))

    def _tell(self, is_over: bool, signal: Any, *what: Any) -> None:
        """Report at once when it is over, at a bearable pace before."""
        self._report = (signal, *what)
        if is_over:
            self._timer.stop()
            self._report = None
            signal.emit(*what, True)
        elif not self._timer.isActive():
            self._on_pace()

    def _on_pace(self) -> None:
        if self._report is not None:
            (signal, *what), self._report = self._report, None
            signal.emit(*what, False)
            self._timer.start(_PACE)


def _change(keys: Any) -> str:
    """Shift adds to a selection, Alt and Ctrl take away."""
    if keys & Qt.KeyboardModifier.ShiftModifier:
        return "add"
    if keys & (Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.ControlModifier):
        return "subtract"
    return "replace"


def _class_ticks(axis: StateAxis) -> Any:
    """Numbers of the classes in the middle of each; None leaves it to pyqtgraph."""
    if axis.kind != "class":
        return None
    k = axis.n_classes
    return [[((c + 0.5) / k, str(c + 1)) for c in range(k)]]

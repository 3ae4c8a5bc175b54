"""How well things are known: a standard deviation map at the state, states with error bars."""

from pathlib import Path
from typing import Any

import numpy as np
import pyqtgraph as pg
from napari.utils.notifications import show_error
from qtpy.QtWidgets import QCheckBox, QLabel, QVBoxLayout, QWidget

from napari_hypermol.io.mrc import Volume, read_volume
from napari_hypermol.plugin.browser import Browser
from napari_hypermol.plugin.plot_colours import PARTICLES, hold_still, plot_colours, tint
from napari_hypermol.plugin.side_layers import (
    find_side_layer,
    remove_side_layer,
    show_side_layer,
)
from napari_hypermol.plugin.viewing import ease_rendering
from napari_hypermol.plugin.widgets.landscape_panel import LandscapePanel
from napari_hypermol.runs.series import nearest_deviation
from napari_hypermol.runs.state_axes import StateAxis

__all__ = ["UncertaintyPart"]

KIND = "deviation"
_SHOWN = 120  # particles with error bars; more run into one another
_HEIGHT = 150  # [px]
# clear where the map is sure: added to a molecule's light colours it would only be white
_SURE_TO_UNSURE = {
    "name": "hypermol deviation",
    "colors": [
        [0.3, 0, 0.4, 0],
        [0.75, 0.1, 0.45, 0.55],
        [0.98, 0.45, 0.15, 0.9],
        [1, 0.9, 0.4, 1],
    ],
    "controls": [0.0, 0.3, 0.7, 1.0],
}
_NOT_SAMPLED = (
    "The posterior of this run was not sampled, so nothing is known of how sure its maps are. Put "
    "<code>posterior: {draws: 200}</code> into the recipe, on the Priors page say, and run again."
)


class UncertaintyPart(QWidget):
    """A second layer that follows the sliders, and the particles' states with error bars.

    Parameters
    ----------
    browser : Browser
    panel : LandscapePanel
        The first axis that it shows is the axis of the error bars.
    """

    def __init__(self, browser: Browser, panel: LandscapePanel) -> None:
        super().__init__()
        self._browser, self._panel = browser, panel
        self._path: Path | None = None  # of the map on the screen, or about to be
        self._place: tuple[float, ...] = ()
        self.show_map = QCheckBox("Show the &standard deviation of the map")
        self.show_map.setToolTip("Where the draws of the posterior differ: a layer of its own")
        self.show_map.toggled.connect(self._on_toggled)
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.plot = pg.PlotWidget()
        hold_still(self.plot, _HEIGHT)
        self.plot.setAccessibleName("States of the selected particles with error bars")
        self._bars = pg.ErrorBarItem(x=np.zeros(1), y=np.zeros(1), height=np.zeros(1))
        self._dots = pg.ScatterPlotItem(size=4, pen=None, brush=PARTICLES)
        self.plot.addItem(self._bars)
        self.plot.addItem(self._dots)
        self.caption = QLabel()
        self.caption.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.show_map, self.note, self.plot, self.caption):
            layout.addWidget(part)
        browser.read.connect(self._on_read)
        browser.moved.connect(self._on_moved)
        browser.session.selection_changed.connect(self._on_selection)
        panel.axes_changed.connect(self._on_axes)
        browser.viewer.events.theme.connect(self._on_theme)
        browser.viewer.layers.events.removed.connect(self._on_removed)
        self._on_theme()
        self._on_read()

    def showEvent(self, event: Any) -> None:
        """It was opened."""
        super().showEvent(event)
        self._draw()

    def _on_theme(self, event: Any = None) -> None:
        tint(self.plot, plot_colours(self._browser.viewer))

    # ---- the map ------------------------------------------------------------------------------

    def _nearest(self) -> tuple[Path, tuple[float, ...]] | None:
        browsed, state = self._browser.browsed, self._browser.state
        if browsed is None or len(state) != len(browsed.axes):
            return None
        return nearest_deviation(browsed.axes, browsed.run.path / "volumes", state)

    def _on_read(self) -> None:
        has_maps = self._nearest() is not None
        self.show_map.setEnabled(has_maps)
        if not has_maps:
            self.show_map.setChecked(False)
            self.note.setText(_NOT_SAMPLED)
            self.note.show()
        elif self.show_map.isChecked():
            self._path = None
            self._on_moved()  # the same state, drawn anew
        else:
            self.note.hide()
        self._draw()

    def _on_toggled(self, is_on: bool) -> None:
        self._path = None
        if is_on:
            self._on_moved()
        elif self._browser.viewer is not None:
            remove_side_layer(self._browser.viewer, KIND)
            self.note.setVisible(not self.show_map.isEnabled())

    def _on_moved(self, state: Any = None) -> None:
        nearest = self._nearest() if self.show_map.isChecked() else None
        if nearest is not None and nearest[0] != self._path:
            self._path, self._place = nearest
            background = self._browser.background
            background.do("deviation", read_volume, (self._path,), self._on_volume, show_error)

    def _on_volume(self, volume: Volume) -> None:
        browser = self._browser
        if browser.viewer is None or browser.browsed is None or not self.show_map.isChecked():
            return
        high = float(volume.values.max()) or 1.0
        is_new = find_side_layer(browser.viewer, KIND) is None
        layer = show_side_layer(
            browser.viewer, KIND, volume.values, browser.browsed.run.pixel_size,
            "standard deviation", (0.0, high), colormap=_SURE_TO_UNSURE,
            blending="translucent_no_depth", rendering="mip",
        )  # fmt: skip
        if is_new:
            ease_rendering(layer)
        axes = browser.browsed.axes
        place = ", ".join(f"{a.name} {a.text(t)}" for a, t in zip(axes, self._place, strict=True))
        self.note.setText(f"Standard deviation drawn at {place}, the nearest to the sliders.")
        self.note.setVisible(True)

    def _on_removed(self, event: Any) -> None:
        """The user took the layer away himself."""
        if self.show_map.isChecked() and find_side_layer(self._browser.viewer, KIND) is None:
            self.show_map.setChecked(False)

    # ---- the states ---------------------------------------------------------------------------

    def _on_selection(self, mask: Any) -> None:
        self._draw()

    def _on_axes(self) -> None:
        self._draw()

    def _draw(self) -> None:
        browsed, shown = self._browser.browsed, self._panel.shown
        is_fitting = browsed is not None and browsed.has_states and shown
        if not self.isVisible() or not is_fitting or shown[0] >= len(browsed.axes):
            return
        index, axis = shown[0], browsed.axes[shown[0]]
        mask = self._browser.session.selection
        rows = np.arange(browsed.n) if mask is None else np.flatnonzero(mask)
        order = rows[np.argsort(browsed.states[rows, index], kind="stable")]
        order = order[np.unique(np.linspace(0, len(order) - 1, _SHOWN).astype(int))]
        y, error = browsed.states[order, index], browsed.stds[order, index]
        x = np.arange(len(order)) + 1.0
        pen = pg.mkPen((*PARTICLES, 150))
        is_class = axis.kind == "class"
        self._dots.setData(x, error if is_class else y)
        heights = np.zeros_like(error) if is_class else 2 * error
        self._bars.setData(x=x, y=error if is_class else y, height=heights, beam=0, pen=pen)
        self.plot.getAxis("left").setLabel("P(another class)" if is_class else axis.name)
        self.plot.getAxis("bottom").setLabel("particle, in order of its state")
        self.plot.setRange(xRange=(0, len(order) + 1), yRange=(0, 1), padding=0.02)
        self.caption.setText(_caption(axis, len(order), len(rows), mask is not None, error))

    def let_go(self) -> None:
        """Hear no more of the viewer and the session."""
        viewer = self._browser.viewer
        viewer.events.theme.disconnect(self._on_theme)
        viewer.layers.events.removed.disconnect(self._on_removed)
        self._browser.session.selection_changed.disconnect(self._on_selection)


def _caption(axis: StateAxis, n: int, n_all: int, is_selection: bool, errors: Any) -> str:
    """What the plot shows, in words."""
    which = "selected particles" if is_selection else "particles"
    few = f"{n} of {n_all:,} {which}" if n < n_all else f"{n} {which}"
    middle = float(np.median(errors)) if len(errors) else 0.0
    if axis.kind == "class":
        return f"{few}: how probable another class is, half of them below {middle:.2g}."
    turn = " of a turn" if axis.kind == "circle" else ""
    return f"{few}, each ± one standard deviation; half of them below {middle:.2g}{turn}."

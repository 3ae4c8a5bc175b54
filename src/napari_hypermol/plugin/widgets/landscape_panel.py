"""The landscape with its choices: which axes, what the mouse does, what the colours are."""

from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from psygnal import Signal as Event
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_hypermol.plugin.browser import Browser
from napari_hypermol.plugin.plot_colours import CATEGORIES, plot_colours
from napari_hypermol.plugin.widgets.landscape import Landscape
from napari_hypermol.plugin.widgets.legend import Legend
from napari_hypermol.runs.occupancy import Bins, bin_counts, bin_majority, bin_means, bins_of
from napari_hypermol.runs.particle_values import ParticleValues, particle_values, value_names
from napari_hypermol.runs.regions import changed, inside_lasso, inside_range, of_classes
from napari_hypermol.runs.state_axes import StateAxis, class_numbers

__all__ = ["LandscapePanel"]

_FEW = 3000  # particles that are drawn one by one
_NONE, _DENSITY = "none", "how many"
_MODES = (
    ("look", "&Turn", "Click or drag: the molecule goes to that state"),
    ("select", "&Select", "Drag: select particles. Shift adds, Alt or Ctrl takes away"),
    ("path", "Draw &path", "Click corners and double click the last, or drag a line or range"),
)  # fmt: skip


class LandscapePanel(QWidget):
    """Occupancy of the states; a marker that follows the sliders and moves them.

    Parameters
    ----------
    browser : Browser

    Attributes
    ----------
    path : list of (1 or 2) tuples
        Drawn corners, on the axes shown; `path_changed` tells of it.
    """

    path_changed = Event()
    axes_changed = Event()

    def __init__(self, browser: Browser) -> None:
        super().__init__()
        self._browser = browser
        self.shown: tuple[int, ...] = ()  # which state axes
        self.path: list[tuple[float, ...]] = []
        self._bins: Bins | None = None
        self._before: NDArray[np.bool_] | None = None  # selection when a lasso began
        self._is_lassoing = False
        self._build()
        browser.read.connect(self._on_read)
        browser.particles_read.connect(self._on_particles)
        browser.moved.connect(self._on_moved)
        browser.session.selection_changed.connect(self._on_selection)
        browser.viewer.events.theme.connect(self._on_theme)
        self._on_theme()
        self._on_read()

    def _build(self) -> None:
        self.landscape = Landscape()
        self.landscape.placed.connect(self._on_placed)
        self.landscape.outlined.connect(self._on_outlined)
        self.landscape.traced.connect(self._on_traced)
        self.x_axis, self.y_axis, self.colour = QComboBox(), QComboBox(), QComboBox()
        self.x_axis.setAccessibleName("State axis along x")
        self.y_axis.setAccessibleName("State axis along y")
        self.colour.setAccessibleName("Colour of the landscape")
        for box in (self.x_axis, self.y_axis, self.colour):
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            box.setMinimumContentsLength(5)
        self.x_axis.currentIndexChanged.connect(self._on_axes)
        self.y_axis.currentIndexChanged.connect(self._on_axes)
        self.colour.currentIndexChanged.connect(self.redraw)
        self.log = QCheckBox("&log")
        self.log.setChecked(True)  # a few full cells would hide the way between them
        self.log.setToolTip("Logarithm of the number of particles, to see rare states")
        self.log.toggled.connect(self.redraw)
        self.legend = Legend()
        self.note = QLabel()
        self.note.setWordWrap(True)
        choices = QGridLayout()
        choices.setHorizontalSpacing(5)
        choices.setColumnStretch(1, 1)
        choices.setColumnStretch(3, 1)
        self._against = QLabel("by")
        choices.addWidget(QLabel("Show"), 0, 0)
        choices.addWidget(self.x_axis, 0, 1)
        choices.addWidget(self._against, 0, 2)
        choices.addWidget(self.y_axis, 0, 3)
        choices.addWidget(QLabel("Colour"), 1, 0)
        choices.addWidget(self.colour, 1, 1, 1, 2)
        choices.addWidget(self.log, 1, 3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(choices)
        layout.addWidget(self.landscape)
        layout.addWidget(self.legend)
        layout.addWidget(self.note)
        layout.addLayout(self._mode_buttons())

    def _mode_buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.modes: dict[str, QPushButton] = {}
        self._group = QButtonGroup(self)
        for mode, text, tip in _MODES:
            button = QPushButton()
            button.setText(text)
            button.setToolTip(tip)
            button.setCheckable(True)
            button.toggled.connect(self._on_mode)
            self._group.addButton(button)
            self.modes[mode] = button
            row.addWidget(button, 1)
        self.modes["look"].setChecked(True)
        return row

    def _on_mode(self, is_on: bool) -> None:
        for mode, button in self.modes.items():
            if button.isChecked():
                self.landscape.mode = mode

    # ---- the run ------------------------------------------------------------------------------

    def _on_theme(self, event: Any = None) -> None:
        if self._browser.viewer is not None:
            self.landscape.set_colours(plot_colours(self._browser.viewer))

    def _on_read(self) -> None:
        browsed = self._browser.browsed
        names = [] if browsed is None or not browsed.has_states else list(browsed.axes)
        labels = [f"{axis.component}: {axis.label}" for axis in names]
        if labels != [self.x_axis.itemText(i) for i in range(self.x_axis.count())]:
            self._fill(self.x_axis, labels, 0)
            self._fill(self.y_axis, [_NONE, *labels], 2 if len(labels) > 1 else 0)
        self._against.setVisible(len(labels) > 1)
        self.y_axis.setVisible(len(labels) > 1)
        self._fill_colours()
        if names:
            self._on_axes()

    def _fill(self, box: QComboBox, labels: list[str], current: int) -> None:
        box.blockSignals(True)
        box.clear()
        box.addItems(labels)
        box.setCurrentIndex(min(current, len(labels) - 1))
        box.blockSignals(False)

    def _on_particles(self) -> None:
        self._fill_colours()

    def _fill_colours(self) -> None:
        browsed = self._browser.browsed
        names = [] if browsed is None else value_names(browsed.run, self._browser.file)
        chosen = self.colour.currentText()
        names = [_DENSITY, *names]
        self._fill(self.colour, names, names.index(chosen) if chosen in names else 0)

    def _on_axes(self, index: int = 0) -> None:
        x, y = self.x_axis.currentIndex(), self.y_axis.currentIndex() - 1
        shown = (x,) if y < 0 or y == x else (x, y)
        if shown != self.shown:
            self.set_path([])
        self.shown = shown
        self.redraw()
        self.axes_changed.emit()

    @property
    def axes(self) -> tuple[StateAxis, ...]:
        """The axes shown."""
        browsed = self._browser.browsed
        return () if browsed is None else tuple(browsed.axes[i] for i in self.shown)

    @property
    def states(self) -> NDArray[np.float64]:
        """The particles' states on the axes shown; (n, 1 or 2)."""
        return self._browser.browsed.states[:, list(self.shown)]

    # ---- drawing ------------------------------------------------------------------------------

    def redraw(self, *_: Any) -> None:
        """Draw everything again."""
        browsed = self._browser.browsed
        if (
            browsed is None
            or not browsed.has_states
            or max(self.shown, default=-1) >= len(browsed.axes)
        ):
            return
        self._bins = bins_of(self.states, self.axes, _bin_count(browsed.n, len(self.shown)))
        self.landscape.clear_drawing(self.axes)
        self.log.setVisible(len(self.shown) == 2 and self.colour.currentText() == _DENSITY)
        self.legend.setVisible(False)
        self.note.setVisible(False)
        values = self._values()
        if len(self.shown) == 1:
            self._draw_bars(values)
        else:
            self._draw_cells(values)
        self.landscape.draw_path(self.path)
        self._on_selection(self._browser.session.selection)
        self._on_moved(self._browser.state)

    def _values(self) -> ParticleValues | None:
        name = self.colour.currentText()
        if name in ("", _DENSITY):
            return None
        return particle_values(self._browser.browsed.run, name, self._browser.file)

    def _heights(self, counts: NDArray[Any]) -> NDArray[np.float64]:
        """Counts as the plot has them: shares of classes, density otherwise."""
        n, is_class = self._browser.browsed.n, self.axes[0].kind == "class"
        return counts * ((100 if is_class else counts.shape[-1]) / n)

    def _draw_bars(self, values: ParticleValues | None) -> None:
        axis, counts = self.axes[0], bin_counts(self._bins)
        label = "% of particles" if axis.kind == "class" else "density (1: even)"
        if values is None:
            self.landscape.draw_bars(self._heights(counts), label)
        elif values.categories:
            codes = values.values.astype(np.int64)
            rows = [bin_counts(self._bins, codes == k) for k in range(len(values.categories))]
            self.landscape.draw_bars(self._heights(np.array(rows)), label, CATEGORIES)
            self.legend.show_categories(values.label, values.categories, CATEGORIES)
        else:
            colours = self._ramped(values, bin_means(self._bins, values.values))
            self.landscape.draw_bars(self._heights(counts), label, [tuple(c) for c in colours])
        self._draw_posterior(axis)

    def _draw_posterior(self, axis: StateAxis) -> None:
        """What the occupancy is once each particle is spread over where it may be."""
        browsed, index = self._browser.browsed, self.shown[0]
        factor = 100.0 if axis.kind == "class" else 1.0
        if browsed.bands is not None:
            low, median, high = browsed.bands[:, index]
            n_bins = len(median)
            scale = factor if axis.kind == "class" else n_bins
            x = (np.arange(n_bins) + 0.5) / n_bins
            self.landscape.draw_bands(x, low * scale, median * scale, high * scale)
            self._say("Error bars: occupancy with its 90 % bands. Bars: each particle at its mean.")
        elif axis.kind != "class":
            found = browsed.occupancies[index]
            self.landscape.draw_curve(found.states, found.shares * len(found.states))
            self._say(
                "Line: occupancy, each particle spread over the states it may be in. "
                "Bars: each at its mean."
            )

    def _say(self, text: str) -> None:
        self.note.setText(text)
        self.note.setVisible(True)

    def _draw_cells(self, values: ParticleValues | None) -> None:
        counts = bin_counts(self._bins)
        if values is None:
            shown = np.log10(np.maximum(counts, 1)) if self.log.isChecked() else counts
            top = float(shown.max()) or 1.0
            table = _table("viridis")
            picture = table[np.rint(255 * shown / top).astype(int)]
            picture[counts == 0, 3] = 0
            self.landscape.draw_cells(picture)
            name = "particles per cell" + (" (log)" if self.log.isChecked() else "")
            low = 1.0 if self.log.isChecked() else 0.0
            self.legend.show_ramp(name, (low, float(counts.max())), table)
            return
        if self._browser.browsed.n <= _FEW:
            colours = self._coloured(values, values.values)
            self.landscape.draw_points(self.states, colours)
        elif values.categories:
            codes = values.values.astype(np.int64)
            most = bin_majority(self._bins, codes, len(values.categories))
            self.landscape.draw_cells(self._coloured(values, most))
        else:
            self.landscape.draw_cells(self._ramped(values, bin_means(self._bins, values.values)))

    def _coloured(self, values: ParticleValues, numbers: NDArray[np.float64]) -> Any:
        """Colours of categories or numbers; see-through where there is none."""
        if not values.categories:
            return self._ramped(values, numbers)
        table = np.array([(*c, 255) for c in CATEGORIES], dtype=np.uint8)
        self.legend.show_categories(values.label, values.categories, CATEGORIES)
        return _looked_up(table, numbers)

    def _ramped(self, values: ParticleValues, numbers: NDArray[np.float64]) -> Any:
        """Colours of numbers between the 2nd and the 98th percentile of them."""
        known = numbers[np.isfinite(numbers)]
        low, high = np.percentile(known, [2, 98]) if len(known) else (0.0, 1.0)
        table = _table("plasma")
        self.legend.show_ramp(f"mean {values.label}", (low, high), table)
        span = (high - low) or 1.0
        return _looked_up(table, np.clip(255 * (numbers - low) / span, 0, 255))

    # ---- the marker ---------------------------------------------------------------------------

    def _on_moved(self, state: tuple[float, ...]) -> None:
        if self.landscape.axes and len(state) > max(self.shown):
            self.landscape.set_marker([state[i] for i in self.shown])

    def _on_placed(self, place: tuple[float, ...], is_over: bool) -> None:
        self._browser.go_to(self.whole_state(place))
        if is_over:  # where the sliders stopped
            self._on_moved(self._browser.state)

    def whole_state(self, place: tuple[float, ...]) -> list[float]:
        """A place on the axes shown, the other states as they are."""
        state = list(self._browser.state)
        for index, value in zip(self.shown, place, strict=True):
            state[index] = float(value)
        return state

    # ---- selecting ----------------------------------------------------------------------------

    def _on_outlined(self, corners: list[tuple[float, ...]], change: str, is_over: bool) -> None:
        session = self._browser.session
        if not self._is_lassoing:
            self._before, self._is_lassoing = session.selection, True
        session.selection = changed(self._before, self._inside(corners), change)
        if is_over:
            self._before, self._is_lassoing = None, False
            self.landscape.draw_outline(corners)

    def _inside(self, corners: list[tuple[float, ...]]) -> NDArray[np.bool_]:
        if len(self.shown) == 2:
            return inside_lasso(self.states, corners)
        (low,), (high,) = corners[0], corners[-1]
        axis, states = self.axes[0], self.states[:, 0]
        if axis.kind == "class":
            first, last = class_numbers(np.array([low, high]), axis.n_classes)
            return of_classes(states, axis, range(first, last + 1))
        return inside_range(states, low, high)

    def _on_selection(self, mask: NDArray[np.bool_] | None) -> None:
        if self._bins is None or not self.landscape.axes:
            return
        if mask is None or len(mask) != len(self._bins.number):
            self.landscape.draw_selected_bars(None)
            self.landscape.draw_selected_cells(None)
            self.landscape.draw_outline([])
            return
        counts = bin_counts(self._bins, mask)
        if len(self.shown) == 1:
            self.landscape.draw_selected_bars(self._heights(counts))
        else:
            self.landscape.draw_selected_cells(counts / np.maximum(bin_counts(self._bins), 1))
        if not self._is_lassoing:
            self.landscape.draw_outline([])

    # ---- the path -----------------------------------------------------------------------------

    def _on_traced(self, corners: list[tuple[float, ...]]) -> None:
        self.path = corners
        self.path_changed.emit()

    def set_path(self, corners: list[tuple[float, ...]]) -> None:
        """Replace the path; [] for none."""
        if corners != self.path:
            self.landscape.draw_path(corners)
            self._on_traced(corners)

    def let_go(self) -> None:
        """Hear no more of the viewer and the session."""
        self._browser.viewer.events.theme.disconnect(self._on_theme)
        self._browser.session.selection_changed.disconnect(self._on_selection)


def _bin_count(n: int, dims: int) -> int:
    """Bins along an axis: some ten particles in each, as far as a plot of 300 px can show."""
    if dims == 1:
        return int(np.clip(np.sqrt(n), 10, 60))
    return int(np.clip(np.sqrt(n / 10), 12, 90))


def _table(name: str) -> NDArray[np.uint8]:
    """256 colours with alpha, (256, 4)."""
    colours = pg.colormap.get(name).getLookupTable(nPts=256, alpha=True)
    return np.array(colours, dtype=np.uint8)


def _looked_up(table: NDArray[np.uint8], numbers: NDArray[np.float64]) -> NDArray[np.uint8]:
    known = np.isfinite(numbers)
    picture = table[np.where(known, numbers, 0).astype(int)]
    picture[~known, 3] = 0
    return picture

"""Two states against each other: kept as A and B, their difference, their FSC."""

from typing import Any

import pyqtgraph as pg
from napari.utils.notifications import show_error
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_hypermol.plugin.browser import Browser
from napari_hypermol.plugin.plot_colours import PARTICLES, hold_still, plot_colours, tint
from napari_hypermol.plugin.side_layers import DIFFERENCE_COLORMAP, show_side_layer
from napari_hypermol.runs.state_difference import StateDifference, state_difference

__all__ = ["ComparePart"]

KIND = "difference"
_HEIGHT = 140  # [px]


class ComparePart(QWidget):
    """Keeps two states and shows how their maps differ.

    Parameters
    ----------
    browser : Browser
    """

    def __init__(self, browser: Browser) -> None:
        super().__init__()
        self._browser = browser
        self.kept: dict[str, tuple[float, ...] | None] = {"A": None, "B": None}
        self.found: StateDifference | None = None
        self.keep_buttons = {name: QPushButton(f"Keep as &{name}") for name in "AB"}
        self._go_buttons = {name: QPushButton(f"Go to {name}") for name in "AB"}
        self._texts = {name: QLabel("not kept yet") for name in "AB"}
        self.keep_buttons["A"].clicked.connect(self._on_keep_a)
        self.keep_buttons["B"].clicked.connect(self._on_keep_b)
        self._go_buttons["A"].clicked.connect(self._on_go_a)
        self._go_buttons["B"].clicked.connect(self._on_go_b)
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        for row, name in enumerate("AB"):
            self._texts[name].setWordWrap(True)
            self._go_buttons[name].setEnabled(False)
            grid.addWidget(self.keep_buttons[name], row, 0)
            grid.addWidget(self._texts[name], row, 1)
            grid.addWidget(self._go_buttons[name], row, 2)
        self.difference_button = QPushButton("Show the &difference B − A")
        self.difference_button.setToolTip(
            "A layer of its own: red where B has more density, blue where A has"
        )
        self.difference_button.setEnabled(False)
        self.difference_button.clicked.connect(self._on_difference)
        self.result = QLabel()
        self.result.setWordWrap(True)
        self.result.setVisible(False)
        self.plot = pg.PlotWidget()
        hold_still(self.plot, _HEIGHT)
        self.plot.setLabel("left", "FSC")
        self.plot.setLabel("bottom", "frequency [1/Å]")
        self.plot.setAccessibleName("Fourier shell correlation of the two states")
        self.plot.setVisible(False)
        self._curve = self.plot.plot([], [], pen=pg.mkPen(PARTICLES, width=2))
        self.plot.addItem(pg.InfiniteLine(0.5, angle=0, pen=pg.mkPen((150, 150, 150))))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(grid)
        for part in (self.difference_button, self.result, self.plot):
            layout.addWidget(part)
        browser.read.connect(self._on_read)
        browser.viewer.events.theme.connect(self._on_theme)
        self._on_theme()

    def _on_theme(self, event: Any = None) -> None:
        tint(self.plot, plot_colours(self._browser.viewer))

    def _on_read(self) -> None:
        """Another run has other states; a newer snapshot keeps them, though not what they gave."""
        browsed = self._browser.browsed
        for name, state in self.kept.items():
            if state is not None and (browsed is None or len(state) != len(browsed.axes)):
                self.kept[name] = None
                self._texts[name].setText("not kept yet")
        self.result.setVisible(False)
        self.plot.setVisible(False)
        self._set_buttons()

    def _on_keep_a(self) -> None:
        self._keep("A")

    def _on_keep_b(self) -> None:
        self._keep("B")

    def _on_go_a(self) -> None:
        self._browser.go_to(self.kept["A"])

    def _on_go_b(self) -> None:
        self._browser.go_to(self.kept["B"])

    def _keep(self, name: str) -> None:
        browsed, state = self._browser.browsed, self._browser.state
        if browsed is None or not state:
            return
        self.kept[name] = state
        pairs = zip(browsed.axes, state, strict=True)
        self._texts[name].setText(", ".join(f"{axis.name} {axis.text(t)}" for axis, t in pairs))
        self._set_buttons()

    def _set_buttons(self) -> None:
        for name, button in self._go_buttons.items():
            button.setEnabled(self.kept[name] is not None)
        self.difference_button.setEnabled(None not in self.kept.values())

    def _on_difference(self) -> None:
        browsed = self._browser.browsed
        if browsed is None or None in self.kept.values():
            return
        run = browsed.run
        radius = run.snapshot.stage.max_radius
        work = (run.maps, self.kept["A"], self.kept["B"], run.pixel_size, radius)
        background = self._browser.background
        background.do("difference", state_difference, work, self._on_found, show_error)

    def _on_found(self, found: StateDifference) -> None:
        browser = self._browser
        if browser.viewer is None or browser.browsed is None:
            return
        self.found = found
        show_side_layer(
            browser.viewer, KIND, found.volume, browser.browsed.run.pixel_size,
            "difference B - A", (-found.limit, found.limit), colormap=DIFFERENCE_COLORMAP,
            rendering="translucent", blending="translucent_no_depth",
        )  # fmt: skip
        self._curve.setData(found.frequencies, found.fsc)
        low = min(0.0, float(found.fsc.min()))
        high = float(found.frequencies[-1])
        self.plot.setRange(xRange=(0, high), yRange=(low, 1.02), padding=0.02)
        self.plot.setVisible(True)
        self.result.setText(
            f"The states are {found.distance:.2f} apart. Correlation of the maps "
            f"{found.correlation:.3f}; the difference is {100 * found.share:.0f} % of A (root mean "
            f"square). They agree to {found.resolution:.1f} Å (FSC 0.5)."
        )
        self.result.setVisible(True)

    def let_go(self) -> None:
        """Hear no more of the viewer."""
        self._browser.viewer.events.theme.disconnect(self._on_theme)

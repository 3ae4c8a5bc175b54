"""A plot in the colours of napari's theme, with a few curves or a map of the sphere."""

from typing import Any

import numpy as np
import pyqtgraph as pg
from napari.utils.theme import get_theme
from numpy.typing import NDArray
from qtpy.QtCore import QRectF

__all__ = ["CURVES", "PlotBox"]

_HEIGHT, _SPHERE_HEIGHT = 200, 160
# told apart by people who see colours differently, on dark and on light ground (Okabe and Ito)
CURVES = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#999999")
_ROUND = (200, 100, 50, 30, 20, 15, 12, 10, 8, 7, 6, 5, 4.5, 4, 3.5, 3, 2.5, 2, 1.5)
_STEPS = 64  # colours of the sphere


class PlotBox(pg.PlotWidget):  # type: ignore[misc]
    """One plot.

    Parameters
    ----------
    name : str
        For those who do not see it.
    left, bottom : str
        Of the axes; empty: none are drawn.
    """

    def __init__(self, name: str, left: str = "", bottom: str = "") -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setFixedHeight(_HEIGHT)
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.hideButtons()
        self._labels = {"left": left, "bottom": bottom}
        self._ink = "#888888"
        self.getPlotItem().layout.setContentsMargins(0, 4, 8, 8)
        if not left:
            self.setFixedHeight(_SPHERE_HEIGHT)
            self.hideAxis("left")
            self.hideAxis("bottom")

    def set_theme(self, name: str) -> None:
        """Take the colours of a napari theme."""
        theme = get_theme(name)
        self._ink = theme.text.as_hex()
        self.setBackground(theme.background.as_hex())
        for side, label in self._labels.items():
            axis = self.getAxis(side)
            axis.setPen(self._ink)
            axis.setTextPen(self._ink)
            axis.enableAutoSIPrefix(False)
            axis.setLabel(label, color=self._ink)

    def draw_curves(
        self, x: NDArray[Any], curves: list[NDArray[Any]], level: float | None = None
    ) -> None:
        """Curves over frequency [1/Å] in `CURVES`, and a line across at a level."""
        self.clear()
        self.getAxis("bottom").setTicks([_resolution_ticks(float(x[-1]))])
        for index, curve in enumerate(curves):
            pen = pg.mkPen(CURVES[index % len(CURVES)], width=2)
            self.plot(x[: len(curve)], curve, pen=pen)
        if level is not None:
            pen = pg.mkPen(self._ink, style=pg.QtCore.Qt.PenStyle.DashLine)
            self.addItem(pg.InfiniteLine(level, angle=0, pen=pen), ignoreBounds=True)

    def draw_sphere(self, picture: NDArray[np.float64]) -> None:
        """A picture of the sphere, NaN around it; north is up."""
        self.clear()
        self.setAspectLocked(True)
        low, high = float(np.nanmin(picture)), float(np.nanmax(picture))
        shares = (picture - low) / max(high - low, 1e-30)
        table = pg.colormap.get("viridis").getLookupTable(nPts=_STEPS)
        colours = table[np.clip(np.nan_to_num(shares) * _STEPS, 0, _STEPS - 1).astype(int)]
        alpha = np.where(np.isnan(picture), 0, 255).astype(np.uint8)
        image = pg.ImageItem(np.dstack([colours, alpha]), axisOrder="row-major")
        image.setRect(QRectF(-2, -1, 4, 2))
        self.addItem(image)
        self.setRange(QRectF(-2, -1, 4, 2), padding=0.02)


def _resolution_ticks(highest: float) -> list[tuple[float, str]]:
    """Round resolutions [Å] at their frequencies, far enough apart to be read."""
    ticks: list[tuple[float, str]] = []
    for resolution in _ROUND:
        at = 1 / resolution
        if at <= highest and (not ticks or at - ticks[-1][0] > 0.1 * highest):
            ticks.append((at, f"{resolution:g}"))
    return ticks

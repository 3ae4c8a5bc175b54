"""Live plots of a run: the log likelihood sweep by sweep, acceptance of poses, FSC of half sets."""

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_hypermol.plugin.plot_colours import hold_still

__all__ = ["Traces"]

_HEIGHT = 165
_LIGHT = (("#1f6f8b", "#444444", "#bbbbbb"), ("#b5541c", "#7a3e9d", "#2e7d32", "#a32a3a"))
_DARK = (("#7fc6dd", "#d0d0d0", "#666666"), ("#f2a26b", "#c9a0e8", "#8fd694", "#f08a9b"))
_FSC = 0.143
_LABELLED = 0.2  # of all sweeps a stage must have for its name to find room


class Traces(QWidget):
    """Plots that appear as soon as there is something to plot.

    Parameters
    ----------
    is_dark : bool
        Whether the window's background is dark.
    """

    def __init__(self, is_dark: bool = True) -> None:
        super().__init__()
        self._rows: list[dict[str, Any]] = []
        self._fsc: dict[str, Any] | None = None
        self._edge = 1.0
        self.likelihood = self._plot("Log-likelihood per particle", "sweep")
        self.acceptance = self._plot("Accepted pose moves", "sweep")
        self.acceptance.setYRange(0, 1)
        self.fsc = self._plot("FSC of the half sets, state by state", "frequency [1/Å]")
        self.fsc.setYRange(-0.05, 1.05)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for plot in (self.likelihood, self.acceptance, self.fsc):
            layout.addWidget(plot)
            plot.setVisible(False)
        self.set_theme(is_dark)

    def _plot(self, title: str, below: str) -> Any:
        plot = pg.PlotWidget()
        hold_still(plot, _HEIGHT)
        plot.setTitle(title, size="9pt")
        plot.setLabel("bottom", below)
        plot.setAccessibleName(title)
        plot.getPlotItem().getViewBox().setDefaultPadding(0.04)
        return plot

    def set_theme(self, is_dark: bool) -> None:
        """Colours that can be read on the window's background."""
        (self._line, self._ink, self._faint), self._curves = _DARK if is_dark else _LIGHT
        for plot in (self.likelihood, self.acceptance, self.fsc):
            plot.setBackground(None)
            item = plot.getPlotItem()
            item.setTitle(item.titleLabel.text, size="9pt", color=self._ink)
            for side in ("left", "bottom"):
                axis = item.getAxis(side)
                axis.setPen(self._faint)
                axis.setTextPen(self._ink)
        self._draw_sweeps()
        self._draw_fsc()

    def clear(self) -> None:
        """Forget a run."""
        self.show_sweeps([])
        self.show_fsc(None, 1.0)

    def show_sweeps(self, rows: list[dict[str, Any]]) -> None:
        """Plot all sweeps so far, `runs.trace.read_trace`'s."""
        self._rows = rows
        self._draw_sweeps()

    def show_fsc(self, half_sets: dict[str, Any] | None, edge: float) -> None:
        """Plot the FSC of every state; `half_sets` as in metrics.json, box edge [Å]."""
        self._fsc, self._edge = half_sets, edge
        self._draw_fsc()

    def _draw_sweeps(self) -> None:
        rows = self._rows
        numbers = np.arange(1, len(rows) + 1)
        evidence = np.array([row.get("log_likelihood_per_particle", np.nan) for row in rows])
        is_first = (rows[0].get("max_degree") == 0 if rows else False) and len(rows) > 1
        # the very first sweep has no molecule yet; its log likelihood would flatten all others
        evidence[: 1 if is_first else 0] = np.nan
        evidence[evidence == 0] = np.nan  # a sweep that begins states has not read any yet
        self._draw(self.likelihood, numbers, evidence)
        self._mark_stages(rows)
        accepted = np.array([row.get("pose_acceptance", np.nan) for row in rows], dtype=float)
        self._draw(self.acceptance, numbers, accepted)
        self.acceptance.setVisible(bool(np.isfinite(accepted).any()))
        self.likelihood.setVisible(bool(np.isfinite(evidence).any()))

    def _draw(self, plot: Any, numbers: Any, values: Any) -> None:
        plot.clear()
        is_known = np.isfinite(values)
        plot.plot(
            numbers[is_known], values[is_known], pen=pg.mkPen(self._line, width=2),
            symbol="o", symbolSize=4, symbolBrush=self._line, symbolPen=None,
        )  # fmt: skip

    def _mark_stages(self, rows: list[dict[str, Any]]) -> None:
        """A line where each stage begins, with its name."""
        for number, row in enumerate(rows, 1):
            if number > 1 and row.get("position") == rows[number - 2].get("position"):
                continue
            sweeps = sum(other.get("position") == row.get("position") for other in rows)
            name = str(row.get("stage", "")) if sweeps >= _LABELLED * len(rows) else None
            line = pg.InfiniteLine(
                number - 0.5, pen=pg.mkPen(self._faint, style=pg.QtCore.Qt.PenStyle.DashLine),
                label=name,
                labelOpts={"position": 0.08, "color": self._ink, "anchors": [(0, 1), (0, 1)]},
            )  # fmt: skip
            self.likelihood.addItem(line, ignoreBounds=True)

    def _draw_fsc(self) -> None:
        plot, halves = self.fsc, self._fsc
        plot.clear()
        plot.setVisible(halves is not None)
        if halves is None:
            return
        for index, curve in enumerate(halves["fsc"]):
            frequency = np.arange(len(curve)) / self._edge
            colour = self._curves[index % len(self._curves)]
            plot.plot(frequency, np.asarray(curve, dtype=float), pen=pg.mkPen(colour, width=2))
        dashed = pg.mkPen(self._faint, style=pg.QtCore.Qt.PenStyle.DashLine)
        plot.addItem(pg.InfiniteLine(_FSC, angle=0, pen=dashed), ignoreBounds=True)

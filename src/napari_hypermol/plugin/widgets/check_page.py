"""The Check page: whether to believe a run."""

from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import show_error
from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_hypermol.errors import HypermolError
from napari_hypermol.plugin.latest import Latest
from napari_hypermol.plugin.run_checks import (
    RunChecks,
    export_report,
    look_at_run,
    run_checks,
)
from napari_hypermol.plugin.session import Session
from napari_hypermol.plugin.widgets.montage import Montage, Picture
from napari_hypermol.plugin.widgets.page import Page
from napari_hypermol.plugin.widgets.plot_box import CURVES, PlotBox
from napari_hypermol.runs.directions import mollweide
from napari_hypermol.runs.half_sets import HalfSetCurves
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.verdicts import Verdict

__all__ = ["CheckPage"]

_ICONS = {"good": ("✔", "#2e9e5b"), "attention": ("⚠", "#d98200"), "note": ("•", "#888888")}
_NO_RUN = "Open or make a run: its checks appear here."
_RESIDUAL = (-4.0, 4.0)  # standard deviations of the noise, black to white


class CheckPage(Page):
    """Sentences first, then what they come from.

    Parameters
    ----------
    viewer : napari Viewer
    session : Session
    """

    title = "Check"
    purpose = "See whether the run can be believed."
    guide = "checking.md"

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__(viewer, session)
        self._curves: list[HalfSetCurves] = []
        self._checks: RunChecks | None = None
        self._verdicts: list[Verdict] = []
        self._reading = Latest(self._on_read, self._on_problem, self)
        self._looking = Latest(self._on_looked, self._on_problem, self)
        self._build()
        viewer.events.theme.connect(self._on_theme)
        session.run_changed.connect(self._on_run)
        session.run_updated.connect(self._on_run)
        self._on_theme()
        self._on_run(session.run)

    # ---- the window ---------------------------------------------------------------------------

    def _build(self) -> None:
        self.said = QLabel(_NO_RUN)
        self.said.setWordWrap(True)
        self.said.setTextFormat(Qt.TextFormat.RichText)
        self.said.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.report_button = QPushButton("&Export report…")
        self.report_button.setToolTip("One page with all of this, for any browser")
        self.report_button.clicked.connect(self._on_export)
        self.half_sets_button = QPushButton("&Run half sets next time")
        self.half_sets_button.setToolTip("Puts half_sets: true into the recipe")
        self.half_sets_button.clicked.connect(self._on_half_sets)
        buttons = QHBoxLayout()
        buttons.addWidget(self.half_sets_button, 1)
        buttons.addWidget(self.report_button, 1)
        self.body.addWidget(self.said)
        self.body.addLayout(buttons)
        self.fsc_axis, self.sphere = QComboBox(), QComboBox()
        self.fsc_axis.setAccessibleName("State along which the halves are compared")
        self.sphere.setAccessibleName("What the map of directions shows")
        self.fsc_axis.currentIndexChanged.connect(self._draw_fsc)
        self.sphere.currentIndexChanged.connect(self._draw_sphere)
        self.fsc_plot = PlotBox("FSC of the half sets", "FSC", "resolution [Å]")
        self.fsc_plot.setYRange(0, 1)
        self.sphere_plot = PlotBox("Map of the viewing directions")
        self.noise_plot = PlotBox("Noise spectrum", "power (log10)", "resolution [Å]")
        self.fsc_note, self.sphere_note, self.noise_note = QLabel(), QLabel(), QLabel()
        self.montage = Montage()
        self.montage_note = QLabel(
            "Up to the run's band limit. Residuals from −4 to 4 standard deviations of the noise: "
            "what is left of a particle that is explained looks like noise."
        )
        self.boxes = [
            self._box("Resolution of independent halves", self.fsc_axis, self.fsc_plot,
                      self.fsc_note),
            self._box("Viewing directions", self.sphere, self.sphere_plot, self.sphere_note),
            self._box("Images, predictions, residuals", self.montage, self.montage_note),
            self._box("Noise", self.noise_plot, self.noise_note),
        ]  # fmt: skip
        self.body.addStretch(1)

    def _box(self, title: str, *parts: QWidget) -> QGroupBox:
        box = QGroupBox(title)
        layout = QVBoxLayout(box)
        for part in parts:
            if isinstance(part, QLabel):
                part.setWordWrap(True)
            layout.addWidget(part)
        self.body.addWidget(box)
        return box

    def _on_theme(self, event: Any = None) -> None:
        if self.viewer is None:
            return
        for plot in (self.fsc_plot, self.sphere_plot, self.noise_plot):
            plot.set_theme(str(self.viewer.theme))
        self._draw_fsc()

    # ---- the run ------------------------------------------------------------------------------

    def _on_run(self, run: Run | None) -> None:
        """Another run, or a newer snapshot of it."""
        self._curves, self._checks = [], None
        for box in self.boxes:
            box.setVisible(False)
        is_there = run is not None and bool(run.snapshots())
        self.report_button.setVisible(is_there)
        self.report_button.setEnabled(is_there and (run.path / "report.html").is_file())  # type: ignore[union-attr]
        self.half_sets_button.setVisible(False)
        if not is_there:
            self.said.setText(_NO_RUN)
            return
        self.said.setText("Reading the run…")
        self._reading.ask(run_checks, run)
        if self.isVisible():
            self._look()

    def showEvent(self, event: Any) -> None:
        """Residuals are computed when somebody looks."""
        super().showEvent(event)
        if self._checks is None and not self._looking.is_busy:
            self._look()

    def _look(self) -> None:
        run = self.session.run
        if run is not None and run.snapshots():
            self._looking.ask(look_at_run, run, self._own_particles(run))

    def _own_particles(self, run: Run) -> Any:
        """The session's particles where they are the run's and have been read."""
        path = self.session.particles
        if not path or Path(path).expanduser().resolve() != Path(run.facts["particles"]).resolve():
            return None
        return self.session.file_if_read()

    def _on_read(self, answer: tuple[list[Verdict], list[HalfSetCurves]]) -> None:
        sentences, self._curves = answer
        self._verdicts = sentences
        self._say()
        self.half_sets_button.setVisible(not self._curves)
        self.boxes[0].setVisible(bool(self._curves))
        self._fill(self.fsc_axis, [f"States along {c.axis}" for c in self._curves])
        self._draw_fsc()

    def _on_looked(self, checks: RunChecks) -> None:
        self._checks = checks
        self._say()
        for box in self.boxes[1:]:
            box.setVisible(True)
        self.boxes[1].setVisible(bool(checks.spheres))
        self._fill(self.sphere, [one.name for one in checks.spheres])
        self._draw_sphere()
        self._draw_montage(checks)
        self._draw_noise(checks)

    def _on_problem(self, problem: Exception) -> None:
        self.said.setText(str(problem))
        show_error(str(problem))

    def _say(self) -> None:
        sentences = [*self._verdicts, *(self._checks.entanglement if self._checks else [])]
        rows = []
        for kind, text in sorted(sentences, key=_attention_first):
            icon, colour = _ICONS[kind]
            rows.append(
                f"<tr><td style='color: {colour}; padding-right: 6px'>{icon}</td>"
                f"<td style='padding-bottom: 3px'>{text}</td></tr>"
            )
        self.said.setText(f"<table>{''.join(rows)}</table>")

    def _fill(self, combo: QComboBox, names: list[str]) -> None:
        """Other choices; what was chosen stays if it is still there."""
        chosen = combo.currentText()
        combo.blockSignals(True)
        combo.clear()
        combo.addItems(names)
        combo.setCurrentIndex(max(combo.findText(chosen), 0))
        combo.blockSignals(False)
        combo.setVisible(len(names) > 1)

    # ---- pictures -----------------------------------------------------------------------------

    def _draw_fsc(self, *_: Any) -> None:
        index = self.fsc_axis.currentIndex()
        if not 0 <= index < len(self._curves):
            return
        own = self._curves[index]
        self.fsc_plot.draw_curves(own.frequency, own.fsc, own.threshold)
        lines = [
            f"<span style='color: {CURVES[k % len(CURVES)]}'>■</span>&nbsp;{name}:&nbsp;"
            f"{resolution:.1f}&nbsp;Å"
            for k, (name, resolution) in enumerate(zip(own.names, own.resolution, strict=True))
        ]
        self.fsc_note.setText(f"FSC = {own.threshold} at: " + " &nbsp; ".join(lines))

    def _draw_sphere(self, *_: Any) -> None:
        index = self.sphere.currentIndex()
        if self._checks is None or not 0 <= index < len(self._checks.spheres):
            return
        one = self._checks.spheres[index]
        self.sphere_plot.setVisible(bool(np.isfinite(one.parts).any()))
        if np.isfinite(one.parts).any():
            self.sphere_plot.draw_sphere(mollweide(one.parts))
        self.sphere_note.setText(
            f"{one.name}: {one.caption}, dark to light. The whole sphere in Mollweide's "
            "projection, z of the map upwards."
        )

    def _draw_montage(self, checks: RunChecks) -> None:
        rows = []
        for number, (row, triple) in enumerate(zip(checks.rows, checks.triples, strict=True)):
            kind = "Least likely" if number < checks.n_worst else "Typical"
            limits = tuple(np.percentile(triple[0], [0.5, 99.5]))
            span = float(np.abs(triple[1]).max()) or 1.0
            pictures = [
                Picture(triple[0], limits, f"Particle {row + 1:,}"),
                Picture(triple[1], (-span, span), "Prediction"),
                Picture(triple[2], _RESIDUAL, "Residual, black −4, white 4 standard deviations"),
            ]
            rows.append((f"{kind}: particle {row + 1:,}", pictures))
        self.montage.show_rows(["image", "prediction", "residual"], rows)

    def _draw_noise(self, checks: RunChecks) -> None:
        noise = checks.noise
        curves = [np.log10(c) for c in (noise.assumed, noise.residual, noise.image)]
        self.noise_plot.draw_curves(noise.frequency, curves)
        names = ("noise assumed", "residuals", "images")
        parts = [
            f"<span style='color: {CURVES[k]}'>■</span>&nbsp;{name}" for k, name in enumerate(names)
        ]
        self.noise_note.setText(
            " &nbsp; ".join(parts) + "<br>Residuals above the noise assumed: something in the "
            "images is not explained."
        )

    # ---- what can be done ---------------------------------------------------------------------

    def _on_half_sets(self) -> None:
        self.session.put(half_sets=True)
        self.half_sets_button.setText("Half sets are in the recipe")
        self.half_sets_button.setEnabled(False)

    def _on_export(self) -> None:
        run = self.session.run
        if run is None:
            return
        start = str(Path.home() / f"{run.path.name}.html")
        chosen, _ = QFileDialog.getSaveFileName(self, "Export report", start, "Web page (*.html)")
        if not chosen:
            return
        try:
            export_report(run, Path(chosen))
        except (HypermolError, OSError) as problem:
            show_error(str(problem))
            return
        QDesktopServices.openUrl(QUrl.fromLocalFile(chosen))

    def let_go(self) -> None:
        """Disconnect from the viewer and the session."""
        viewer, self.viewer = self.viewer, None
        if viewer is None:
            return
        self._reading.let_go()
        self._looking.let_go()
        viewer.events.theme.disconnect(self._on_theme)
        self.session.run_changed.disconnect(self._on_run)
        self.session.run_updated.disconnect(self._on_run)


def _attention_first(verdict: Verdict) -> int:
    return ("attention", "good", "note").index(verdict.kind)

"""The Particles page: what the file says, the images as one wants them, and which to leave out."""

from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import show_error, show_info
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
)
from superqt.utils import qdebounced

from napari_hypermol.errors import HypermolError
from napari_hypermol.io.particle_file import ParticleFile, is_particle_file
from napari_hypermol.plugin.latest import Latest
from napari_hypermol.plugin.layers import LayerData, particles_layer
from napari_hypermol.plugin.particle_layer import ParticleLayer
from napari_hypermol.plugin.session import Session
from napari_hypermol.plugin.viewing import hypermol_of
from napari_hypermol.plugin.widgets.class_averages import ClassAveragesBox
from napari_hypermol.plugin.widgets.image_look import ImageLook
from napari_hypermol.plugin.widgets.page import Page
from napari_hypermol.plugin.widgets.particle_table import ParticleTable
from napari_hypermol.plugin.widgets.path_field import PathField
from napari_hypermol.runs.describe import particle_lines
from napari_hypermol.runs.run_particles import open_particles
from napari_hypermol.runs.selection import export_particles, outliers, where_images_are

__all__ = ["ParticlesPage"]

_FILES = "Particles (*.star *.cs)"
_NOTHING_YET = "Open a particle file, or drop one on the viewer."
_TABLE_ROWS = 9  # seen at once


def _opened(path: Path, with_layer: bool) -> tuple[ParticleFile, LayerData | None]:
    """What a worker reads: the table, and the few images that contrast limits come from."""
    file = open_particles(path)
    return file, particles_layer(file) if with_layer else None


class ParticlesPage(Page):
    """Open, look, leave out, save.

    Parameters
    ----------
    viewer : napari Viewer
    session : Session
    """

    title = "Particles"
    purpose = "Open particle images, look at them, leave out bad ones."
    guide = "particles.md"

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__(viewer, session)
        self.file: ParticleFile | None = None
        self.kept: NDArray[np.bool_] = np.ones(0, dtype=bool)
        self._is_choosing = False
        self._reading = Latest(self._on_read, self._on_problem, self)
        self._judging = Latest(self._on_outliers, self._on_problem, self)
        self._layer = ParticleLayer(viewer)
        self._build()
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.dims.events.current_step.connect(self._on_step)
        session.particles_changed.connect(self._on_particles)
        session.run_changed.connect(self._on_run)
        session.run_updated.connect(self._on_run)
        session.selection_changed.connect(self._on_selection)
        for layer in viewer.layers:
            self._adopt(layer)
        if self.file is None and session.particles:
            self._on_particles(session.particles)
        self._show_alone()

    # ---- the window ---------------------------------------------------------------------------

    def _build(self) -> None:
        self.path = PathField("Choose particles", _FILES, ".star or .cs file")
        self.path.line.setAccessibleName("Particle file")
        self.path.changed.connect(self._on_path)
        self.facts = QLabel(_NOTHING_YET)
        self.facts.setWordWrap(True)
        self.facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.show_button = QPushButton("&Show images")
        self.show_button.setToolTip("Add the images to the viewer")
        self.show_button.clicked.connect(self._on_show)
        self.body.addWidget(self.path)
        self.body.addWidget(self.facts)
        self.body.addWidget(self.show_button)
        self.look = ImageLook()
        self.look.changed.connect(self._on_look)
        self.body.addWidget(self.look)
        self.body.addWidget(self._table_box())
        self.averages = ClassAveragesBox()
        self.body.addWidget(self.averages)
        self.body.addStretch(1)

    def _table_box(self) -> QGroupBox:
        self.which = QComboBox()
        self.which.setAccessibleName("Which particles the table shows")
        self.which.addItems(["All", "Selected", "Left out"])
        self.which.currentIndexChanged.connect(self._on_which)
        self.count = QLabel()
        self.table = ParticleTable()
        rows = self.table.verticalHeader().defaultSectionSize() * _TABLE_ROWS
        self.table.setMinimumHeight(rows + self.table.horizontalHeader().sizeHint().height())
        self.table.current_changed.connect(self._layer.go_to)
        self.table.chosen_changed.connect(self._on_chosen)
        self.table.particles.kept_changed.connect(self._on_kept)
        self.toggle_button = self._button("&Leave this one out", self._on_toggle)
        self.leave_button = self._button("Leave out &selection", self._on_leave_out)
        self.suggest_button = self._button("Suggest &outliers", self._on_suggest)
        self.suggest_button.setToolTip(
            "Select the particles that the run explains far worse than the others, or finds of "
            "unusual contrast"
        )
        self.save_button = self._button("Save &kept particles…", self._on_save)
        for key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            shortcut = QShortcut(QKeySequence(key), self.table)
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(self._on_delete)
        self.toggle_button.setToolTip("Or press Delete in the table")
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.said.setVisible(False)
        box = QGroupBox("Table")
        head = QFormLayout()
        head.addRow("Show", self.which)
        layout = QVBoxLayout(box)
        layout.addLayout(head)
        layout.addWidget(self.table)
        layout.addWidget(self.count)
        layout.addWidget(self.said)
        for pair in (
            (self.toggle_button, self.leave_button),
            (self.suggest_button, self.save_button),
        ):
            line = QHBoxLayout()
            for button in pair:
                line.addWidget(button, 1)
            layout.addLayout(line)
        self.box = box
        return box

    def _button(self, text: str, slot: Any) -> QPushButton:
        button = QPushButton(text)
        button.clicked.connect(slot)
        return button

    # ---- opening ------------------------------------------------------------------------------

    @qdebounced(timeout=250)  # type: ignore[untyped-decorator]
    def _on_path(self, text: str) -> None:
        path = Path(text).expanduser()
        is_open = self.file is not None and path.resolve() == self.file.path.resolve()
        if self.viewer is None or not text or is_open or not path.is_file():
            return
        if not is_particle_file(path):
            self.facts.setText(
                f"{path.name} holds no particle images; choose the particles of a RELION job, "
                "or a cryoSPARC .cs file that says where the images are."
            )
            return
        self._read(path, with_layer=True)

    def _on_particles(self, path: str) -> None:
        """Another page, or the layer list, brought particles."""
        if not path:
            return
        if self.path.text != path:
            self.path.line.blockSignals(True)
            self.path.text = path
            self.path.line.blockSignals(False)
        if self.file is None or self.file.path.resolve() != Path(path).expanduser().resolve():
            self._read(Path(path).expanduser(), with_layer=False)

    def _read(self, path: Path, with_layer: bool) -> None:
        self.facts.setText(f"Opening {path.name}…")
        self._reading.ask(_opened, path, with_layer)

    def _on_read(self, answer: tuple[ParticleFile, LayerData | None]) -> None:
        file, layer_data = answer
        self._take(file)
        if layer_data is not None:
            self._layer.add(layer_data, file)
        self._refresh()

    def _on_problem(self, problem: Exception) -> None:
        self.facts.setText(str(problem))
        show_error(str(problem))

    def _take(self, file: ParticleFile) -> None:
        """Show another file, and let the other pages know."""
        self.file = file
        self.kept = np.ones(file.n, dtype=bool)
        lines = [*particle_lines(file), *([f"⚠ {file.note}"] if file.note else [])]
        self.facts.setText("\n".join(line[:1].upper() + line[1:] for line in lines))
        self.facts.setToolTip(str(file.path))
        self.path.text = str(file.path)
        self.table.fill(file.table, self.kept)
        self.which.setCurrentIndex(0)
        self.said.setVisible(False)
        self._layer.forget()
        self.session.take(file)
        self._refresh()

    def _on_inserted(self, event: Any) -> None:
        self._adopt(event.value)

    def _on_removed(self, event: Any) -> None:
        # later: a viewer that closes takes its layers away one by one
        QTimer.singleShot(0, self._show_alone)

    def _show_alone(self) -> None:
        """When nothing else is left to be seen, the images that had stepped aside come back."""
        if self.viewer is None or not isalive(self):
            return
        layer = self._layer.layer
        if layer is not None and not any(other.visible for other in self.viewer.layers):
            self.viewer.dims.ndisplay = 2  # a stack is no volume
            layer.visible = True
        self._refresh()

    def _adopt(self, layer: Any) -> None:
        """A particle layer came into the viewer, by our hand or dropped."""
        facts = hypermol_of(layer, "particles") or {}
        file = facts.get("file")
        if file is None:
            return
        if self.file is not file:
            self._take(file)
        self._layer.follow(layer, file)
        self._on_step()
        self._refresh()

    def _on_show(self) -> None:
        if self.file is not None:
            self._read(self.file.path, with_layer=True)

    def on_front(self, is_front: bool) -> None:
        """The table stands at the image that is shown."""
        if is_front:
            QTimer.singleShot(0, self.table.show_current)

    # ---- looking ------------------------------------------------------------------------------

    def _on_look(self) -> None:
        run = self._matching_run()
        self._layer.look(
            self.look.correction, self.look.resolution, run if self.look.with_prediction else None
        )

    def _on_step(self, event: Any = None) -> None:
        row = self._layer.row()
        if row is None or self.viewer is None:
            return
        self.table.go_to(row)
        self._show_current()

    def _show_current(self) -> None:
        row = self._layer.row()
        is_out = row is not None and row < len(self.kept) and not self.kept[row]
        self._layer.dim(is_out)
        self.toggle_button.setText("&Keep this one" if is_out else "&Leave this one out")

    # ---- leaving out --------------------------------------------------------------------------

    def _on_chosen(self, rows: NDArray[np.int64]) -> None:
        if self.file is not None and len(rows) > 1:
            mask = np.zeros(self.file.n, dtype=bool)
            mask[rows] = True
            self._is_choosing = True  # the rows chosen from must not go while the mouse is down
            self.session.selection = mask
            self._is_choosing = False

    def _on_selection(self, mask: Any = None) -> None:
        if self.which.currentText() == "Selected" and not self._is_choosing:
            self._on_which()
        self._refresh()

    def _on_which(self, *_: Any) -> None:
        masks = {"Selected": self._selected(), "Left out": ~self.kept}
        self.table.particles.show_only(masks.get(self.which.currentText()))
        self._on_step()

    def _selected(self) -> NDArray[np.bool_]:
        mask = self.session.selection
        if self.file is None or mask is None or len(mask) != self.file.n:
            return np.zeros(0 if self.file is None else self.file.n, dtype=bool)
        return mask

    def _on_toggle(self) -> None:
        row = self._layer.row()
        if row is None:
            index = self.table.currentIndex()
            row = int(self.table.particles.order[index.row()]) if index.isValid() else None
        if row is not None and row < len(self.kept):
            self.table.particles.keep(np.array([row]), not self.kept[row])
        else:
            self.said.setText("Choose a row of the table first.")
            self.said.setVisible(True)

    def _on_leave_out(self) -> None:
        self.table.particles.keep(self._selected(), False)

    def _on_delete(self) -> None:
        self.table.particles.keep(self.table.chosen(), False)

    def _on_kept(self) -> None:
        self._show_current()
        self._refresh()

    def _on_suggest(self) -> None:
        run = self._matching_run()
        if run is not None:
            self._judging.ask(outliers, run)

    def _on_outliers(self, answer: tuple[NDArray[np.bool_], str]) -> None:
        mask, sentence = answer
        if self.file is None or len(mask) != self.file.n:
            return
        hint = " Look at them before you leave them out." if mask.any() else ""
        self.said.setText(f"{sentence[:1].upper()}{sentence[1:]}.{hint}")
        self.said.setVisible(True)
        if mask.any():
            self.session.selection = mask
            self.which.setCurrentText("Selected")

    # ---- saving -------------------------------------------------------------------------------

    def _on_save(self) -> None:
        file = self.file
        if file is None:
            return
        suffix = file.path.suffix
        start = file.path.with_name(f"{file.path.stem}_kept{suffix}")
        kinds = "STAR (*.star)" if file.cs is None else "cryoSPARC (*.cs);;STAR (*.star)"
        chosen, _ = QFileDialog.getSaveFileName(self, "Save kept particles", str(start), kinds)
        if chosen:
            self.save(Path(chosen))

    def save(self, path: Path) -> None:
        """Write the kept particles; the dialog has asked about a file that is there."""
        assert self.file is not None  # the button is enabled with a file only
        try:
            export_particles(self.file, path, self.kept, self._matching_run(), overwrite=True)
        except (HypermolError, OSError) as problem:
            show_error(str(problem))
            return
        hint = where_images_are(self.file, path)
        show_info(f"{self.kept.sum():,} of {self.file.n:,} particles written to {path}{hint}")
        answer = QMessageBox.question(self, "Go on with them?", f"Open {path.name} now?")
        if answer == QMessageBox.StandardButton.Yes:
            self.path.text = str(path)

    # ---- what is possible ---------------------------------------------------------------------

    def _matching_run(self) -> Any:
        """The run of the session if it is of these particles, and has begun."""
        run = self.session.run
        if run is None or self.file is None or not run.snapshots():
            return None
        same = Path(run.facts["particles"]).resolve() == self.file.path.resolve()
        return run if same and run.facts["n_particles"] == self.file.n else None

    def _on_run(self, run: Any = None) -> None:
        self._refresh()
        if self.look.with_prediction:
            self._on_look()

    def _refresh(self) -> None:
        file, run = self.file, self._matching_run()
        has_file = file is not None
        selected, out = int(self._selected().sum()), int((~self.kept).sum())
        self.show_button.setVisible(has_file and self._layer.layer is None)
        self.box.setVisible(has_file)
        self.look.allow(
            has_layer=self._layer.layer is not None,
            has_ctf=has_file and file.particles.defocus is not None,  # type: ignore[union-attr]
            has_run=run is not None,
        )
        self.averages.show_run(file, run)
        self.count.setText(f"{selected:,} selected, {out:,} left out, {self.kept.sum():,} kept")
        self.leave_button.setEnabled(selected > 0)
        self.suggest_button.setEnabled(run is not None)
        self.save_button.setEnabled(bool(self.kept.any()))

    def let_go(self) -> None:
        """Disconnect from the viewer and the session."""
        viewer, self.viewer = self.viewer, None
        if viewer is None:
            return
        for latest in (self._reading, self._judging):
            latest.let_go()
        self._layer.let_go()
        self.averages.let_go()
        viewer.layers.events.inserted.disconnect(self._on_inserted)
        viewer.layers.events.removed.disconnect(self._on_removed)
        viewer.dims.events.current_step.disconnect(self._on_step)
        self.session.particles_changed.disconnect(self._on_particles)
        self.session.run_changed.disconnect(self._on_run)
        self.session.run_updated.disconnect(self._on_run)
        self.session.selection_changed.disconnect(self._on_selection)

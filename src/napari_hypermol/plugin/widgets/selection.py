"""The selection: how many particles, by condition or class, and into a STAR or .cs file."""

from pathlib import Path

import numpy as np
from napari.utils.notifications import show_error, show_info
from numpy.typing import NDArray
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_hypermol.errors import HypermolError
from napari_hypermol.io.particle_file import ParticleFile
from napari_hypermol.plugin.browser import Browser
from napari_hypermol.runs.selection import export_particles, select, selectable, where_images_are
from napari_hypermol.runs.store import Run

__all__ = ["SelectionPart"]


class SelectionPart(QWidget):
    """Counts, changes and saves `session.selection`.

    Parameters
    ----------
    browser : Browser
    """

    def __init__(self, browser: Browser) -> None:
        super().__init__()
        self._browser = browser
        self.count = QLabel()
        self.count.setWordWrap(True)
        self.condition = QLineEdit()
        self.condition.setPlaceholderText("state1 < 0.3 and contrast > 0.8")
        self.condition.setAccessibleName("Condition that selects particles")
        self.condition.setClearButtonEnabled(True)
        self.condition.returnPressed.connect(self._on_condition)
        self.invert_button = QPushButton("&Invert")
        self.invert_button.clicked.connect(self._on_invert)
        self.clear_button = QPushButton("&Clear")
        self.clear_button.clicked.connect(self._on_clear)
        self.save_button = QPushButton("Sa&ve selection…")
        self.save_button.setToolTip(
            "A STAR or .cs file with these particles only: all columns and optics groups kept, "
            "rows in the order of the input"
        )
        self.save_button.clicked.connect(self._on_save)
        buttons = QHBoxLayout()
        for button in (self.invert_button, self.clear_button, self.save_button):
            buttons.addWidget(button, 2 if button is self.save_button else 1)
        line = QHBoxLayout()
        line.addWidget(QLabel("Where"))
        line.addWidget(self.condition, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.count)
        layout.addLayout(line)
        layout.addLayout(buttons)
        browser.read.connect(self._on_read)
        browser.session.selection_changed.connect(self._on_selection)
        self._on_read()

    def _on_read(self) -> None:
        browsed = self._browser.browsed
        if browsed is not None:
            names = ", ".join(selectable(browsed.run))
            self.condition.setToolTip(f"Press Enter to select. Names: {names}")
        self._on_selection(self._browser.session.selection)

    def _on_selection(self, mask: NDArray[np.bool_] | None) -> None:
        browsed = self._browser.browsed
        # without a run, another page has selected particles of a file
        n = browsed.n if browsed is not None else 0 if mask is None else len(mask)
        chosen = 0 if mask is None else int(np.count_nonzero(mask))
        if chosen:
            self.count.setText(f"<b>{chosen:,}</b> of {n:,} particles, {100 * chosen / n:.3g} %")
        else:
            self.count.setText(
                f"None of {n:,} particles. Choose <i>Select</i> and drag over the landscape."
            )
        self.clear_button.setEnabled(chosen > 0)
        self.save_button.setEnabled(chosen > 0)
        self.invert_button.setEnabled(n > 0)

    def _on_condition(self) -> None:
        text, browsed = self.condition.text().strip(), self._browser.browsed
        if browsed is None or not text:
            return
        try:
            rows = select(browsed.run, text)
        except HypermolError as problem:
            show_error(str(problem).removeprefix("--where "))
            return
        mask = np.zeros(browsed.n, dtype=np.bool_)
        mask[rows] = True
        self._browser.session.selection = mask if len(rows) else None

    def _on_invert(self) -> None:
        session, browsed = self._browser.session, self._browser.browsed
        if browsed is None:
            return
        old = session.selection
        mask = np.ones(browsed.n, dtype=np.bool_) if old is None else ~old
        session.selection = mask if mask.any() else None

    def _on_clear(self) -> None:
        self._browser.session.selection = None

    def _on_save(self) -> None:
        browsed = self._browser.browsed
        if browsed is None:
            return
        given = Path(str(browsed.run.facts["particles"]))
        endings = "STAR (*.star)"
        if given.suffix.lower() == ".cs":
            endings = "cryoSPARC (*.cs);;STAR (*.star)"
        start = str(given.with_name(f"{given.stem}_selected{given.suffix}"))
        name, _ = QFileDialog.getSaveFileName(self, "Save the selection", start, endings)
        if name:
            self.save(Path(name))

    def save(self, out: Path) -> None:
        """Write the selected particles; the file may exist, the dialog has asked."""
        browsed, mask = self._browser.browsed, self._browser.session.selection
        if browsed is None or mask is None:
            return
        work = (browsed.run, self._browser.file, mask.copy(), out)
        self._browser.background.do("save", _save, work, self._on_saved, show_error)

    def _on_saved(self, told: str) -> None:
        show_info(told)

    def let_go(self) -> None:
        """Hear no more of the session."""
        self._browser.session.selection_changed.disconnect(self._on_selection)


def _save(run: Run, file: ParticleFile | None, mask: NDArray[np.bool_], out: Path) -> str:
    """Write selected particles and say so; reads them first where they are not read yet."""
    file = run.read_particles() if file is None else file
    export_particles(file, out, np.flatnonzero(mask), run, overwrite=True)
    return f"{np.count_nonzero(mask):,} particles written to {out}{where_images_are(file, out)}"

"""Particles near the marker beside what the run predicts for them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_hypermol.plugin.browser import Browser
from napari_hypermol.runs.near_particles import ImagePairs, image_pairs, nearest_particles
from napari_hypermol.runs.predictions import Predictions

__all__ = ["ImageStrip"]

_SHOWN = 5
_EDGE = 58  # [px] of a picture: five stand side by side in 320 px
_REST = 250  # [ms] that the sliders must stand still before images are read


class ImageStrip(QWidget):
    """Images of the nearest particles, their predictions under them.

    Works only while it can be seen.

    Parameters
    ----------
    browser : Browser
    """

    def __init__(self, browser: Browser) -> None:
        super().__init__()
        self._browser = browser
        self.found: ImagePairs | None = None
        self._predictions: Predictions | None = None
        self.note = QLabel()
        self.note.setWordWrap(True)
        grid = QGridLayout()
        grid.setSpacing(3)
        self._pictures = [[QLabel() for _ in range(_SHOWN)] for _ in range(2)]
        self._captions = [QLabel() for _ in range(_SHOWN)]
        for row, labels in enumerate((*self._pictures, self._captions)):
            for column, label in enumerate(labels):
                label.setAlignment(Qt.AlignmentFlag.AlignCenter)
                grid.addWidget(label, row, column)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.note)
        layout.addLayout(grid)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._on_rest)
        browser.moved.connect(self._on_moved)
        browser.read.connect(self._on_moved)
        browser.particles_read.connect(self._on_moved)

    def showEvent(self, event: Any) -> None:
        """It was opened."""
        super().showEvent(event)
        self._on_moved()

    def _on_moved(self, state: Any = None) -> None:
        if self.isVisible():
            self._timer.start(_REST)

    def _on_rest(self) -> None:
        browser = self._browser
        browsed, file = browser.browsed, browser.file
        if browser.file_problem:
            self.note.setText(f"The particles cannot be read: {browser.file_problem}")
        elif browsed is None or file is None or not browsed.has_states:
            self.note.setText("The particles are being read…")
        else:
            kinds = tuple(axis.kind for axis in browsed.axes)
            rows = nearest_particles(browsed.states, browser.state, kinds, _SHOWN)
            if self._predictions is None or self._predictions.snapshot is not browsed.run.snapshot:
                self._predictions = Predictions(file.particles, browsed.run.snapshot)
            work = (self._predictions, rows)
            browser.background.do("images", image_pairs, work, self._on_found, self._on_none)

    def _on_none(self, problem: str) -> None:
        self.note.setText(problem)

    def _on_found(self, found: ImagePairs) -> None:
        if self._browser.browsed is None:
            return
        self.found = found
        self.note.setText(
            "Above: the nearest particles, up to the band limit of the run. Below: predicted for "
            "each. Numbers: row in the file, correlation of the two."
        )
        for column in range(len(found.rows)):
            for row, stack in enumerate((found.images, found.predicted)):
                self._pictures[row][column].setPixmap(_pixmap(stack[column]))
            row, match = found.rows[column] + 1, found.correlations[column]
            self._captions[column].setText(f"{row:,}<br><b>{match:.2f}</b>")
            self._captions[column].setToolTip(f"Row {row:,} of the file; correlation {match:.3f}")

    def let_go(self) -> None:
        """Stop waiting."""
        self._timer.stop()


def _pixmap(image: NDArray[np.float32]) -> QPixmap:
    """A grey picture between the 1st and the 99th percentile."""
    low, high = np.percentile(image, [1, 99])
    grey = np.clip(255 * (image - low) / ((high - low) or 1), 0, 255).astype(np.uint8)
    grey = np.ascontiguousarray(grey[::-1])  # y upwards, as the molecule is shown
    rows, columns = grey.shape
    picture = QImage(grey.data, columns, rows, columns, QImage.Format.Format_Grayscale8).copy()
    smooth = Qt.TransformationMode.SmoothTransformation
    return QPixmap.fromImage(
        picture.scaled(_EDGE, _EDGE, Qt.AspectRatioMode.KeepAspectRatio, smooth)
    )

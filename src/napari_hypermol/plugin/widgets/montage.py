"""Pictures in rows with names, as wide as the page allows."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

__all__ = ["Montage", "Picture"]

_GAP = 3
_LEAST, _MOST = 40, 110  # edge of a picture [px]
_PERCENTILES = (0.5, 99.5)


class Picture(NamedTuple):
    """An image, its grey range and what is told about it.

    Attributes
    ----------
    image : (y, x) float ndarray
    limits : (low, high) or None
        None: nearly all of the image's own range.
    tip : str
    """

    image: NDArray[np.floating]
    limits: tuple[float, float] | None = None
    tip: str = ""


class _PictureLabel(QLabel):
    """A square picture that scales with its place."""

    def __init__(self, picture: Picture) -> None:
        super().__init__()
        image = np.asarray(picture.image, dtype=np.float64)
        low, high = picture.limits or np.percentile(image, _PERCENTILES)
        grey = np.clip(255 * (image - low) / max(high - low, 1e-30), 0, 255).astype(np.uint8)
        y, x = grey.shape
        data = np.ascontiguousarray(grey)
        self._whole = QPixmap.fromImage(
            QImage(data.data, x, y, x, QImage.Format.Format_Grayscale8).copy()
        )
        self.setToolTip(picture.tip)
        self.setAccessibleName(picture.tip)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def set_edge(self, edge: int) -> None:
        """Draw it so large."""
        self.setFixedHeight(edge)
        smooth = Qt.TransformationMode.SmoothTransformation
        keep = Qt.AspectRatioMode.KeepAspectRatio
        self.setPixmap(self._whole.scaled(edge, edge, keep, smooth))


class Montage(QWidget):
    """A grid: titles above the columns, a caption above each row."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(_GAP)
        self._pictures: list[_PictureLabel] = []
        self._columns = 1

    @property
    def captions(self) -> list[str]:
        """What stands above the rows."""
        labels = (self._grid.itemAt(i).widget() for i in range(self._grid.count()))
        return [x.text() for x in labels if isinstance(x, QLabel) and x.objectName() == "caption"]

    def show_rows(
        self, titles: Sequence[str], rows: Sequence[tuple[str, Sequence[Picture]]]
    ) -> None:
        """Replace all pictures.

        Parameters
        ----------
        titles : sequence of str
            One a column.
        rows : sequence of (caption, pictures)
            An empty caption takes no room.
        """
        while (item := self._grid.takeAt(0)) is not None:
            item.widget().deleteLater()
        self._pictures, self._columns = [], max(len(titles), 1)
        for column, title in enumerate(titles):
            label = QLabel(title)
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            label.setWordWrap(True)
            self._grid.addWidget(label, 0, column)
            self._grid.setColumnStretch(column, 1)
        for number, (caption, pictures) in enumerate(rows):
            if caption:
                label = QLabel(caption)
                label.setObjectName("caption")
                label.setWordWrap(True)
                self._grid.addWidget(label, 2 * number + 1, 0, 1, self._columns)
            for column, picture in enumerate(pictures):
                own = _PictureLabel(picture)
                self._pictures.append(own)
                self._grid.addWidget(own, 2 * number + 2, column)
        self._fit()

    def resizeEvent(self, event: Any) -> None:
        """Scale the pictures."""
        super().resizeEvent(event)
        self._fit()

    def minimumSizeHint(self) -> QSize:
        """Narrow enough for any page."""
        hint = super().minimumSizeHint()
        return QSize(min(hint.width(), self._columns * (_LEAST + _GAP)), hint.height())

    def _fit(self) -> None:
        edge = self.width() // self._columns - _GAP
        for picture in self._pictures:
            picture.set_edge(int(np.clip(edge, _LEAST, _MOST)))

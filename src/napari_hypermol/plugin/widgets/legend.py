"""A legend in one line: a ramp with its two ends, or the colours of a few categories."""

import html
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

__all__ = ["Legend"]

_RAMP = (140, 12)  # [px]


class Legend(QWidget):
    """Says what colours mean; hidden where they mean nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._name, self._low, self._high = QLabel(), QLabel(), QLabel()
        self._ramp = QLabel()
        self._name.setWordWrap(True)
        self._name.setTextFormat(Qt.TextFormat.RichText)
        # a long name must not widen the window
        self._name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        layout = QGridLayout(self)
        layout.setContentsMargins(4, 0, 4, 0)
        layout.setVerticalSpacing(0)
        layout.setColumnStretch(3, 1)
        layout.addWidget(self._name, 0, 0, 1, 4)
        for column, part in enumerate((self._low, self._ramp, self._high)):
            layout.addWidget(part, 1, column)
        self.setVisible(False)

    @property
    def text(self) -> str:
        """What stands there, in reading order."""
        parts = (self._name, self._low, self._high)
        return " ".join(part.text() for part in parts if part.text())

    def show_ramp(self, name: str, limits: tuple[float, float], colours: NDArray[np.uint8]) -> None:
        """Numbers from low to high; colours (k, 3 or 4)."""
        row = np.ascontiguousarray(np.tile(colours[None, :, :3], (2, 1, 1)), dtype=np.uint8)
        image = QImage(
            row.data, row.shape[1], 2, 3 * row.shape[1], QImage.Format.Format_RGB888
        ).copy()
        self._ramp.setPixmap(QPixmap.fromImage(image.scaled(*_RAMP)))
        self._name.setText(html.escape(name))
        self._low.setText(_number(limits[0]))
        self._high.setText(_number(limits[1]))
        self._show(is_ramp=True)

    def show_categories(
        self, name: str, names: Sequence[str], colours: Sequence[tuple[int, int, int]]
    ) -> None:
        """A coloured square before every name."""
        parts = [
            f"<span style='color: rgb{tuple(colour)}'>■</span>&nbsp;{html.escape(text)}"
            for text, colour in zip(names, colours, strict=False)
        ]
        self._name.setText(f"{html.escape(name)}: " + " &nbsp;".join(parts))
        self._low.setText("")
        self._high.setText("")
        self._show(is_ramp=False)

    def _show(self, is_ramp: bool) -> None:
        for part in (self._low, self._ramp, self._high):
            part.setVisible(is_ramp)
        self.setVisible(True)


def _number(value: float) -> str:
    """Four digits; thousands with a comma rather than a power of ten."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"

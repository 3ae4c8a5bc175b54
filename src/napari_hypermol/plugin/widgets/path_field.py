"""A line for a path with a button that opens the file dialog, and takes dropped files."""

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

__all__ = ["PathField"]


class PathField(QWidget):
    """A path to be read, or the name of a folder to be made.

    Parameters
    ----------
    title : str
        Of the dialog.
    filter : str or None
        Qt's filter of file names; None asks for a folder that does not exist yet.
    placeholder : str
        Shown while the field is empty.
    """

    changed = Signal(str)

    def __init__(self, title: str, filter: str | None, placeholder: str = "") -> None:
        super().__init__()
        self._title = title
        self._filter = filter
        self.line = QLineEdit()
        self.line.setPlaceholderText(placeholder)
        self.line.setClearButtonEnabled(True)
        self.line.textChanged.connect(self._on_text)
        button = QPushButton("…")
        button.setToolTip(title)
        button.setFixedWidth(28)
        button.clicked.connect(self._on_browse)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.line, 1)
        layout.addWidget(button)
        self.setFocusProxy(self.line)

    @property
    def text(self) -> str:
        """The path as written."""
        return self.line.text().strip()

    @text.setter
    def text(self, value: str) -> None:
        self.line.setText(value)

    def _on_text(self, text: str) -> None:
        self.line.setToolTip(text)
        self.changed.emit(text.strip())

    def _on_browse(self) -> None:
        start = str(Path(self.text).parent) if self.text else ""
        if self._filter is None:
            chosen, _ = QFileDialog.getSaveFileName(self, self._title, self.text)
        else:
            chosen, _ = QFileDialog.getOpenFileName(self, self._title, start, self._filter)
        if chosen:
            self.text = chosen

"""A part of a page under a title that folds it away."""

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

__all__ = ["Fold"]


class Fold(QWidget):
    """A title that is a button, and the part under it; folded at first.

    Unlike superqt's it takes the height that the part wants at any moment: texts come and go.

    Parameters
    ----------
    title : str
    part : QWidget
    """

    def __init__(self, title: str, part: QWidget) -> None:
        super().__init__()
        self._title, self._part = title, part
        self.button = QPushButton()
        self.button.setCheckable(True)
        self.button.setStyleSheet("text-align: left; padding-left: 6px;")
        self.button.setAccessibleName(title)
        self.button.toggled.connect(self._on_toggled)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.button)
        layout.addWidget(part)
        self._on_toggled(False)

    @property
    def is_open(self) -> bool:
        """Whether the part can be seen."""
        return bool(self.button.isChecked())

    @is_open.setter
    def is_open(self, is_wanted: bool) -> None:
        self.button.setChecked(is_wanted)

    def _on_toggled(self, is_open: bool) -> None:
        self.button.setText(f"{'▾' if is_open else '▸'}  {self._title}")
        self._part.setVisible(is_open)

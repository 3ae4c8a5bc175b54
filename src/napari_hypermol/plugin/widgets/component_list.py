"""The list of components: a colour, a name, a word on what is wrong; rename, duplicate, remove."""

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import (
    QColorDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

__all__ = ["ComponentList"]

_ROWS = 5
_NAME = Qt.ItemDataRole.UserRole


class ComponentList(QWidget):
    """Names of components, one of them chosen.

    Attributes
    ----------
    chosen : Signal(str)
        Empty for none.
    renamed : Signal(str, str)
        Old and new name, as typed.
    duplicated, removed, painted : Signal(str)
        The button was pressed for this component.
    colored : Signal(str, str)
        The component and ``#rrggbb``.
    """

    chosen = Signal(str)
    renamed = Signal(str, str)
    duplicated = Signal(str)
    removed = Signal(str)
    painted = Signal(str)
    colored = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self.list = QListWidget()
        self.list.setAccessibleName("Components")
        self.list.setToolTip("Double-click, or F2, to rename")
        self.list.setEditTriggers(
            QListWidget.EditTrigger.DoubleClicked | QListWidget.EditTrigger.EditKeyPressed
        )
        self.list.setMinimumHeight(_ROWS * 22)
        self.list.setMaximumHeight(_ROWS * 34)
        self.list.currentRowChanged.connect(self._on_row)
        self.list.itemChanged.connect(self._on_item)
        self._buttons: list[QPushButton] = []
        row = QHBoxLayout()
        row.setSpacing(4)
        for text, tip, slot in (
            ("&Colour", "Of its outline, surface and paint", self._on_color),
            ("&Paint", "Change its mask with the brush", self._on_paint),
            ("D&uplicate", "The same again, under another name", self._on_duplicate),
            ("&Remove", "Take it out of the recipe", self._on_remove),
        ):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.setEnabled(False)
            button.clicked.connect(slot)
            self._buttons.append(button)
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.list)
        column.addLayout(row)

    @property
    def current(self) -> str:
        """The name that is chosen; empty for none."""
        item = self.list.currentItem()
        return "" if item is None else str(item.data(_NAME))

    @property
    def names(self) -> list[str]:
        """All names, from top to bottom."""
        return [self.list.item(i).data(_NAME) for i in range(self.list.count())]

    def show_components(self, colors: dict[str, str], problems: dict[str, str]) -> None:
        """Show these names, with their colours and what is wrong with them."""
        was = self.current
        self.list.blockSignals(True)
        if self.names != list(colors):
            self.list.clear()
            for name in colors:
                item = QListWidgetItem(name)
                item.setData(_NAME, name)
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
                self.list.addItem(item)
            names = list(colors)
            if names:
                self.list.setCurrentRow(names.index(was) if was in colors else len(names) - 1)
        for index, (name, color) in enumerate(colors.items()):
            item = self.list.item(index)
            item.setText(name)
            item.setIcon(_icon(color, name in problems))
            item.setToolTip(problems.get(name, ""))
        self.list.blockSignals(False)
        for button in self._buttons:
            button.setEnabled(bool(self.current))
        if self.current != was:
            self.chosen.emit(self.current)

    def choose(self, name: str) -> None:
        """Make a component the one that is shown."""
        if name in self.names:
            self.list.setCurrentRow(self.names.index(name))

    def _on_row(self, row: int) -> None:
        for button in self._buttons:
            button.setEnabled(row >= 0)
        self.chosen.emit(self.current)

    def _on_item(self, item: Any) -> None:
        old, new = item.data(_NAME), item.text().strip()
        if new != old:
            self.renamed.emit(old, new)

    def _on_color(self) -> None:
        color = QColorDialog.getColor(parent=self, title=f"Colour of {self.current}")
        if color.isValid():
            self.colored.emit(self.current, color.name())

    def _on_paint(self) -> None:
        self.painted.emit(self.current)

    def _on_duplicate(self) -> None:
        self.duplicated.emit(self.current)

    def _on_remove(self) -> None:
        self.removed.emit(self.current)


def _icon(color: str, is_wrong: bool) -> QIcon:
    """A square of the colour; with a hole where something is wrong."""
    square = QPixmap(16, 16)
    square.fill(QColor(color))
    if is_wrong:
        hole = QPixmap(8, 8)
        hole.fill(QColor("#e0564a"))
        painter = QPainter(square)
        painter.drawPixmap(4, 4, hole)
        painter.end()
    return QIcon(square)

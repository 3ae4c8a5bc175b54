"""Fields for the values a recipe's key may have: a line, a box to tick, a choice, a table.

All take and give plain YAML values, also wrong ones: what a field cannot show it keeps, and the
recipe's own check says what is wrong with it.
"""

import re
from typing import Any

import yaml
from magicgui.widgets import CheckBox, ComboBox, LineEdit
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import (
    QCompleter,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_hypermol.plugin.widgets.path_field import PathField
from napari_hypermol.runs.schema import Choice, Key, keys_of

__all__ = [
    "PROBLEM_STYLE",
    "UNSET",
    "Field",
    "FlagField",
    "LineField",
    "TableField",
    "text_of",
    "value_of",
]

UNSET: Any = object()  # the key stays out of the recipe
PROBLEM_STYLE = "color: #e0564a"  # readable on napari's dark and light themes
_MASKS = "Masks (*.mrc *.map *.mrc.gz *.map.gz)"


def text_of(value: Any) -> str:
    """A plain value as it stands in a line: ``0, 0, 1``."""
    if isinstance(value, list | tuple):
        return ", ".join(
            f"[{text_of(v)}]" if isinstance(v, list | tuple) else text_of(v) for v in value
        )
    if isinstance(value, float):
        return f"{value:.12g}"
    return "" if value is None else str(value)


def value_of(text: str) -> Any:
    """What a line means: a number, a list of numbers, else the text."""
    text = text.strip()
    try:
        return _numbers(yaml.safe_load(f"[{text}]" if "," in text and text[0] != "{" else text))
    except yaml.YAMLError:
        return text


def _numbers(value: Any) -> Any:
    """YAML takes 1e-7 for a word; a person does not."""
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    if isinstance(value, str) and re.fullmatch(r"[+-]?[\d.]+[eE][+-]?\d+", value):
        return float(value)
    return value


class Field(QWidget):
    """What a form knows of each of its fields.

    Attributes
    ----------
    edited : Signal
        The user changed it; `put` does not send it.
    """

    edited = Signal()

    def __init__(self, key: Key) -> None:
        super().__init__()
        self.key = key
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(2)
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        self.problem.setStyleSheet(PROBLEM_STYLE)
        self.problem.hide()
        self.setToolTip(key.help)

    def value(self) -> Any:
        """The plain value, or `UNSET`."""
        raise NotImplementedError

    def put(self, value: Any) -> None:
        """Show a plain value, or `UNSET`."""
        raise NotImplementedError

    def show_problems(self, problems: dict[tuple[Any, ...], str]) -> None:
        """Say what is wrong here; by where below this key it is."""
        lines = [f"{_place(path)}{words}" for path, words in problems.items()]
        self.problem.setText("\n".join(lines))
        self.problem.setVisible(bool(lines))

    def _name(self, widget: QWidget) -> None:
        """What a screen reader says."""
        widget.setAccessibleName(self.key.label)
        widget.setAccessibleDescription(self.key.help)


def _place(path: tuple[Any, ...]) -> str:
    words = [f"row {p + 1}" if isinstance(p, int) else str(p) for p in path]
    return f"{', '.join(words)}: " if words else ""


class LineField(Field):
    """One line: a number, a few numbers, text, or a file."""

    def __init__(self, key: Key, is_text: bool) -> None:
        super().__init__(key)
        self._is_text = is_text
        if key.is_file:
            self._path: Any = PathField(f"Choose the {key.name}", _MASKS)
            self.line = self._path.line
            widget: QWidget = self._path
        else:
            self._line = LineEdit()  # held: magicgui's own object goes with it
            self.line = widget = self._line.native
        self.line.setPlaceholderText(
            text_of(key.default) or ("needed" if key.is_required else "left out")
        )
        self.line.textEdited.connect(self._on_text)
        if key.is_file:
            self._path.changed.connect(self._on_text)
        self._name(self.line)
        self._is_putting = False
        self._given: Any = UNSET
        self.column.addWidget(widget)
        self.column.addWidget(self.problem)
        self.setFocusProxy(self.line)

    def offer(self, words: list[str]) -> None:
        """Complete what is typed to one of these."""
        completer = QCompleter(words, self.line)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.activated.connect(self._on_text)
        self.line.setCompleter(completer)

    def value(self) -> Any:
        """The number, the numbers or the text; `UNSET` where the line is empty."""
        text = self.line.text().strip()
        if self._given is not UNSET and text == text_of(self._given):
            return self._given
        if not text:
            return UNSET
        return text if self._is_text else value_of(text)

    def put(self, value: Any) -> None:
        """Show it, unless the line says so already: the cursor stays where it is."""
        value = UNSET if value is None else value
        shown = self.value()
        # a default that is typed is no value, and yet stays: it may be the beginning of one
        if _same(value, shown) or (value is UNSET and shown == self.key.default):
            return
        self._given = value
        self._is_putting = True
        self.line.setText("" if value is UNSET else text_of(value))
        self._is_putting = False

    def _on_text(self, text: str = "") -> None:
        if not self._is_putting:
            self.edited.emit()


class FlagField(Field):
    """Yes or no."""

    def __init__(self, key: Key) -> None:
        super().__init__(key)
        self._box = CheckBox(value=bool(key.default), label="")
        self._foreign: Any = UNSET
        self._box.changed.connect(self._on_box)
        self._name(self._box.native)
        self.column.addWidget(self._box.native)
        self.column.addWidget(self.problem)
        self.setFocusProxy(self._box.native)

    def value(self) -> Any:
        """True or False."""
        return self._box.value if self._foreign is UNSET else self._foreign

    def put(self, value: Any) -> None:
        """Tick the box or not."""
        self._foreign = UNSET if value is UNSET or isinstance(value, bool) else value
        with self._box.changed.blocked():
            self._box.value = bool(self.key.default) if value is UNSET else bool(value)

    def _on_box(self, value: bool) -> None:
        self._foreign = UNSET
        self.edited.emit()


class TableField(Field):
    """A list of sections, a row each, with a column for every key."""

    def __init__(self, key: Key, choice: Choice) -> None:
        super().__init__(key)
        self._keys = keys_of(choice.model)
        self._is_putting = False
        self._foreign: Any = UNSET
        self.table = QTableWidget(0, len(self._keys))
        self.table.setHorizontalHeaderLabels([k.label for k in self._keys])
        for column, one in enumerate(self._keys):
            self.table.horizontalHeaderItem(column).setToolTip(one.help)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.setMinimumHeight(130)
        self.table.cellChanged.connect(self._on_cell)
        self.table.setTabKeyNavigation(False)  # Tab leaves the table, arrows move in it
        self._name(self.table)
        self.add_button, self.remove_button = QPushButton("Add a row"), QPushButton("Remove it")
        self.add_button.clicked.connect(self._on_add)
        self.remove_button.clicked.connect(self._on_remove)
        buttons = QHBoxLayout()
        buttons.addWidget(self.add_button)
        buttons.addWidget(self.remove_button)
        self.column.addWidget(self.table)
        self.column.addLayout(buttons)
        self.column.addWidget(self.problem)

    def value(self) -> Any:
        """A dict for every row, of the cells that are not empty."""
        if self._foreign is not UNSET:
            return self._foreign
        return [self._row(r) for r in range(self.table.rowCount())]

    def _row(self, row: int) -> dict[str, Any]:
        found: dict[str, Any] = dict(self.table.item(row, 0).data(Qt.ItemDataRole.UserRole) or {})
        for column, key in enumerate(self._keys):
            if text := self.table.item(row, column).text().strip():
                found[key.name] = value_of(text)
        return found

    def put(self, value: Any) -> None:
        """Show a list of dicts."""
        rows = [{}] if value is UNSET else value
        is_ours = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
        self._foreign = UNSET if is_ours else value
        if not is_ours or rows == self.value():
            return
        self._is_putting = True
        self.table.setRowCount(0)
        for row in rows:
            self._append(row)
        self._is_putting = False

    def _append(self, values: dict[str, Any]) -> None:
        row = self.table.rowCount()
        self.table.insertRow(row)
        names = {key.name for key in self._keys}
        unknown = {name: value for name, value in values.items() if name not in names}
        for column, key in enumerate(self._keys):
            item = QTableWidgetItem(text_of(values.get(key.name)))
            item.setToolTip(
                key.help if key.is_required else f"{key.help}; {text_of(key.default)} if empty"
            )
            self.table.setItem(row, column, item)
        self.table.item(row, 0).setData(Qt.ItemDataRole.UserRole, unknown)

    def _on_cell(self, row: int, column: int) -> None:
        if not self._is_putting:
            self._foreign = UNSET
            self.edited.emit()

    def _on_add(self) -> None:
        """One more row, like the last one: the next stage differs from it in a number or two."""
        last = self.table.rowCount() - 1
        self._is_putting = True
        self._append(self._row(last) if last >= 0 else {})
        self._is_putting = False
        self._on_cell(0, 0)

    def _on_remove(self) -> None:
        row = self.table.currentRow() if self.table.currentRow() >= 0 else self.table.rowCount() - 1
        if row >= 0:
            self.table.removeRow(row)
            self._on_cell(0, 0)


class Wheel(QObject):
    """Lets the wheel scroll the page instead of changing the choice under the mouse."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Swallow the wheel, unless the box has the focus."""
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False


class Chooser:
    """magicgui's box of choices by number, for what may stand in it besides words.

    Parameters
    ----------
    names : list of str
    """

    def __init__(self, names: list[str]) -> None:
        self.box = ComboBox(choices=[(name, i) for i, name in enumerate(names)])
        self._wheel = Wheel(self.box.native)
        self.box.native.installEventFilter(self._wheel)
        self.box.native.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.names = names

    def choose(self, index: int, names: list[str]) -> None:
        """Show other names, and one of them, without telling anybody."""
        with self.box.changed.blocked():
            if names != self.names:
                self.names = names
                self.box.choices = [(name, i) for i, name in enumerate(names)]
            self.box.value = index


def _same(one: Any, two: Any) -> bool:
    return type(one) is type(two) and bool(one == two)

"""A form for any pydantic model: its keys, its help, its errors; nothing of a recipe is named here.

Only what differs from the defaults becomes a value, so a draft stays as short as a person would
write it.
"""

from typing import Any

from pydantic import BaseModel
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_hypermol.plugin.widgets.fold import Fold
from napari_hypermol.plugin.widgets.schema_fields import (
    UNSET,
    Chooser,
    Field,
    FlagField,
    LineField,
    TableField,
    text_of,
)
from napari_hypermol.runs.schema import Choice, Key, keys_of

__all__ = ["SchemaForm"]

_INDENT = 12
_LEFT_OUT = "left out"
_NAMES = {"value": "a value", "text": "a text", "flag": "yes or no"}


class SchemaForm(QWidget):
    """The keys of a model, one below the other.

    Parameters
    ----------
    model : type
        A pydantic model.
    skip : set of str
        Keys that are set elsewhere.
    """

    edited = Signal()

    def __init__(self, model: type[BaseModel], skip: set[str] | frozenset[str] = frozenset()):
        super().__init__()
        self.fields: dict[str, Field] = {}
        self._unknown: dict[str, Any] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        rows, rare = self._rows(), self._rows()
        for key in keys_of(model):
            if key.name not in skip and all(c.kind != "named" for c in key.choices):
                self._add(key, rare if key.is_rare else rows)
        column.addLayout(rows)
        if rare.rowCount():
            inside = QWidget()
            inside.setLayout(rare)
            self.more = Fold("More", inside)
            column.addWidget(self.more)

    def _rows(self) -> QFormLayout:
        rows = QFormLayout()
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        return rows

    def _add(self, key: Key, rows: QFormLayout) -> None:
        field = _field(key)
        field.edited.connect(self.edited)
        self.fields[key.name] = field
        if isinstance(field, _SectionField):
            rows.addRow(field)
            return
        label = QLabel(key.label)
        label.setToolTip(key.help)
        label.setBuddy(field)
        rows.addRow(label, field)

    def value(self) -> dict[str, Any]:
        """All that differs from the defaults, and keys that the model does not know."""
        found = dict(self._unknown)
        for name, field in self.fields.items():
            value = field.value()
            if value is not UNSET and not _is_default(field.key, value):
                found[name] = value
        return found

    def put(self, values: dict[str, Any]) -> None:
        """Show plain values; keys that are not there have their defaults."""
        self._unknown = {k: v for k, v in values.items() if k not in self.fields}
        for name, field in self.fields.items():
            field.put(values.get(name, UNSET))
        rare = [f for n, f in self.fields.items() if f.key.is_rare and n in values]
        if rare:
            self.more.is_open = True

    def show_problems(self, problems: dict[tuple[Any, ...], str]) -> None:
        """Say what is wrong beside the fields it is about."""
        for name, field in self.fields.items():
            own = {path[1:]: words for path, words in problems.items() if path[:1] == (name,)}
            field.show_problems(own)


def _is_default(key: Key, value: Any) -> bool:
    if key.is_required or (key.is_optional and value == {}):  # a section that is there, all default
        return False
    return bool(value == (key.default if key.default is not None else UNSET))


def _field(key: Key) -> Field:
    """The field for a key's choices."""
    if len(key.choices) == 1:
        return _single(key, key.choices[0])
    return _ChoiceField(key)


def _single(key: Key, choice: Choice) -> Field:
    """The field for one kind of value."""
    match choice.kind:
        case "section":
            return _SectionField(key, choice)
        case "table":
            return TableField(key, choice)
        case "flag":
            return FlagField(key)
        case "word":
            return _ChoiceField(key)
    return LineField(key, is_text=choice.kind == "text")


class _SectionField(Field):
    """Keys of their own, under a name; with a box to tick where they may be left out."""

    def __init__(self, key: Key, choice: Choice, has_head: bool = True) -> None:
        super().__init__(key)
        self.form = SchemaForm(choice.model)
        self.form.edited.connect(self.edited)
        self._foreign: Any = UNSET
        self._has_box = key.is_optional and has_head
        if self._has_box:
            self.head: QWidget = QCheckBox(key.name)
            self.head.toggled.connect(self._on_toggled)
            self._name(self.head)
            self.setFocusProxy(self.head)
            self.form.hide()
        else:
            self.head = QLabel(key.name)
            self.head.setStyleSheet("font-weight: bold")
        self.head.setToolTip(key.help)
        self.head.setVisible(has_head)
        if has_head:
            self.form.layout().setContentsMargins(_INDENT, 0, 0, 4)
        self.column.addWidget(self.head)
        self.column.addWidget(self.form)
        self.column.addWidget(self.problem)

    def value(self) -> Any:
        """A dict, or `UNSET` for a section that is left out."""
        if self._foreign is not UNSET:
            return self._foreign
        if self._has_box and not self.head.isChecked():
            return UNSET
        values = self.form.value()
        return values if values or self.key.is_optional or self.key.default else UNSET

    def put(self, value: Any) -> None:
        """Show a dict."""
        value = UNSET if value is None else value
        self._foreign = UNSET if value is UNSET or isinstance(value, dict) else value
        shown = self.key.default if value is UNSET else value
        self.form.put(shown if isinstance(shown, dict) else {})
        if self._has_box:
            self.head.blockSignals(True)
            self.head.setChecked(value is not UNSET)
            self.head.blockSignals(False)
            self.form.setVisible(isinstance(value, dict))

    def _on_toggled(self, is_on: bool) -> None:
        self._foreign = UNSET
        self.form.setVisible(is_on)
        self.edited.emit()

    def show_problems(self, problems: dict[tuple[Any, ...], str]) -> None:
        """Beside the fields; what is about the section as a whole, or an unknown key, below it."""
        inside = {p: w for p, w in problems.items() if p and p[0] in self.form.fields}
        self.form.show_problems(inside)
        super().show_problems({p: w for p, w in problems.items() if p not in inside})


class _ChoiceField(Field):
    """One of several: words, a value, a section, a table; or none."""

    def __init__(self, key: Key) -> None:
        super().__init__(key)
        self._choices: list[Choice | None] = [None] if key.is_optional else []
        self._choices += key.choices
        names = [_LEFT_OUT if c is None else _NAMES.get(c.name, c.name) for c in self._choices]
        self._names = names
        self._foreign: Any = UNSET
        self.chooser = Chooser(names)
        self.chooser.box.changed.connect(self._on_choice)
        self._name(self.chooser.box.native)
        self.setFocusProxy(self.chooser.box.native)
        self.column.addWidget(self.chooser.box.native)
        self._inside: dict[int, Field] = {}
        for index, choice in enumerate(self._choices):
            if choice is None or choice.kind == "word":
                continue
            if choice.kind == "section":
                field: Field = _SectionField(key, choice, has_head=False)
            else:
                field = _single(key, choice)
            field.edited.connect(self.edited)
            field.hide()
            self._inside[index] = field
            self.column.addWidget(field)
        self.column.addWidget(self.problem)
        self.put(UNSET)

    def value(self) -> Any:
        """What is chosen."""
        index = self.chooser.box.value
        if index >= len(self._choices):
            return self._foreign
        choice = self._choices[index]
        if choice is None:
            return UNSET
        if choice.kind == "word":
            return choice.word
        inside = self._inside[index].value()
        return {} if inside is UNSET and choice.kind == "section" else inside

    def put(self, value: Any) -> None:
        """Show a plain value as the choice it fits."""
        if value is UNSET:
            value = self.key.default
        index = self._fitting(value)
        self._foreign = value if index is None else UNSET
        if index is None:
            index = len(self._names)
        more = [] if index < len(self._names) else [text_of(value)]
        self.chooser.choose(index, [*self._names, *more])
        if index in self._inside:
            self._inside[index].put(value)
        self._show(index)

    def _fitting(self, value: Any) -> int | None:
        kinds = [None if c is None else c.kind for c in self._choices]
        for index, choice in enumerate(self._choices):
            if choice is None and value is None:
                return index
            if choice is not None and choice.kind == "word" and choice.word == value:
                return index
        if isinstance(value, dict) and "section" in kinds:
            sections = [i for i, k in enumerate(kinds) if k == "section"]
            return max(sections, key=lambda i: len(value.keys() & self._inside[i].form.fields))
        kind = "table" if isinstance(value, list) and "table" in kinds else "value"
        kind = "flag" if isinstance(value, bool) and "flag" in kinds else kind
        if value is None or kind not in kinds:
            return None if "text" not in kinds or value is None else kinds.index("text")
        return kinds.index(kind)

    def _show(self, index: int) -> None:
        for other, field in self._inside.items():
            field.setVisible(other == index)

    def _on_choice(self, index: int) -> None:
        self._show(index)
        self._foreign = self._foreign if index >= len(self._choices) else UNSET
        if index in self._inside and isinstance(self._inside[index], TableField):
            table = self._inside[index]
            if not table.value():  # an empty list says nothing; a row asks for its numbers
                table.put(UNSET)
        self.edited.emit()

    def show_problems(self, problems: dict[tuple[Any, ...], str]) -> None:
        """Beside the fields of the section that is chosen, or below."""
        inside = self._inside.get(self.chooser.box.value)
        if isinstance(inside, _SectionField):
            inside.show_problems(problems)
            problems = {}
        super().show_problems(problems)

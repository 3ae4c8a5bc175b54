"""What a pydantic model asks for, key by key, so that a form can be made of it.

A recipe's own models are the single source: a key added there appears wherever this is shown.
"""

import re
import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

__all__ = ["Choice", "Key", "keys_of"]


@dataclass(frozen=True)
class Choice:
    """One of the things that a key's value may be.

    Attributes
    ----------
    name : str
        What it is called among the others.
    kind : str
        ``word`` (a fixed one), ``text``, ``value`` (a number, a few numbers), ``flag``,
        ``section`` (keys of its own), ``table`` (a list of sections), ``named`` (sections by name).
    model : type or None
        Of a section, a table, named sections.
    word : object
        The fixed value.
    """

    name: str
    kind: str
    model: type[BaseModel] | None = None
    word: Any = None


@dataclass(frozen=True)
class Key:
    """One key of a model.

    Attributes
    ----------
    name : str
    help : str
        The description of the field, its unit taken out.
    unit : str
        In brackets at the end of the description; empty without.
    default : object
        As plain YAML values; None both for none and where a value has to be given.
    is_required : bool
    choices : tuple of Choice
        None is not among them; see `is_optional`.
    is_optional : bool
        Whether it may be left without a value.
    is_rare, is_file : bool
        What the field's ``json_schema_extra`` says of it.
    """

    name: str
    help: str
    unit: str
    default: Any
    is_required: bool
    choices: tuple[Choice, ...]
    is_optional: bool
    is_rare: bool = False
    is_file: bool = False

    @property
    def label(self) -> str:
        """Its name and its unit."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


def keys_of(model: type[BaseModel]) -> tuple[Key, ...]:
    """All keys of a model, in the order of its fields."""
    return tuple(_key(name, field) for name, field in model.model_fields.items())


def _key(name: str, field: FieldInfo) -> Key:
    help_, unit = _help_and_unit(field.description or "")
    leaves = list(dict.fromkeys(_alternatives(field.annotation)))
    choices = [choice for leaf in leaves if leaf is not type(None) for choice in _choices(leaf)]
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    return Key(
        name=name,
        help=help_,
        unit=unit,
        default=_plain(field.get_default(call_default_factory=True)),
        is_required=field.is_required(),
        choices=tuple(dict.fromkeys(choices)),
        is_optional=type(None) in leaves,
        is_rare=bool(extra.get("is_rare", False)),
        is_file=bool(extra.get("is_file", False)),
    )


def _help_and_unit(description: str) -> tuple[str, str]:
    """``Its radius [Å]`` in two."""
    found = re.fullmatch(r"(.*?)\s*\[([^\]]+)\]\.?", description, re.DOTALL)
    return (found[1], found[2]) if found else (description, "")


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union, however nested; anything else alone."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [leaf for part in get_args(annotation) for leaf in _alternatives(part)]
    return [annotation]


def _choices(leaf: Any) -> list[Choice]:
    origin, inside = get_origin(leaf), get_args(leaf)
    if origin is Literal:
        return [Choice(str(word), "word", word=word) for word in inside]
    if leaf in (bool, str):
        return [Choice("flag", "flag") if leaf is bool else Choice("text", "text")]
    if _is_model(leaf):
        return [Choice(_called(leaf), "section", leaf)]
    if origin is list and _is_model(inside[0]):
        return [Choice(f"{_called(inside[0])}s", "table", inside[0])]
    if origin is dict and _is_model(inside[1]):
        return [Choice(f"{_called(inside[1])}s", "named", inside[1])]
    return [Choice("value", "value")]


def _is_model(leaf: Any) -> bool:
    return isinstance(leaf, type) and issubclass(leaf, BaseModel)


def _called(model: type[BaseModel]) -> str:
    """BetaRecipe: beta."""
    name = model.__name__.removesuffix("Recipe")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _plain(value: Any) -> Any:
    """A default as YAML would hold it."""
    if value is PydanticUndefined:
        return None
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    return list(value) if isinstance(value, tuple) else value

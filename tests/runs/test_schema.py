from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.schema import Choice, keys_of


class SmallRecipe(BaseModel):
    size: float = Field(gt=0, description="How wide it is [Å]")


class TwoWordsRecipe(BaseModel):
    number: Literal["auto"] | Annotated[float, Field(gt=0)] = "auto"
    place: tuple[float, float, float] = (0.0, 0.0, 1.0)
    small: SmallRecipe | None = Field(
        default=None, description="A small one", json_schema_extra={"is_rare": True}
    )
    small_ones: Literal["auto"] | Annotated[list[SmallRecipe], Field(min_length=1)] = "auto"
    by_name: dict[str, SmallRecipe] = Field(default_factory=dict)
    inside: SmallRecipe = SmallRecipe(size=2.0)
    is_on: bool = False
    mask: str | None = Field(default=None, json_schema_extra={"is_file": True})


KEYS = {key.name: key for key in keys_of(TwoWordsRecipe)}


@pytest.mark.parametrize(
    ("name", "choices", "is_optional", "default"),
    [
        ("number", [Choice("auto", "word", word="auto"), Choice("value", "value")], False, "auto"),
        ("place", [Choice("value", "value")], False, [0.0, 0.0, 1.0]),
        ("small", [Choice("small", "section", SmallRecipe)], True, None),
        (
            "small_ones",
            [Choice("auto", "word", word="auto"), Choice("smalls", "table", SmallRecipe)],
            False,
            "auto",
        ),
        ("by_name", [Choice("smalls", "named", SmallRecipe)], False, {}),
        ("inside", [Choice("small", "section", SmallRecipe)], False, {"size": 2.0}),
        ("is_on", [Choice("flag", "flag")], False, False),
        ("mask", [Choice("text", "text")], True, None),
    ],
)
def test_kinds(name, choices, is_optional, default):
    key = KEYS[name]
    assert list(key.choices) == choices
    assert (key.is_optional, key.default) == (is_optional, default)


def test_units_help_and_hints():
    (size,) = keys_of(SmallRecipe)
    assert (size.help, size.unit, size.label) == ("How wide it is", "Å", "size [Å]")
    assert size.is_required
    assert KEYS["small"].is_rare
    assert KEYS["mask"].is_file
    assert not KEYS["inside"].is_rare


def all_keys(model):
    for key in keys_of(model):
        yield key
        for choice in key.choices:
            if choice.model is not None:
                yield from all_keys(choice.model)


def test_every_key_of_a_recipe_has_help():
    without = {key.name for key in all_keys(Recipe) if not key.help}
    assert without == {"particles", "components", "versions"}  # no form shows these
    assert len(list(all_keys(Recipe))) > 50

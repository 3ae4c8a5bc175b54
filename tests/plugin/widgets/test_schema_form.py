"""Forms of models made up here, and of the recipe's own: what goes in comes out."""

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import BaseModel, Field
from qtpy.QtCore import Qt

from napari_hypermol.plugin.widgets.schema_form import SchemaForm
from napari_hypermol.runs.component_recipe import ComponentRecipe
from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.recipe_text import problems_of, recipe_from
from napari_hypermol.synthetic.recipes import components_of, whole_of
from small_runs import BRIEF, MIXED

pytestmark = pytest.mark.qt
ROOT = Path(__file__).resolve().parents[3]


class NearMadeUp(BaseModel):
    near: float = Field(gt=0, description="How near [Å]")


class StepMadeUp(BaseModel):
    size: float
    turns: int = 4


class InnerMadeUp(BaseModel):
    strength: float = Field(default=1.0, ge=0, description="How strong")


class MadeUp(BaseModel):
    """A schema that nobody wrote a widget for."""

    spread: Literal["auto"] | Annotated[float, Field(gt=0)] = "auto"
    prior: Literal["uniform", "flat"] | NearMadeUp | None = None
    place: tuple[float, float, float] | None = None
    steps: Literal["auto"] | Annotated[list[StepMadeUp], Field(min_length=1)] = "auto"
    inner: InnerMadeUp = InnerMadeUp()
    outer: InnerMadeUp | None = None
    flag: bool = Field(default=False, json_schema_extra={"is_rare": True})
    level: Literal[1, 2] = 1


@pytest.fixture
def made_up(qtbot):
    form = SchemaForm(MadeUp)
    qtbot.addWidget(form)
    form.show()
    return form


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"spread": 0.5},
        {"prior": "flat"},
        {"prior": {"near": 8}},
        {"place": [0, 0, 1.5]},
        {"steps": [{"size": 20}, {"size": 12.5, "turns": 9}]},
        {"inner": {"strength": 0.0}, "outer": {}},
        {"outer": {"strength": 3}},
        {"flag": True, "level": 2},
        # wrong values are kept, for the model to complain of
        {"prior": 7, "spread": [1, 2], "place": "here", "steps": 3, "inner": "x", "outer": 5},
        {"typo": 1, "inner": {"strenght": 2}, "level": 3, "flag": "maybe"},
    ],
)
def test_what_goes_in_comes_out(made_up, values, qtbot):
    with qtbot.assertNotEmitted(made_up.edited):
        made_up.put(values)
    assert made_up.value() == values
    made_up.put({})
    assert made_up.value() == {}


def test_a_new_key_appears_by_itself(made_up):
    assert set(made_up.fields) == set(MadeUp.model_fields)
    assert made_up.fields["prior"]._inside[3].form.fields["near"].key.label == "near [Å]"
    assert made_up.fields["inner"].form.fields["strength"].toolTip() == "How strong"
    assert not made_up.more.is_open


def test_choosing(made_up, qtbot):
    prior = made_up.fields["prior"]
    with qtbot.waitSignal(made_up.edited):
        prior.chooser.box.value = prior.chooser.names.index("near made up")
    near = prior._inside[3]
    assert near.isVisible()
    assert made_up.value() == {"prior": {}}
    qtbot.keyClicks(near.form.fields["near"].line, "8")
    assert made_up.value() == {"prior": {"near": 8}}
    prior.chooser.box.value = 0
    assert made_up.value() == {}
    assert not near.isVisible()


def test_a_table_begins_with_a_row(made_up):
    steps = made_up.fields["steps"]
    steps.chooser.box.value = 1
    assert made_up.value() == {"steps": [{}]}


def test_sections_that_may_be_left_out(made_up, qtbot):
    outer = made_up.fields["outer"]
    with qtbot.waitSignal(made_up.edited):
        qtbot.mouseClick(outer.head, Qt.MouseButton.LeftButton, pos=outer.head.rect().topLeft())
        outer.head.setChecked(True)
    assert made_up.value() == {"outer": {}}
    assert outer.form.isVisible()


RECIPE = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
ALL_RECIPES = [
    yaml.safe_load(text)
    for page in [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
    for text in RECIPE.findall(page.read_text(encoding="utf-8"))
    if "components:" in text or "priors:" in text
]
ALL_RECIPES += [
    {"components": components_of(molecule, 2.0)}
    for molecule in ("pretzel", "clam", "molecule", "wheel", "classes", "cat")
]
ALL_RECIPES += [
    {"components": whole_of(2, 3.0)},
    {"components": MIXED, "schedule": BRIEF, "half_sets": True},
    {
        "latents": {"rotation": "refine", "shift": "refine"},
        "priors": {
            "rotation": {"near": 8},
            "shift": {"std": 6.5},
            "contrast": {"std": 0.2},
            "states": {"occupancy": {"beta": [0.5, 2]}},
            "coefficients": {"ridge": 3.0, "solvent": 100, "solvent_mask": "solvent.mrc"},
        },
        "posterior": {"chains": 3},
        "seed": 11,
    },
    {"priors": {"rotation": "uniform"}, "latents": {"rotation": "search", "shift": "search"}},
]
REST = {"components", "particles", "versions"}


@pytest.mark.parametrize("draft", ALL_RECIPES, ids=str)
def test_recipes_survive_the_forms(draft, qtbot):
    """As the studio shows them: the run's keys in one form, every component in another."""
    checked = recipe_from(draft)
    form, component = SchemaForm(Recipe, skip=REST), SchemaForm(ComponentRecipe)
    qtbot.addWidget(form)
    qtbot.addWidget(component)
    for source in (draft, checked.model_dump(mode="json", exclude_none=True)):
        form.put({k: v for k, v in source.items() if k not in REST})
        back = form.value() | {k: v for k, v in source.items() if k in REST}
        back["components"] = {}
        for name, values in source.get("components", {}).items():
            component.put(values)
            back["components"][name] = component.value()
        assert recipe_from(back) == checked


def test_only_what_differs_is_written(qtbot):
    form = SchemaForm(Recipe, skip=REST)
    qtbot.addWidget(form)
    complete = Recipe(seed=4).model_dump(mode="json", exclude_none=True)
    form.put({k: v for k, v in complete.items() if k not in REST})
    assert form.value() == {"seed": 4}


def test_errors_stand_beside_their_fields(qtbot):
    draft = {
        "priors": {"rotation": {"near": -1}, "states": {"smooth": "much", "smoth": 1}},
        "schedule": [{"resolution": 20, "degree": 0}, {"degree": 1}],
        "latents": {"rotation": "guess"},
    }
    form = SchemaForm(Recipe, skip=REST)
    qtbot.addWidget(form)
    form.put(draft)
    form.show_problems(problems_of(draft))
    said = {f.key.name: f.problem.text() for f in form.findChildren(type(form.fields["seed"]))}
    priors = form.fields["priors"].form.fields
    assert "0" in priors["rotation"]._inside[2].form.fields["near"].problem.text()
    smooth = priors["states"]
    assert "unknown key 'priors.states.smoth'; did you mean 'smooth'?" in smooth.problem.text()
    assert smooth.form.fields["smooth"].problem.text().startswith("expected a number")
    assert form.fields["schedule"].problem.text().startswith("row 2, resolution: expected a value")
    assert "refine" in form.fields["latents"].form.fields["rotation"].problem.text()
    assert said["seed"] == ""
    form.show_problems({})
    assert form.fields["schedule"].problem.isHidden()


def test_typing_over_a_default(qtbot):
    """What is typed goes into a draft and comes back at every key; 1.0 on the way to 10."""
    form = SchemaForm(InnerMadeUp)
    qtbot.addWidget(form)
    form.edited.connect(lambda: form.put(form.value()))
    qtbot.keyClicks(form.fields["strength"].line, "1")
    assert form.value() == {}
    qtbot.keyClicks(form.fields["strength"].line, "0.")
    qtbot.keyClicks(form.fields["strength"].line, "5")
    assert form.value() == {"strength": 10.5}

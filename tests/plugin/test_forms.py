"""From the Run page to an order, and to sentences where that fails."""

import pytest
import yaml

from napari_hypermol.errors import HypermolError, OutputExistsError, RecipeError
from napari_hypermol.plugin.forms import RunForm, axes_of, free_folder, what_will_run
from napari_hypermol.runs.recipe_text import recipe_from


@pytest.fixture
def form(pretzel_folder, tmp_path) -> RunForm:
    return RunForm(particles=str(pretzel_folder / "particles.star"), out=str(tmp_path / "run"))


def test_order_is_what_was_asked_for(form, tmp_path):
    draft = {"components": {"a": {"support": {"ball": {"radius": 9.0}}}}}
    order = RunForm(form.particles, draft, tmp_path, form.out, seed=7).order()
    assert (order.out, order.seed, order.draft) == (tmp_path / "run", 7, draft)
    assert order.folder == tmp_path
    assert not order.is_resumed


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"particles": " "}, HypermolError, "choose a STAR or .cs"),
        ({"particles": "/nowhere/p.star"}, HypermolError, "/nowhere/p.star: does not exist"),
        ({"draft": {"components": {"a": {}}}}, RecipeError, r"components\.a"),
        ({"out": ""}, HypermolError, "no folder for the run"),
    ],
)
def test_mistakes_are_named(form, change, error, words):
    with pytest.raises(error, match=words):
        RunForm(**{**form.__dict__, **change}).order()


def test_existing_folder_is_refused(form, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(OutputExistsError, match="exists already"):
        form.order()


def test_free_folder_never_exists(tmp_path):
    assert free_folder(tmp_path / "p.star") == tmp_path / "hypermol_1"
    (tmp_path / "hypermol_1").mkdir()
    assert free_folder(tmp_path / "p.star") == tmp_path / "hypermol_2"


BALL = {"ball": {"radius": 40.0}}


@pytest.mark.parametrize(
    ("draft", "words"),
    [
        ({}, "one ball around the box, 1 knob; poses as in the file"),
        ({"components": {"a": {"support": BALL}}}, "1 component, rigid; poses as in the file"),
        (
            {"components": {"a": {"support": BALL, "symmetry": "C3", "state": {}}}},
            "1 component, 3 knobs; poses as in the file",
        ),
        (
            {
                "components": {"a": {"support": {"mask": "not_there.mrc"}, "state": {"dims": 2}}},
                "latents": {"rotation": "refine", "shift": "refine"},
                "half_sets": True,
            },
            "1 component, 2 knobs; poses refined; two half sets",
        ),
        ({"latents": {"rotation": "search", "shift": "search"}}, "1 knob; poses searched"),
        ({"latents": {"shift": "refine"}}, "rotations as in the file, shifts refined"),
    ],
)
def test_what_will_run(draft, words):
    line, second = what_will_run("/data/p.star", 4000, draft).splitlines()
    assert line == "p.star, 4,000 particles"
    assert words in second


def test_what_will_run_of_a_simulation(pretzel_folder):
    draft = yaml.safe_load((pretzel_folder / "recipe.yaml").read_text(encoding="utf-8"))
    assert "3 components, 2 knobs" in what_will_run("p.star", None, draft)


def test_what_cannot_run_says_why():
    assert what_will_run("", None, {}).startswith("No particles yet")
    text = what_will_run("p.star", None, {"components": {"a": {}}})
    assert "The recipe is not complete: " in text
    assert "components.a" in text


def test_knobs_of_a_recipe_whose_mask_is_not_there():
    support = {"mask": "nowhere.mrc"}
    recipe = recipe_from({"components": {"a": {"support": support, "state": {"dims": 2}}}})
    assert [(axis.name, axis.component) for axis in axes_of(recipe)] == [
        ("tau1", "a"),
        ("tau2", "a"),
    ]


@pytest.mark.parametrize(
    ("rotation", "has_poses", "is_said"),
    [
        ("known", False, True),
        ("search", False, False),
        ("known", True, False),
        ("known", None, False),
    ],
)
def test_missing_poses_are_said_before_the_start(rotation, has_poses, is_said):
    shift = "search" if rotation == "search" else "known"
    draft = {"latents": {"rotation": rotation, "shift": shift}}
    text = what_will_run("p.star", 60, draft, has_poses)
    assert ("no rotations yet" in text) == is_said

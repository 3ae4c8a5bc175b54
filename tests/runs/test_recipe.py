import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from napari_hypermol.errors import RecipeError
from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.recipe_text import read_recipe, recipe_from, write_recipe


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("rotation", "shift", "is_possible"),
    [
        ("known", "known", True), ("known", "refine", True), ("known", "search", True),
        ("refine", "known", True), ("refine", "refine", True), ("refine", "search", True),
        ("search", "known", False), ("search", "refine", True), ("search", "search", True),
    ],
)  # fmt: skip
def test_what_may_be_found_of_poses(rotation, shift, is_possible):
    values = {"latents": {"rotation": rotation, "shift": shift}}
    if is_possible:
        latents = recipe_from(values).latents
        assert (latents.rotation, latents.shift) == (rotation, shift)
        return
    with pytest.raises(RecipeError, match=r"known shifts with rotations from nothing.*shift: sear"):
        recipe_from(values)


@pytest.mark.parametrize(
    ("latents", "priors", "says"),
    [
        ({}, {"rotation": {"near": 5}}, "priors.rotation: has no effect while latents.rotation is"),
        ({}, {"rotation": "uniform"}, "priors.rotation: has no effect"),
        ({}, {"shift": {"std": 5}}, "priors.shift: has no effect while latents.shift is known"),
        (
            {"rotation": "refine"},
            {"rotation": {"near": 5}, "shift": {"std": 5}},
            "priors.shift: has no effect",
        ),
        (
            {"rotation": "search", "shift": "search"},
            {"rotation": {"near": 5}},
            "priors.rotation: near the file's has no meaning while latents.rotation is search",
        ),
    ],
)
def test_priors_that_contradict_what_is_known(tmp_path, latents, priors, says):
    path = written(tmp_path, yaml.safe_dump({"latents": latents, "priors": priors}))
    with pytest.raises(RecipeError, match=re.escape(says)) as problem:
        read_recipe(path)
    assert str(problem.value).startswith(str(path))
    assert len(str(problem.value).splitlines()) == 1


CENTRED = {"support": {"ball": {"center": [0, 0, 0], "radius": 70}}, "state": {}}


@pytest.mark.parametrize(
    ("components", "is_possible"),
    [
        ({}, True),
        ({"all": CENTRED}, True),
        ({"all": {"support": {"ball": {"radius": 70}}}}, True),
        ({"all": CENTRED, "more": {"share": "all"}}, False),
        ({"arm": {"support": {"ball": {"center": [9, 0, 0], "radius": 30}}}}, False),
        ({"arm": {"support": {"mask": "arm.mrc"}}}, False),
    ],
)
def test_parts_have_no_place_in_a_search(components, is_possible):
    values = {"components": components, "latents": {"rotation": "search", "shift": "search"}}
    if is_possible:
        assert recipe_from(values).latents.rotation == "search"
        return
    with pytest.raises(RecipeError, match=r"no part has a place yet.*with rotation: refine"):
        recipe_from(values)
    assert recipe_from(values | {"latents": {"rotation": "refine"}})


def test_priors_of_poses_survive_writing(tmp_path):
    recipe = recipe_from(
        {
            "latents": {"rotation": "refine", "shift": "refine"},
            "priors": {"rotation": {"near": 4}, "shift": {"std": 3}},
        }
    )
    write_recipe(recipe, tmp_path / "again.yaml")
    again = read_recipe(tmp_path / "again.yaml")
    assert again == recipe
    assert (again.priors.rotation.near, again.priors.shift.std) == (4, 3)


@pytest.mark.parametrize("value", ["known", "refine"])
def test_contrast_is_known_or_refined(value):
    assert recipe_from({"latents": {"contrast": value}}).latents.contrast == value


def test_recipes_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().seed = 3


def test_nothing_is_drawn_by_default():
    assert recipe_from({}).posterior.draws == 0
    assert recipe_from({"posterior": {"draws": 200}}).posterior.chains == 2


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"draw": 10}, "unknown key 'posterior.draw'; did you mean 'draws'"),
        ({"draws": -1}, "posterior.draws: expected 0 or more"),
        ({"draws": 2}, "2 draws say nothing about 90 % intervals"),
        ({"draws": 10, "chains": 0}, "posterior.chains: expected 1 or more"),
        ({"draws": 10, "warm_up": 1.5}, "posterior.warm_up: expected a whole number"),
    ],
)
def test_draws_are_checked(values, complaint):
    with pytest.raises(RecipeError, match=complaint):
        recipe_from({"posterior": values})


@pytest.mark.parametrize(
    "priors",
    [
        {"coefficients": {"solvent": 1.0}},
        {"coefficients": {"nonnegative": 1.0}},
        {"coefficients": {"sparse": 1.0}},
        {"states": {"transport": 1.0}},
    ],
)
def test_draws_need_normal_priors(priors):
    recipe_from({"priors": priors})
    ((group, strengths),) = priors.items()
    (name,) = strengths
    with pytest.raises(RecipeError, match=rf"cannot be drawn with priors\.{group}\.{name}"):
        recipe_from({"priors": priors, "posterior": {"draws": 10}})

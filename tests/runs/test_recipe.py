import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from napari_hypermol.errors import RecipeError
from napari_hypermol.runs.recipe import (
    Recipe,
    problems_of,
    read_recipe,
    recipe_from,
    write_recipe,
)

BOX, PIXEL = 32, 6.0


COMPLETE = """
particles: particles.star
components:
  body:  {support: {ball: {center: [0, 0, 0], radius: 70}}}
  arm_a: {support: {mask: masks/arm_a.mrc}, state: {basis: cosine, dims: 1, degree: 4}}
  arm_b: {share: arm_a, placed: {axis: [0, 0, 1], angle: 180}, state: {}}
priors:   {coefficients: {ridge: auto}, states: {smooth: 1.0}}
latents:  {rotation: known, shift: known, contrast: refine}
schedule: auto
seed: 0
"""


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


def test_empty_file_is_the_default_recipe(tmp_path):
    assert read_recipe(written(tmp_path, "# nothing\n")) == Recipe()


@pytest.mark.parametrize(
    ("text", "key", "near"),
    [
        ("component: {}", "component", "components"),
        ("priors: {coeficients: {}}", "priors.coeficients", "coefficients"),
        ("priors: {states: {smoth: 1}}", "priors.states.smoth", "smooth"),
        ("components: {a: {suport: {}, state: {}}}", "components.a.suport", "support"),
        (
            "components: {a: {support: {ball: {centre: [0, 0, 0], radius: 1}}}}",
            "components.a.support.ball.centre",
            "center",
        ),
        (
            "components: {a: {support: {mask: m.mrc}, state: {degre: 2}}}",
            "components.a.state.degre",
            "degree",
        ),
        ("components: {a: {share: b, placed: {angel: 2}}}", "components.a.placed.angel", "angle"),
        ("schedule: [{resolution: 9, degree: 1, sweep: 2}]", "sweep", "sweeps"),
    ],
)
def test_unknown_key_names_the_nearest(tmp_path, text, key, near):
    path = written(tmp_path, text)
    with pytest.raises(RecipeError) as problem:
        read_recipe(path)
    message = str(problem.value)
    assert str(path) in message
    assert "\n" not in message
    assert f"{key}'" in message
    assert f"did you mean '{near}'?" in message


def test_unknown_key_unlike_any_lists_them():
    with pytest.raises(RecipeError, match="known keys: particles, components, priors"):
        recipe_from({"zzz": 1})


@pytest.mark.parametrize(
    "text",
    [
        "seed: !!python/object/apply:os.system ['touch {marker}']",
        "components: !!python/object/new:pathlib.Path ['{marker}']",
        "particles: !!python/name:os.system",
        "particles: !mine x",
    ],
)
def test_yaml_tags_are_refused_and_nothing_is_run(tmp_path, text):
    marker = tmp_path / "executed"
    path = written(tmp_path, text.replace("{marker}", str(marker)))
    with pytest.raises(RecipeError, match=r"line 1: not plain YAML") as problem:
        read_recipe(path)
    assert "\n" not in str(problem.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1, 2]", "expected keys"),
        ("just words", "expected keys"),
        ("a: [1", "not plain YAML"),
        ("{1: 2}", "1"),
        ("seed: -1", "seed"),
        ("seed: 1.5", "seed"),
        ("priors: {coefficients: {ridge: 0}}", "ridge"),
        ("priors: {coefficients: {ridge: -2}}", "ridge"),
        ("priors: {coefficients: {ridge: strong}}", "ridge"),
        ("priors: {states: {smooth: -1}}", "smooth"),
        ("schedule: []", "schedule"),
        ("schedule: quick", "schedule"),
        ("schedule: [{resolution: 0, degree: 1}]", "resolution"),
        ("components: {a: {support: {ball: {radius: .inf}}}}", "radius"),
        ("components: {a: {support: {ball: {radius: 9, center: [.nan, 0, 0]}}}}", "center"),
        ("components: {a: {support: {ball: {radius: 0}}}}", "radius"),
        ("components: {a: {support: {ball: {radius: 9, center: [1, 2]}}}}", "center"),
        ("components: {a: {support: {}}}", "either a ball or a mask"),
        ("components: {a: {support: {mask: m.mrc, ball: {radius: 3}}}}", "either a ball or a mask"),
        ("components: {a: {}}", "support of its own or shares"),
        ("components: {a: {support: {mask: m.mrc}, share: b}}", "support of its own or shares"),
        ("components: {a: {support: {mask: m.mrc}, placed: {angle: 9}}}", "is placed"),
        ("components: {a: {share: b, placed: {axis: [0, 0, 0]}}}", "has none"),
        ("components: {a: {support: {mask: m.mrc}, state: {basis: sine}}}", "basis"),
        ("components: {a: {support: {mask: m.mrc}, state: {degree: 0}}}", "degree"),
    ],
)
def test_impossible_recipes_are_one_sentence_with_the_file(tmp_path, text, says):
    path = written(tmp_path, text)
    with pytest.raises(RecipeError) as problem:
        read_recipe(path)
    message = str(problem.value)
    assert message.startswith(str(path))
    assert says in message
    assert "\n" not in message


ROUND = "support: {ball: {radius: 30}}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed: 1.5", "seed: expected a whole number (got 1.5)"),
        ("seed: -1", "seed: expected 0 or more (got -1)"),
        ("schedule: quick", "schedule: expected 'auto' or a list (got 'quick')"),
        (
            "schedule: [{resolution: 20}]",
            "schedule.0.degree: expected a value, and there is none",
        ),
        (
            "priors: {coefficients: {ridge: 0}}",
            "priors.coefficients.ridge: expected 'auto' or more than 0 (got 0)",
        ),
        (
            "priors: {states: {smooth: strong}}",
            "priors.states.smooth: expected a number (got 'strong')",
        ),
        (
            "priors: {states: {occupancy: learned}}",
            "occupancy: expected 'uniform' or 'histogram' or keys such as 'beta:' (got 'learned')",
        ),
        (
            "priors: {states: {occupancy: {beta: [0, 2]}}}",
            "priors.states.occupancy.beta.0: expected more than 0 (got 0)",
        ),
        (
            "priors: {states: {occupancy: {beta: 2}}}",
            "priors.states.occupancy.beta: expected 2 numbers, such as [2, 2] (got 2)",
        ),
        (
            "schedule: [{resolution: 20, degree: 1, temperature: 2}]",
            "schedule.0.temperature: expected 1 or less (got 2)",
        ),
        (
            "schedule: [{resolution: 20, degree: 1, state: table}]",
            "schedule.0.state: expected 'exact', 'draw' or 'hold' (got 'table')",
        ),
        (
            "schedule: [{resolution: 20, degree: 0, theta: draw}]",
            "theta: draw is given states that are drawn too; add state: draw",
        ),
        (
            "schedule: [{resolution: 20, degree: 0, theta: hold}]",
            "schedule.0.theta: there is no molecule yet to hold",
        ),
        (
            "schedule: [{resolution: 20, degree: 0, rotation: hold}]",
            "schedule.0.rotation: has no effect while latents.rotation is known",
        ),
        (
            "schedule: [{resolution: 20, degree: 0}, {resolution: 20, degree: 1, state: hold}]",
            "schedule.1.state: states begin in this stage",
        ),
        (
            (
                "{latents: {rotation: refine, shift: refine}, "
                "schedule: [{resolution: 20, degree: 0, rotation: search}]}"
            ),
            "schedule.0.rotation: there is no molecule yet to search with",
        ),
        (
            (
                "{priors: {coefficients: {solvent: 100}}, "
                "schedule: [{resolution: 20, degree: 0, state: draw, theta: draw}]}"
            ),
            "theta cannot be drawn with priors.coefficients.solvent",
        ),
        (
            "latents: {search: {mode: maxcc}}",
            "latents.search: has no effect unless latents.rotation is search",
        ),
        ("priors: {rotation: near}", "priors.rotation: expected 'uniform' or keys such as 'near:'"),
        (
            f"components: {{a: {{{ROUND}, trajectory: {{turn: {{axis: z}}}}}}}}",
            "a.trajectory.turn.axis: expected 3 numbers, such as [0, 0, 1] (got 'z')",
        ),
        (
            f"components: {{a: {{{ROUND}, trajectory: {{turn: {{axis: [0, 1]}}}}}}}}",
            "expected 3 numbers, such as [0, 0, 1] (got [0, 1])",
        ),
        (
            f"components: {{a: {{{ROUND}, basis: wavelet}}}}",
            "components.a.basis: expected 'voxel' or 'gpswf' (got 'wavelet')",
        ),
    ],
)
def test_sentences_name_no_types(tmp_path, text, says):
    """What a person reads who knows neither Python nor pydantic."""
    with pytest.raises(RecipeError) as problem:
        read_recipe(written(tmp_path, text))
    message = str(problem.value)
    assert says in message
    for word in ("Recipe", "tuple", "dictionary", "constrained", "valid", "instance"):
        assert word not in message


def test_groups_of_keys_are_not_repeated(tmp_path):
    """The key says where; half a group, cut off after sixty letters, says nothing more."""
    text = f"components: {{a: {{{ROUND}, placed: {{angle: 30}}}}}}"
    with pytest.raises(RecipeError) as problem:
        read_recipe(written(tmp_path, text))
    assert str(problem.value).endswith("is placed")


@pytest.mark.parametrize("dims", [0, 3])
def test_states_have_one_or_two_dimensions(dims):
    with pytest.raises(RecipeError, match=f"1 or 2 dimensions, not {dims}"):
        recipe_from({"components": {"a": {"support": {"mask": "m"}, "state": {"dims": dims}}}})


def test_recipe_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(RecipeError, match=r"nothing\.yaml: does not exist"):
        read_recipe(tmp_path / "nothing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(RecipeError, match=r"binary\.yaml: cannot be read"):
        read_recipe(tmp_path / "binary.yaml")


BALL = {"support": {"ball": {"radius": 30}}}


@pytest.mark.parametrize(
    "values",
    [
        {},
        yaml.safe_load(COMPLETE),
        {"schedule": [{"resolution": 20, "degree": 1}], "half_sets": True, "seed": 7},
        {"components": {"a": BALL | {"state": {"dims": 2, "degree": 2}}}},
    ],
)
def test_write_and_read_again(tmp_path, values):
    recipe = recipe_from(values)
    write_recipe(recipe, tmp_path / "again.yaml")
    assert read_recipe(tmp_path / "again.yaml") == recipe


def test_recipes_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().seed = 3


MOVES = "trajectory: {turn: {}}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"a: {{{ROUND}, state: {{basis: classes}}}}", "needs their number"),
        (f"a: {{{ROUND}, state: {{classes: 1}}}}", "2 or more are possible"),
        (f"a: {{{ROUND}, state: {{classes: 1000}}}}", "classes: expected 100 or less (got 1000)"),
        (f"a: {{{ROUND}, state: {{classes: 3, dims: 2}}}}", "one dimension of the state"),
        (f"a: {{{ROUND}, state: {{dims: 3}}}}", "1 or 2 dimensions, not 3"),
        (f"a: {{{ROUND}, state: 5}}", "a.state: expected keys such as 'basis:'"),
        (f"a: {{{ROUND}, trajectory: {{}}}}", "a turn, a translation or both"),
        (f"a: {{{ROUND}, trajectory: turn}}", "a.trajectory: expected keys such as 'turn:'"),
        (f"a: {{{ROUND}, trajectory: {{turn: {{axis: [0, 0, 0]}}}}}}", "(0, 0, 0) has none"),
        (f"a: {{{ROUND}, trajectory: {{turn: {{range: 0}}}}}}", "0 degrees stays"),
        (
            f"a: {{{ROUND}, trajectory: {{turn: {{degree: 6}}}}}}",
            "degree: expected 5 or less (got 6)",
        ),
        (f"a: {{{ROUND}, trajectory: {{turn: {{axes: [0, 0, 1]}}}}}}", "did you mean 'axis'?"),
        (f"a: {{{ROUND}, trajectory: {{translation: {{dims: 3}}}}}}", "translation.dims"),
        (
            f"a: {{{ROUND}, trajectory: {{translation: {{dims: 2, vector: [1, 0, 0]}}}}}}",
            "a vector goes with one state",
        ),
        (
            f"a: {{{ROUND}, trajectory: {{translation: {{vector: [0, 0, 0]}}}}}}",
            "a translation by (0, 0, 0) stays",
        ),
        (
            f"a: {{{ROUND}, trajectory: {{turn: {{}}, translation: {{dims: 2}}}}}}",
            "goes with a turn has one state",
        ),
        (
            f"a: {{{ROUND}, state: {{}}, trajectory: {{translation: {{dims: 2}}}}}}",
            "two state coordinates at most",
        ),
        (f"a: {{{ROUND}, {MOVES}, state: {{dims: 2}}}}", "one continuous state"),
        (f"a: {{{ROUND}, {MOVES}, state: {{classes: 2}}}}", "one continuous state"),
        (f"a: {{{ROUND}, tied: true, {MOVES}}}", "needs both a state and a trajectory"),
        (f"a: {{{ROUND}, tied: true, state: {{}}}}", "needs both a state and a trajectory"),
        (f"a: {{{ROUND}}}\n  b: {{share: a, {MOVES}}}", "moves as that one"),
        (f"a: {{{ROUND}}}\n  b: {{share: a, symmetry: C2}}", "the component that is shared"),
        (f"a: {{{ROUND}, symmetry: T}}", "cyclic or dihedral, such as C3 or D2 (got 'T')"),
        (f"a: {{{ROUND}, symmetry: C0}}", "cyclic or dihedral"),
        (f"a: {{{ROUND}, symmetry: D}}", "cyclic or dihedral"),
        (f"a: {{{ROUND}, placed: {{angle: 9}}}}", "is placed"),
        ("a: {share: b, placed: {matrix: [[1, 0, 0], [0, 1, 0], [0, 0, 2]]}}", "not orthonormal"),
        ("a: {share: b, placed: {matrix: [[1, 0, 0], [0, 1, 0], [0, 0, -1]]}}", "mirror image"),
        ("a: {share: b, placed: {matrix: [[1, 0, 0], [0, 1, 0]]}}", "placed.matrix.2"),
        (
            "a: {share: b, placed: {angle: 5, matrix: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}}",
            "either an axis and an angle or a matrix",
        ),
        ("a: {support: {mask: m.mrc}, basis: gpswf}", "basis gpswf needs a ball"),
        (f"a: {{{ROUND}, basis: wavelet}}", "components.a.basis"),
    ],
)
def test_impossible_motions_are_one_sentence_with_the_file(tmp_path, text, says):
    path = written(tmp_path, f"components:\n  {text}\n")
    with pytest.raises(RecipeError) as problem:
        read_recipe(path)
    message = str(problem.value)
    assert message.startswith(f"{path}: ")
    assert says in message
    assert "\n" not in message
    assert "Recipe" not in message  # no names of ours


@pytest.mark.parametrize(
    "item",
    [
        {"state": {"basis": "classes", "classes": 3}},
        {"state": {"basis": "fourier", "classes": 2}},
        {"trajectory": {"turn": {"axis": [0, 0, 1], "refine": True}}},
        {"trajectory": {"translation": {"dims": 2, "degree": 2}}},
        {"state": {}, "tied": True, "trajectory": {"turn": {"range": 40}}},
        {"symmetry": "D3", "basis": "gpswf"},
    ],
)
def test_motions_are_written_and_read_again(tmp_path, item):
    placed = {"share": "a", "placed": {"matrix": np.eye(3).tolist(), "shift": [1.0, 2, 3]}}
    recipe = recipe_from({"components": {"a": BALL | item, "b": placed}})
    write_recipe(recipe, tmp_path / "again.yaml")
    assert read_recipe(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(
    ("component", "words"),
    [
        ({"trajectory": {"turn": {"range": 1000}}}, "expected 360 or less"),
        (
            {"trajectory": {"turn": {}}, "state": {"basis": "classes", "classes": 3}, "tied": True},
            "classes cannot be tied",
        ),
    ],
)
def test_motions_that_mean_nothing_are_refused(component, words):
    ball = {"support": {"ball": {"radius": 20}}}
    with pytest.raises(RecipeError, match=words):
        recipe_from({"components": {"lid": ball | component}})


def test_a_copy_has_the_basis_of_its_original():
    ball = {"support": {"ball": {"radius": 20}}}
    with pytest.raises(RecipeError, match="give the basis to the component that is shared"):
        recipe_from({"components": {"a": ball, "b": {"share": "a", "basis": "gpswf"}}})


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


def test_all_problems_by_their_place():
    ball = {"support": {"ball": {"radius": -1}}}
    found = problems_of({"components": {"a": ball, "b": {}}, "sede": 3, "schedule": []})
    assert set(found) == {
        ("components", "a", "support", "ball", "radius"),
        ("components", "b"),
        ("sede",),
        ("schedule",),
    }
    assert found["components", "a", "support", "ball", "radius"].startswith("expected more than 0")
    assert "did you mean 'seed'" in found["sede",]
    assert problems_of({"components": {"a": {"support": {"ball": {"radius": 1}}}}}) == {}

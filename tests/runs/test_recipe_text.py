from pathlib import Path

import pytest
import yaml

from napari_hypermol.errors import RecipeError
from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.recipe_text import problems_of, read_recipe, recipe_from, write_recipe


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


ROUND = "support: {ball: {radius: 30}}"


BALL = {"support": {"ball": {"radius": 30}}}


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
            "expected 'exact', 'draw', 'metropolis', 'mala', 'hmc' or 'hold' (got 'table')",
        ),
        (
            "schedule: [{resolution: 20, degree: 0, theta: draw}]",
            "theta: draw is given states that are drawn too; add state: draw",
        ),
        (
            "schedule: [{resolution: 20, degree: 0, theta: langevin}]",
            "theta: langevin is given states that are drawn too; add state: draw",
        ),
        (
            "schedule: [{resolution: 20, degree: 0, noise: draw}]",
            "noise: draw is given states that are drawn too; add state: draw",
        ),
        (
            (
                "{latents: {rotation: refine}, "
                "schedule: [{resolution: 20, degree: 0, rotation: mala}]}"
            ),
            "rotation: mala is given states that are drawn too; add state: draw",
        ),
        (
            "schedule: [{resolution: 20, degree: 0, state: draw, shift: hmc}]",
            "schedule.0.shift: has no effect while latents.shift is known",
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


def test_recipe_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(RecipeError, match=r"nothing\.yaml: does not exist"):
        read_recipe(tmp_path / "nothing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(RecipeError, match=r"binary\.yaml: cannot be read"):
        read_recipe(tmp_path / "binary.yaml")


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

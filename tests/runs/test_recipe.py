from pathlib import Path

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from napari_hypermol.errors import MaskError, RecipeError
from napari_hypermol.io.mrc import write_volume
from napari_hypermol.molecules.support import Ball, Mask
from napari_hypermol.runs.recipe import (
    Recipe,
    composite_of,
    read_recipe,
    recipe_from,
    stages_of,
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


def arm_mask() -> np.ndarray:
    mask = np.zeros((BOX,) * 3, dtype=np.float32)
    mask[14:18, 12:20, 20:28] = 1
    return mask


@pytest.fixture
def with_mask(tmp_path):
    (tmp_path / "masks").mkdir()
    write_volume(tmp_path / "masks" / "arm_a.mrc", arm_mask(), PIXEL)
    return tmp_path


def test_the_complete_example(with_mask, monkeypatch):
    recipe = read_recipe(written(with_mask, COMPLETE))
    monkeypatch.chdir("/")  # masks are looked up beside the recipe, not where the user stands
    composite = composite_of(recipe, with_mask, BOX, PIXEL)
    body, arm, copy = composite.components
    assert (body.dims, arm.dims, copy.dims) == (0, 1, 1)
    assert (arm.state_basis.degree, copy.state_basis) == (4, arm.state_basis)
    assert copy.shares == "arm_a"
    np.testing.assert_allclose(copy.rotation, np.diag([-1.0, -1.0, 1.0]), atol=1e-12)
    assert isinstance(body.support, Ball)
    assert body.support.radius == pytest.approx(70 / PIXEL)  # Å become voxels
    assert isinstance(arm.support, Mask)
    np.testing.assert_array_equal(arm.support.array, arm_mask())


@pytest.mark.parametrize(
    ("value", "is_available"),
    [("known", True), ("refine", False), ("search", False)],
)
@pytest.mark.parametrize("latent", ["rotation", "shift"])
def test_poses_must_be_known_so_far(latent, value, is_available):
    if is_available:
        assert recipe_from({"latents": {latent: value}})
        return
    with pytest.raises(RecipeError, match=rf"latents\.{latent}: {value} is not available yet"):
        recipe_from({"latents": {latent: value}})


@pytest.mark.parametrize("value", ["known", "refine"])
def test_contrast_is_known_or_refined(value):
    assert recipe_from({"latents": {"contrast": value}}).latents.contrast == value


def test_schedule_by_hand():
    stage = {"resolution": 30, "degree": 2, "sweeps": 7}
    recipe = recipe_from({"schedule": [{"resolution": 30, "degree": 0}, stage]})
    stages = stages_of(recipe, composite_of(recipe, Path(), BOX, PIXEL), PIXEL)
    assert [s.max_radius for s in stages] == pytest.approx([BOX * PIXEL / 30] * 2)
    assert [(s.max_degree, s.sweeps, s.kindled_sweeps) for s in stages] == [(0, 4, 0), (2, 7, 6)]


def test_schedule_beyond_nyquist_is_refused():
    recipe = recipe_from({"schedule": [{"resolution": 11, "degree": 0}]})
    with pytest.raises(RecipeError, match=r"schedule.0.resolution: 11.0 Å is beyond Nyquist, 12.8"):
        stages_of(recipe, composite_of(recipe, Path(), BOX, PIXEL), PIXEL)


def test_no_components_is_one_ball_with_one_state():
    for empty in ({}, {"components": {}}):
        (ball,) = composite_of(recipe_from(empty), Path(), BOX, PIXEL).components
        assert ball.dims == 1
        assert ball.support == Ball((0, 0, 0), 0.45 * BOX)


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


@pytest.mark.parametrize("dims", [0, 3])
def test_states_have_one_or_two_dimensions(dims):
    with pytest.raises(RecipeError, match=f"1 or 2 dimensions, not {dims}"):
        recipe_from({"components": {"a": {"support": {"mask": "m"}, "state": {"dims": dims}}}})


def test_recipe_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(RecipeError, match=r"nothing\.yaml: cannot be read"):
        read_recipe(tmp_path / "nothing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(RecipeError, match=r"binary\.yaml: cannot be read"):
        read_recipe(tmp_path / "binary.yaml")


BALL = {"support": {"ball": {"radius": 30}}}


@pytest.mark.parametrize("share", ["leg", "copy", "a"])
def test_share_names_a_component_with_coefficients(share):
    components = {"arm": BALL, "copy": {"share": "arm"}, "a": {"share": share}}
    with pytest.raises(RecipeError, match=rf"components\.a\.share: '{share}' .* those are arm$"):
        composite_of(recipe_from({"components": components}), Path(), BOX, PIXEL)


def test_shared_coefficients_have_one_state_basis():
    arm = BALL | {"state": {"degree": 3}}
    copy = {"share": "arm", "state": {"degree": 2}}
    with pytest.raises(RecipeError, match=r"components\.copy\.state: differs"):
        composite_of(recipe_from({"components": {"arm": arm, "copy": copy}}), Path(), BOX, PIXEL)


def mask_recipe(path, **more):
    return recipe_from({"components": {"a": {"support": {"mask": str(path)} | more}}})


def test_mask_of_another_box_or_pixel_is_refused(tmp_path):
    for name, size, pixel in (("size", BOX + 2, PIXEL), ("pixel", BOX, 2 * PIXEL)):
        write_volume(tmp_path / f"{name}.mrc", np.ones((size,) * 3, dtype=np.float32), pixel)
        with pytest.raises(MaskError, match=rf"{name}\.mrc"):
            composite_of(mask_recipe(f"{name}.mrc"), tmp_path, BOX, PIXEL)


def test_empty_mask_is_refused(tmp_path):
    write_volume(tmp_path / "empty.mrc", np.zeros((BOX,) * 3, dtype=np.float32), PIXEL)
    with pytest.raises(MaskError, match=r"empty\.mrc"):
        composite_of(mask_recipe("empty.mrc"), tmp_path, BOX, PIXEL)


def test_absolute_mask(with_mask):
    path = with_mask / "masks" / "arm_a.mrc"
    (component,) = composite_of(mask_recipe(path), Path("/"), BOX, PIXEL).components
    np.testing.assert_array_equal(component.support.array, arm_mask())


def test_ball_that_misses_the_box():
    ball = {"ball": {"center": [0, 0, 500], "radius": 20}}
    recipe = recipe_from({"components": {"tail": {"support": ball}}})
    with pytest.raises(MaskError, match="tail: its support misses the box"):
        composite_of(recipe, Path(), BOX, PIXEL).discretise(8)


@pytest.mark.parametrize(("soft", "voxels"), [({}, 2.0), ({"soft_edge": 18}, 3.0)])
def test_soft_edges_are_in_angstroms(with_mask, soft, voxels):
    supports = [{"ball": {"radius": 30}} | soft, {"mask": "masks/arm_a.mrc"} | soft]
    for support in supports:
        recipe = recipe_from({"components": {"a": {"support": support}}})
        (component,) = composite_of(recipe, with_mask, BOX, PIXEL).components
        assert component.support.soft_edge == voxels


def test_centres_are_x_y_z_in_angstroms():
    ball = {"ball": {"center": [12, -6, 30], "radius": 30}}
    recipe = recipe_from({"components": {"a": {"support": ball}}})
    (component,) = composite_of(recipe, Path(), BOX, PIXEL).components
    assert component.support.position == pytest.approx((2, -1, 5))


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

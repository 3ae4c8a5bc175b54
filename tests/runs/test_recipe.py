from pathlib import Path

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from napari_hypermol.bases.classes import ClassBasis
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.bases.hat import HatBasis
from napari_hypermol.bases.polynomial import ChebyshevBasis, LegendreBasis
from napari_hypermol.bases.product import ProductBasis
from napari_hypermol.errors import MaskError, RecipeError
from napari_hypermol.io.mrc import write_volume
from napari_hypermol.molecules.sharing import point_group
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


# ---- what moves, and how -------------------------------------------------------------------------


def components_of(**items):
    return composite_of(recipe_from({"components": items}), Path(), BOX, PIXEL).components


@pytest.mark.parametrize(
    ("state", "expected", "kinds"),
    [
        ({}, CosineBasis(4), ("interval",)),
        ({"basis": "cosine", "degree": 2}, CosineBasis(2), ("interval",)),
        ({"basis": "legendre", "degree": 3}, LegendreBasis(3), ("interval",)),
        ({"basis": "chebyshev", "degree": 3}, ChebyshevBasis(3), ("interval",)),
        ({"basis": "fourier", "degree": 2}, FourierBasis(2), ("circle",)),
        ({"basis": "hat", "degree": 3}, HatBasis(4), ("interval",)),
        ({"basis": "classes", "classes": 3}, ClassBasis(3), ("class",)),
        (
            {"basis": "legendre", "degree": 2, "dims": 2},
            ProductBasis(LegendreBasis(2), LegendreBasis(2), 2),
            ("interval", "interval"),
        ),
        (
            {"basis": "fourier", "degree": 1, "classes": 4},
            ProductBasis(ClassBasis(4), FourierBasis(1), 1),
            ("class", "circle"),
        ),
    ],
)
def test_every_state_basis_has_a_name(state, expected, kinds):
    (component,) = components_of(a=BALL | {"state": state})
    assert component.state_basis == expected
    assert component.kinds == kinds


def test_a_hinge_that_is_given_in_degrees_and_angstroms():
    turn = {"axis": [0, 3, 4], "pivot": [12, 0, -6], "range": 60}
    (component,) = components_of(a=BALL | {"trajectory": {"turn": turn}})
    found = component.trajectory.turn
    np.testing.assert_allclose(found.axis, [0, 0.6, 0.8])
    np.testing.assert_allclose(found.pivot, [2, 0, -1])
    np.testing.assert_allclose(found.angles, [np.radians(30)])  # from -30 to 30
    assert not component.trajectory.is_learned
    assert component.state_basis == ConstantBasis()
    assert component.kinds == ("interval",)


@pytest.mark.parametrize(
    ("turn", "learned"),
    [
        ({}, (True, True, True)),
        ({"axis": [0, 0, 1]}, (False, True, True)),
        ({"pivot": [0, 0, 0]}, (True, False, True)),
        ({"range": 40}, (True, True, False)),
        ({"axis": [0, 0, 1], "range": 40, "refine": True}, (True, True, True)),
    ],
)
def test_what_is_not_given_is_learned(turn, learned):
    ball = {"support": {"ball": {"radius": 30, "center": [18, 0, 0]}}}
    (component,) = components_of(a=ball | {"trajectory": {"turn": turn | {"degree": 2}}})
    found = component.trajectory.turn
    assert (found.learns_axis, found.learns_pivot, found.learns_angles) == learned
    assert (found.gives_axis, found.gives_pivot, found.gives_angles) == (
        "axis" in turn, "pivot" in turn, "range" in turn
    )  # fmt: skip
    assert len(found.angles) == 2
    np.testing.assert_allclose(found.pivot, [0, 0, 0] if "pivot" in turn else [3, 0, 0])


def test_translations():
    given = {"translation": {"vector": [24, 0, -12]}}
    plane = {"translation": {"dims": 2, "degree": 2}}
    both = {"turn": {}, "translation": {"vector": [24, 0, 0], "refine": True}}
    one, two, three = components_of(
        a=BALL | {"trajectory": given},
        b=BALL | {"trajectory": plane},
        c=BALL | {"trajectory": both},
    )
    # from one end to the other: half of it either way [voxels]
    np.testing.assert_allclose(one.trajectory.translation.vectors, [[2, 0, -1]])
    assert not one.trajectory.is_learned
    exponents = {tuple(row) for row in two.trajectory.translation.exponents.tolist()}
    assert exponents == {(1, 0), (0, 1), (2, 0), (1, 1), (0, 2)}
    assert two.kinds == ("interval", "interval")
    assert two.trajectory.is_learned
    slide = three.trajectory.translation
    assert (slide.learns, slide.gives, three.trajectory.dims) == (True, True, 1)


def test_tied_and_untied_states():
    moving = BALL | {"state": {"degree": 2}, "trajectory": {"turn": {}}}
    tied, apart = components_of(a=moving | {"tied": True}, b=moving)
    assert (tied.is_tied, tied.dims) == (True, 1)
    assert (apart.is_tied, apart.dims) == (False, 2)


def test_a_copy_is_placed_by_a_matrix_and_a_shift_and_moves_alike():
    owner = BALL | {"state": {"degree": 2}, "trajectory": {"turn": {}}, "tied": True}
    matrix = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    one, copy = components_of(
        a=owner, b={"share": "a", "placed": {"matrix": matrix, "shift": [6, 0, -12]}}
    )
    np.testing.assert_array_equal(copy.rotation, matrix)
    np.testing.assert_allclose(copy.shift, [1, 0, -2])
    assert copy.kinds == one.kinds
    assert copy.is_tied


@pytest.mark.parametrize(("name", "order"), [("C1", 1), ("C3", 3), ("D2", 4)])
def test_symmetry_makes_copies_with_states_of_their_own(name, order):
    copies = components_of(arm=BALL | {"symmetry": name, "state": {"degree": 1}})
    assert [c.name for c in copies] == [f"arm_{i + 1}" for i in range(order)]
    assert [c.shares for c in copies] == [None] + ["arm_1"] * (order - 1)
    np.testing.assert_allclose([c.rotation for c in copies], point_group(name), atol=1e-12)
    assert sum(c.dims for c in copies) == order


def test_spatial_basis():
    one, two = components_of(a=BALL, b=BALL | {"basis": "gpswf"})
    assert (one.spatial, two.spatial) == ("voxel", "gpswf")


def test_what_moves_as_a_whole_has_a_stage_of_its_own():
    """A rigid shape with a trajectory still needs a stage that is not still."""
    recipe = recipe_from({"components": {"a": BALL | {"trajectory": {"turn": {}}}}})
    stages = stages_of(recipe, composite_of(recipe, Path(), BOX, PIXEL), PIXEL)
    assert max(s.max_degree for s in stages) == 1


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
    ("items", "says"),
    [
        ({"a": {"share": "b"}, "b": {"share": "a"}}, r"components\.a\.share: 'b' .* are none$"),
        ({"a": {"share": "a"}}, r"components\.a\.share: 'a' .* those are none$"),
        ({"a": BALL | {"symmetry": "C3"}, "b": {"share": "a"}}, "a has symmetry C3"),
        ({"a": BALL | {"symmetry": "C3"}, "a_2": BALL}, r"components\.a_2: .* choose another"),
        (
            {"a": BALL | {"trajectory": {"turn": {"axis": [0, 0, 1], "pivot": [0, 200, 9]}}}},
            "the hinge passes 200 Å from the middle of its support, which is 96 Å wide",
        ),
        (
            {"a": BALL | {"trajectory": {"turn": {}}, "tied": True, "state": {"dims": 2}}},
            "component a: its trajectory has 1 state coordinates, its shape 2",
        ),
    ],
)
def test_components_that_do_not_fit_together(items, says):
    with pytest.raises(RecipeError, match=says) as problem:
        components_of(**items)
    assert "\n" not in str(problem.value)


def test_a_hinge_may_pass_far_away_along_its_axis():
    """Only the distance across the axis counts, if it is known."""
    far = {"pivot": [0, 0, 200]}
    components_of(a=BALL | {"trajectory": {"turn": far | {"axis": [0, 0, 1]}}})
    with pytest.raises(RecipeError, match="the hinge passes 200 Å"):
        components_of(a=BALL | {"trajectory": {"turn": far}})


def test_a_copy_placed_outside_the_box():
    items = {"a": BALL, "b": {"share": "a", "placed": {"shift": [500, 0, 0]}}}
    recipe = recipe_from({"components": items})
    with pytest.raises(MaskError, match="component b: its support misses the box once placed"):
        composite_of(recipe, Path(), BOX, PIXEL).discretise(8)


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

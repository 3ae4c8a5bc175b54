from pathlib import Path

import numpy as np
import pytest

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
from napari_hypermol.runs.from_recipe import composite_of, poses_of, stages_of
from napari_hypermol.runs.pose_prior import FIRST_ROTATION_STD
from napari_hypermol.runs.recipe_text import read_recipe, recipe_from

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


@pytest.mark.parametrize(
    ("support", "latents", "basis", "expected"),
    [
        ("{ball: {radius: 70}}", "refine", "voxel", True),
        ("{ball: {radius: 70}}", "search", "voxel", True),
        ("{ball: {radius: 70}}", "known", "voxel", True),
        ("{ball: {radius: 70}, trim: never}", "known", "voxel", False),
        ("{ball: {radius: 70}, trim: never}", "search", "voxel", False),
        ("{mask: masks/all.mrc}", "refine", "voxel", False),
        ("{mask: masks/all.mrc, trim: always}", "refine", "voxel", True),
        ("{ball: {radius: 70}, trim: always}", "search", "gpswf", False),
    ],
)
def test_which_supports_are_trimmed(tmp_path, support, latents, basis, expected):
    (tmp_path / "masks").mkdir()
    write_volume(tmp_path / "masks" / "all.mrc", np.ones((BOX,) * 3, np.float32), PIXEL)
    path = written(
        tmp_path,
        f"components: {{all: {{support: {support}, basis: {basis}}}}}\n"
        f"latents: {{rotation: {latents}, shift: {latents}}}\n",
    )
    composite = composite_of(read_recipe(path), tmp_path, BOX, PIXEL)
    assert composite.components[0].is_trimmed == expected


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


def test_schedule_by_hand():
    stage = {"resolution": 30, "degree": 2, "sweeps": 7}
    recipe = recipe_from({"schedule": [{"resolution": 30, "degree": 0}, stage]})
    stages = stages_of(recipe, composite_of(recipe, Path(), BOX, PIXEL), PIXEL)
    assert [s.max_radius for s in stages] == pytest.approx([BOX * PIXEL / 30] * 2)
    assert [(s.max_degree, s.sweeps, s.kindled_sweeps) for s in stages] == [(0, 4, 0), (2, 7, 6)]


@pytest.mark.parametrize("sweeps", [1, 2, 4, 6, 12])
def test_what_is_kindled_becomes_a_density_in_the_same_stage(sweeps):
    """It may be the last one: kindled to its end, motions were a quarter of what they are."""
    stage = {"resolution": 20, "degree": 2, "sweeps": sweeps}
    recipe = recipe_from({"schedule": [{**stage, "degree": 0}, stage]})
    stages = stages_of(recipe, composite_of(recipe, Path(), BOX, PIXEL), PIXEL)
    assert stages[0].kindled_sweeps == 0
    assert stages[1].kindled_sweeps == min(6, sweeps - 1)


def test_known_poses_ask_for_nothing():
    assert poses_of(recipe_from({})) is None


def test_poses_to_find_with_their_priors_in_radians_and_angstrom():
    latents = {"rotation": "refine", "shift": "known"}
    poses = poses_of(recipe_from({"latents": latents, "priors": {"rotation": {"near": 10}}}))
    assert (poses.rotation, poses.shift, poses.is_search) == ("refine", "known", False)
    assert poses.rotation_std == pytest.approx(np.pi / 18)
    assert poses.shift_std is None
    latents = {"rotation": "search", "shift": "search"}
    priors = {"rotation": "uniform", "shift": {"std": 9}}
    poses = poses_of(recipe_from({"latents": latents, "priors": priors}))
    assert poses.is_search
    assert (poses.rotation_std, poses.shift_std) == (None, 9)


def test_how_far_off_the_files_rotations_are_is_learned_unless_said():
    for priors in ({}, {"rotation": {"near": "auto"}}):
        poses = poses_of(recipe_from({"latents": {"rotation": "refine"}, "priors": priors}))
        assert (poses.rotation_std, poses.learns_rotation_std) == (FIRST_ROTATION_STD, True)
    for prior, std in ({"near": 4}, np.pi / 45), ("uniform", None):
        values = {"latents": {"rotation": "refine"}, "priors": {"rotation": prior}}
        poses = poses_of(recipe_from(values))
        assert not poses.learns_rotation_std
        assert poses.rotation_std == (std and pytest.approx(std))
    for values in ({"rotation": "search", "shift": "search"}, {"shift": "refine"}):
        assert poses_of(recipe_from({"latents": values})).rotation_std is None


def test_stages_are_longer_where_poses_move():
    latents = {"rotation": "refine", "shift": "refine"}
    plain, moving = recipe_from({}), recipe_from({"latents": latents})
    composite = composite_of(plain, Path(), BOX, PIXEL)
    work = [sum(s.sweeps for s in stages_of(r, composite, PIXEL)) for r in (plain, moving)]
    assert work[1] > work[0]


def test_schedule_beyond_nyquist_is_refused():
    recipe = recipe_from({"schedule": [{"resolution": 11, "degree": 0}]})
    with pytest.raises(RecipeError, match=r"schedule.0.resolution: 11.0 Å is beyond Nyquist, 12.8"):
        stages_of(recipe, composite_of(recipe, Path(), BOX, PIXEL), PIXEL)


def test_no_components_is_one_ball_with_one_state():
    for empty in ({}, {"components": {}}):
        (ball,) = composite_of(recipe_from(empty), Path(), BOX, PIXEL).components
        assert ball.dims == 1
        assert ball.support == Ball((0, 0, 0), 0.45 * BOX)


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

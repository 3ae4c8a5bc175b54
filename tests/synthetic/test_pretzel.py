import numpy as np
import pytest

from napari_hypermol.synthetic.pretzel import ARM_BALL, pretzel

STATES = np.linspace(0, 1, 9)


@pytest.fixture(scope="module")
def components():
    return {component.name: component for component in pretzel(64).components}


def test_a_rigid_body_and_two_arms_with_states(components):
    assert pretzel(64).dims == 2
    assert {name: c.has_state for name, c in components.items()} == {
        "body": False, "arm_a": True, "arm_b": True,
    }  # fmt: skip
    centres = components["body"].centres(STATES)
    np.testing.assert_array_equal(centres, np.repeat(centres[:1], len(STATES), axis=0))


def test_the_arms_are_copies_by_half_a_turn(components):
    a, b = components["arm_a"], components["arm_b"]
    half_turn = np.diag([-1.0, -1.0, 1.0])
    np.testing.assert_allclose(b.centres(STATES), a.centres(STATES) @ half_turn, atol=1e-12)
    np.testing.assert_array_equal(a.widths, b.widths)
    np.testing.assert_array_equal(a.amplitudes, b.amplitudes)


def test_the_arm_bends_as_it_swings(components):
    """Stretched half way, bent at both ends: no rigid turn explains it."""
    centres = components["arm_a"].centres(STATES)
    inner, outer = centres[:, 1] - centres[:, 0], centres[:, 3] - centres[:, 2]
    cosine = (inner * outer).sum(axis=1)
    cosine /= np.linalg.norm(inner, axis=1) * np.linalg.norm(outer, axis=1)
    bend = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    assert bend[4] == pytest.approx(0, abs=1e-5)
    assert min(bend[0], bend[-1]) > 10
    swing = np.linalg.norm(centres[-1, 3] - centres[0, 3])
    assert swing > 10  # voxels of 64: far more than a bead's width


def test_the_loose_ball_holds_the_arm(components):
    centre, radius = np.array(ARM_BALL[0]), ARM_BALL[1]
    arm = components["arm_a"]
    reach = np.linalg.norm(arm.centres(STATES) - centre, axis=-1) + arm.widths
    assert reach.max() < radius


@pytest.mark.parametrize("box_size", [32, 64])
def test_it_stays_inside_the_box(box_size):
    for component in pretzel(box_size).components:
        reach = np.linalg.norm(component.centres(STATES), axis=-1) + 2 * component.widths
        assert reach.max() < 0.45 * box_size


def test_it_has_no_symmetry(components):
    """Half a turn about z maps the arms onto one another but not the body onto itself."""
    centres = components["body"].centres(np.zeros(1))[0]
    turned = centres * [-1, -1, 1]
    nearest = np.linalg.norm(centres[:, None] - turned[None], axis=-1).min(axis=1)
    assert nearest.max() > 3

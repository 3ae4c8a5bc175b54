import numpy as np
import pytest

from napari_hypermol.synthetic.clam import BASE_BALL, LID_BALL, clam

STATES = np.linspace(0, 1, 5)


@pytest.fixture(scope="module")
def molecule():
    return clam(64)


def test_the_base_is_rigid_and_the_lid_has_a_state(molecule):
    base, lid = molecule.components
    assert (base.name, base.has_state, lid.name, lid.has_state) == ("base", False, "lid", True)
    centres = base.centres(STATES)
    np.testing.assert_array_equal(centres, np.repeat(centres[:1], 5, axis=0))


def test_the_lid_turns_about_the_hinge_that_is_recorded(molecule):
    """From its atoms alone: the best rotation between two states, by singular values (Kabsch)."""
    hinge, lid = molecule.hinge, molecule.components[1]
    axis, pivot = np.array(hinge.axis), np.array(hinge.pivot)
    assert hinge.component == "lid"
    assert np.linalg.norm(axis) == pytest.approx(1)
    one, two = lid.centres(np.array([0.1, 0.8]))
    a, b = one - one.mean(axis=0), two - two.mean(axis=0)
    u, _, vt = np.linalg.svd(a.T @ b)
    turn = (u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt).T
    np.testing.assert_allclose(turn @ axis, axis, atol=1e-9)
    np.testing.assert_allclose((one - pivot) @ turn.T + pivot, two, atol=1e-9)
    angle = np.degrees(np.arccos((np.trace(turn) - 1) / 2))
    assert angle == pytest.approx(0.7 * 50)  # 0.7 of the range from -25 to +25 degrees
    vector = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    assert vector @ axis > 0  # turned the right-handed way about the axis
    assert hinge.angles == (-25.0, 25.0)


def test_half_way_the_lid_is_not_turned(molecule):
    """Its ball is given there; and the balls are loose."""
    base, lid = molecule.components
    for component, (centre, radius) in ((base, BASE_BALL), (lid, LID_BALL)):
        centres = component.centres(np.array([0.5]))[0]
        reach = np.linalg.norm(centres - centre, axis=-1)
        assert radius - 5 < reach.max() < radius - 2 * component.widths[0]


def test_the_lid_does_not_run_into_the_base(molecule):
    base, lid = molecule.components
    fixed = base.centres(np.zeros(1))[0]
    for places in lid.centres(STATES):
        assert np.linalg.norm(places[:, None] - fixed[None], axis=-1).min() > 1.25  # one width


@pytest.mark.parametrize("box_size", [32, 64])
def test_it_scales_with_the_box_and_stays_inside(box_size, molecule):
    other = clam(box_size)
    assert other.hinge.pivot == pytest.approx(np.array(molecule.hinge.pivot) * box_size / 64)
    for small, reference in zip(other.components, molecule.components, strict=True):
        expected = reference.centres(STATES) * box_size / 64
        np.testing.assert_allclose(small.centres(STATES), expected)
        reach = np.linalg.norm(small.centres(STATES), axis=-1) + 2 * small.widths
        assert reach.max() < 0.45 * box_size

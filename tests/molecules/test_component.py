import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples import cosine_plane
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.errors import RecipeError
from napari_hypermol.molecules.component import Component, rotation_about
from napari_hypermol.molecules.support import Ball
from napari_hypermol.molecules.trajectory import RigidTrajectory, Translation, Turn


def test_quarter_turn_about_z_takes_x_to_y():
    quarter = rotation_about((0, 0, 5), np.pi / 2)
    np.testing.assert_allclose(quarter @ [1, 0, 0], [0, 1, 0], atol=1e-12)


@given(
    st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda axis: np.linalg.norm(axis) > 0.1),
    st.floats(-7, 7),
)
def test_rotations_are_proper_and_keep_their_axis(axis, angle):
    matrix = rotation_about(axis, angle)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(matrix), 1)
    np.testing.assert_allclose(matrix @ axis, axis, atol=1e-12)
    np.testing.assert_allclose(np.trace(matrix), 1 + 2 * np.cos(angle), atol=1e-12)


def test_a_component_stands_where_it_is_unless_placed():
    component = Component("arm", Ball((0, 0, 0), 3), cosine_plane(1))
    assert component.dims == 2
    assert component.shares is None
    np.testing.assert_array_equal(component.rotation, np.eye(3))


TURN = RigidTrajectory(Turn(np.array([0.0, 0, 1]), np.zeros(3), np.array([0.3])))
PLANE = RigidTrajectory(translation=Translation(np.eye(3)[:2], np.eye(2, dtype=int)))


def kinds(basis, **more):
    return Component("arm", Ball((0, 0, 0), 3), basis, **more).kinds


def test_coordinates_are_those_of_the_position_then_those_of_the_shape():
    assert kinds(ConstantBasis()) == ()
    assert kinds(FourierBasis(2)) == ("circle",)
    assert kinds(ConstantBasis(), trajectory=TURN) == ("interval",)
    assert kinds(ConstantBasis(), trajectory=PLANE) == ("interval", "interval")
    assert kinds(FourierBasis(2), trajectory=TURN) == ("interval", "circle")
    assert kinds(CosineBasis(2), trajectory=TURN, is_tied=True) == ("interval",)


@pytest.mark.parametrize(
    ("basis", "trajectory", "says"),
    [
        (CosineBasis(1), None, "component arm: a tied state needs both"),
        (ConstantBasis(), TURN, "component arm: a tied state needs both"),
        (CosineBasis(1), PLANE, "component arm: its trajectory has 2 state .*, its shape 1"),
        (cosine_plane(1), TURN, "component arm: its trajectory has 1 state .*, its shape 2"),
    ],
)
def test_what_cannot_be_tied(basis, trajectory, says):
    with pytest.raises(RecipeError, match=says):
        kinds(basis, trajectory=trajectory, is_tied=True)

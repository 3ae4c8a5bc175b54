import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from examples import cosine_plane
from napari_hypermol.molecules.component import Component, rotation_about
from napari_hypermol.molecules.support import Ball


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

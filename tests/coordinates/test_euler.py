import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_hypermol.coordinates.euler import (
    relion_angles_from_rotations,
    rotations_from_cryosparc_vectors,
    rotations_from_relion_angles,
)
from strategies import rotations


def written_out(rot, tilt, psi):
    """RELION's matrix, entry by entry."""
    (ca, cb, cg), (sa, sb, sg) = (f(np.radians([rot, tilt, psi])) for f in (np.cos, np.sin))
    return np.array(
        [
            [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
            [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
            [sb * ca, sb * sa, cb],
        ]
    )


# From RELION's Euler_angles2matrix, by an independent program.
REFERENCES = {
    (30, 45, 60): [
        [-0.126826484, 0.9267766953, -0.3535533906],
        [-0.7803300859, 0.126826484, 0.6123724357],
        [0.6123724357, 0.3535533906, 0.7071067812],
    ],
    (275.167758, 67.327105, 47.970504): [
        [0.7630264983, -0.1901222865, -0.6177734852],
        [0.6410016019, 0.3454675336, 0.6853970598],
        [0.0831114261, -0.9189699121, 0.3854695727],
    ],
}


@pytest.mark.parametrize("angles", REFERENCES)
def test_relion_matrices(angles):
    matrix = rotations_from_relion_angles([angles])[0]
    np.testing.assert_allclose(matrix, REFERENCES[angles], atol=1e-9)


@given(st.tuples(*[st.floats(-360, 360)] * 3))
def test_any_angles_give_the_matrix_written_out(angles):
    matrix = rotations_from_relion_angles([angles])[0]
    np.testing.assert_allclose(matrix, written_out(*angles), atol=1e-12)


@given(rotations(3))
def test_angles_come_back_as_the_same_rotation(matrices):
    angles = relion_angles_from_rotations(matrices)
    assert ((angles[:, 1] >= 0) & (angles[:, 1] <= 180)).all()
    np.testing.assert_allclose(rotations_from_relion_angles(angles), matrices, atol=1e-7)


@pytest.mark.parametrize("tilt", [0.0, 180.0])
def test_at_the_poles_psi_is_zero(tilt):
    matrices = rotations_from_relion_angles([[25.0, tilt, 40.0]])
    angles = relion_angles_from_rotations(matrices)
    assert angles[0, 2] == 0
    np.testing.assert_allclose(rotations_from_relion_angles(angles), matrices, atol=1e-12)


def test_cryosparc_vector_is_the_inverse_rotation():
    quarter = rotations_from_cryosparc_vectors([[0, 0, np.pi / 2]])[0]
    # the vector turns x onto y; the matrix brings y back onto x
    np.testing.assert_allclose(quarter @ [0, 1, 0], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(quarter, rotations_from_relion_angles([[90, 0, 0]])[0], atol=1e-12)


def test_one_pose_without_its_own_axis_is_accepted():
    assert rotations_from_relion_angles([10, 20, 30]).shape == (1, 3, 3)
    assert relion_angles_from_rotations(np.eye(3)).shape == (1, 3)


def test_relion_angles_are_scipys_transposed(rng):
    angles = rng.uniform(-180, 180, size=(50, 3))
    scipys = Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix()
    found = rotations_from_relion_angles(angles)
    np.testing.assert_allclose(found, scipys.swapaxes(-1, -2), atol=1e-14)
    assert found.shape == (50, 3, 3)
    assert rotations_from_relion_angles([]).shape == (0, 3, 3)

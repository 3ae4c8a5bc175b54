import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_hypermol.synthetic.pose_errors import with_errors

N = 4000


@pytest.fixture
def poses(rng):
    return Rotation.random(N, rng=rng).as_matrix(), rng.normal(size=(N, 2))


def test_angles_have_the_root_mean_square_and_any_direction(poses, rng):
    rotations, shifts = with_errors(poses[0], 8.0, poses[1], 1.5, rng)
    errors = Rotation.from_matrix(rotations @ poses[0].swapaxes(1, 2)).as_rotvec(degrees=True)
    angles = np.linalg.norm(errors, axis=1)
    # four standard errors: of a mean square of 3 n numbers sqrt(2 / 3n), halved by the root
    assert np.sqrt(np.mean(angles**2)) == pytest.approx(8.0, rel=4 * np.sqrt(2 / (3 * N)) / 2)
    # the median of the square root of a chi square of three degrees of freedom, over sqrt(3)
    assert np.median(angles) == pytest.approx(0.888 * 8.0, rel=0.04)
    # one share in three along each axis, and no axis that goes with another
    covariance = np.cov(errors.T) / (64 / 3)
    np.testing.assert_allclose(covariance, np.eye(3), atol=4 * np.sqrt(2 / N))
    moved = shifts - poses[1]
    np.testing.assert_allclose(moved.std(axis=0), 1.5, rtol=4 / np.sqrt(2 * N))
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=4 * 1.5 / np.sqrt(N))


def test_without_errors_nothing_changes(poses, rng):
    for found, true in zip(with_errors(poses[0], 0.0, poses[1], 0.0, rng), poses, strict=True):
        np.testing.assert_array_equal(found, true)


def test_one_error_does_not_depend_on_the_other(poses):
    both, one = (
        with_errors(poses[0], 3.0, poses[1], size, np.random.default_rng(5)) for size in (2.0, 0.0)
    )
    np.testing.assert_array_equal(both[0], one[0])
    np.testing.assert_array_equal(one[1], poses[1])

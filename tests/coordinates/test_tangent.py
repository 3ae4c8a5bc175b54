import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial.transform import Rotation

from napari_hypermol.coordinates.tangent import (
    angle_between,
    exponential,
    log_tangent_normal,
    random_rotations,
    tangent_normal,
)


@pytest.mark.parametrize("size", [1e-9, 1e-4, 0.3, 3.1, 7.0])
def test_exponential_is_that_of_scipy(rng, size):
    omega = size * rng.normal(size=(20, 3))
    expected = Rotation.from_rotvec(omega).as_matrix()
    np.testing.assert_allclose(exponential(omega), expected, atol=1e-14)


def test_exponential_of_nothing_and_of_stacks():
    np.testing.assert_array_equal(exponential(np.zeros(3)), np.eye(3))
    assert exponential(np.zeros((2, 4, 3))).shape == (2, 4, 3, 3)


def test_exponential_turns_by_the_right_hand():
    quarter = exponential(np.array([0, 0, np.pi / 2]))
    np.testing.assert_allclose(quarter @ [1, 0, 0], [0, 1, 0], atol=1e-15)


@pytest.mark.parametrize("angle", [0, 1e-8, 1e-3, 1.0, 3.0, np.pi - 1e-8, np.pi])
def test_angle_is_exact_at_both_ends(rng, angle):
    rotation = random_rotations(rng, 5)
    axis = rng.normal(size=(5, 3))
    axis *= angle / np.linalg.norm(axis, axis=1, keepdims=True)
    # rounding of matrices, 1e-16, a few times
    found = angle_between(exponential(axis) @ rotation, rotation)
    np.testing.assert_allclose(found, angle, rtol=1e-14, atol=2e-15)


def test_random_rotations_are_proper_and_uniform(rng):
    rotations = random_rotations(rng, 40_000)
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    np.testing.assert_allclose(
        rotations @ np.swapaxes(rotations, 1, 2), [np.eye(3)] * 40_000, atol=1e-14
    )
    # entries have mean 0 and mean square 1/3; five standard errors of 40 000 draws
    np.testing.assert_allclose(rotations.mean(axis=0), 0, atol=5 * np.sqrt(1 / 3 / 40_000))
    np.testing.assert_allclose(
        (rotations**2).mean(axis=0), 1 / 3, atol=5 * np.sqrt(4 / 45 / 40_000)
    )
    np.testing.assert_allclose(np.trace(rotations, axis1=1, axis2=2).mean(), 0, atol=5 / 200)


@pytest.mark.parametrize("std", [0.01, 0.3, 1.0, 20.0])
def test_density_is_normalised(std):
    def density(t):
        return np.exp(log_tangent_normal(t, std)) * (1 - np.cos(t)) / np.pi

    end = min(np.pi, 12 * std)
    assert quad(density, 0, end)[0] == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("std", [0.01, 0.3, 1.0, 20.0])
def test_draws_have_the_density(rng, std):
    """Shares below angles, against the integral of the density; five standard errors."""
    n = 20_000
    angles = angle_between(exponential(tangent_normal(rng, std, n)), np.eye(3)[None])
    for end in np.array([0.5, 1.5, 3.0]) * min(std, 1.0):
        expected = quad(
            lambda t: np.exp(log_tangent_normal(t, std)) * (1 - np.cos(t)) / np.pi, 0, end
        )[0]
        assert abs((angles < end).mean() - expected) < 5 * np.sqrt(expected / n)


def test_draws_are_isotropic_and_each_has_its_own_std(rng):
    std = np.array([0.1, 0.2]).repeat(20_000)
    omega = tangent_normal(rng, std, 40_000)
    for part, expected in ((omega[:20_000], 0.1), (omega[20_000:], 0.2)):
        covariance = np.cov(part.T) / expected**2
        np.testing.assert_allclose(covariance, np.eye(3), atol=5 * np.sqrt(2 / 20_000))


def test_wide_steps_are_uniform_in_the_ball():
    """As std grows the density tends to that of a uniform rotation vector, not of a rotation."""
    t = np.array([0.1, 1, 3])
    expected = np.log(8 * np.pi**2 * t**2 / (2 - 2 * np.cos(t)) / (4 / 3 * np.pi**4))
    np.testing.assert_allclose(log_tangent_normal(t, 1e4), expected, atol=1e-6)

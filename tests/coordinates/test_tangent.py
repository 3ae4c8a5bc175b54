import numpy as np
import pytest
from scipy.integrate import quad

from napari_hypermol.coordinates.rotations import angles_between, turned
from napari_hypermol.coordinates.tangent import (
    log_tangent_normal,
    random_rotations,
    tangent_normal,
)


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
    angles = angles_between(turned(np.eye(3), tangent_normal(rng, std, n)), np.eye(3))
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

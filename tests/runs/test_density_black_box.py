import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from black_boxes import Dot
from contracts.black_box import BlackBoxContract
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.errors import BlackBoxError
from napari_hypermol.molecules.support import Ball
from napari_hypermol.runs.density_black_box import DensityBlackBox

THETA = np.array([2.0, -1.0, 0.5, 3.0, 1.0, -2.0])
DOT = Dot(24)


def density(theta, r, state):
    """The dot's density: its mass is 60."""
    place = theta[:3] + (state[0] - 0.5) * theta[3:]
    peak = DOT.mass / (np.sqrt(2 * np.pi) * DOT.width) ** 3
    return peak * np.exp(-((r - place) ** 2).sum(axis=1) / (2 * DOT.width**2))


def density_adjoint(theta, values, r, state):
    place = theta[:3] + (state[0] - 0.5) * theta[3:]
    by_place = (values * density(theta, r, state)) @ (r - place) / DOT.width**2
    return np.concatenate([by_place, (state[0] - 0.5) * by_place])


def boxed(**changes):
    members = {"density": density, "log_prior": DOT.log_prior, "box_size": 24, "dims": 1,
               "n_coefficients": 6} | changes  # fmt: skip
    return DensityBlackBox(**members)


class TestWithAdjoint(BlackBoxContract):
    @pytest.fixture
    def molecule(self):
        return boxed(density_adjoint=density_adjoint)

    @pytest.fixture
    def theta(self):
        return THETA


class TestByDifferences(TestWithAdjoint):
    @pytest.fixture
    def molecule(self):
        return boxed()


@pytest.mark.parametrize("support", [None, Ball((1.6, -0.7, 0.2), 8.0)])
def test_slices_of_a_gaussian(rng, support):
    samples = fourier_samples(24, 6)
    rotations = Rotation.random(4, rng=rng).as_matrix()
    states = np.array([[0.2], [0.8], [0.2], [0.5]])
    found = boxed(support=support).slices(THETA, rotations, states, samples)
    expected = DOT.slices(THETA, rotations, states, samples)
    # interpolation 1 %; a Gaussian of 1.5 voxels has a little beyond the edges of the ball
    np.testing.assert_allclose(found, expected, atol=0.015 * abs(expected).max())


def test_gradient_of_a_gaussian(rng):
    samples = fourier_samples(24, 6)
    rotations = Rotation.random(4, rng=rng).as_matrix()
    states = rng.uniform(size=(4, 1))
    values = DOT.slices(THETA + 0.3, rotations, states, samples)
    expected = DOT.slices_adjoint(THETA, values, rotations, states, samples)
    for molecule in (boxed(), boxed(density_adjoint=density_adjoint)):
        found = molecule.slices_adjoint(THETA, values, rotations, states, samples)
        np.testing.assert_allclose(found, expected, atol=0.03 * abs(expected).max())


def test_one_density_for_each_state_and_theta(rng):
    asked = []

    def counted(theta, r, state):
        asked.append((tuple(theta), tuple(state)))
        return density(theta, r, state)

    molecule, samples = boxed(density=counted), fourier_samples(24, 6)
    rotations = Rotation.random(6, rng=rng).as_matrix()
    states = np.repeat([[0.25], [0.75]], 3, axis=0)
    for theta in (THETA, THETA, THETA + 1):
        molecule.slices(theta, rotations, states, samples)
    assert len(asked) == len(set(asked)) == 4


def test_nothing_to_tell_states_apart(rng):
    """No state coordinates: the density gets an empty state."""
    still = boxed(dims=0, density=lambda theta, r, state: density(theta, r, np.array([0.5])))
    samples = fourier_samples(24, 6)
    found = still.slices(THETA, np.eye(3)[None], np.zeros((1, 0)), samples)
    expected = DOT.slices(THETA, np.eye(3)[None], np.full((1, 1), 0.5), samples)
    np.testing.assert_allclose(found, expected, atol=0.015 * abs(expected).max())


@pytest.mark.parametrize(
    "wrong", [lambda t, r, s: np.zeros(3), lambda t, r, s: density(t, r, s) * 1j]
)
def test_wrong_densities_are_refused(wrong):
    molecule = boxed(density=wrong)
    with pytest.raises(BlackBoxError, match=r"density returned .* expected real numbers of shape"):
        molecule.slices(THETA, np.eye(3)[None], np.zeros((1, 1)), fourier_samples(24, 6))

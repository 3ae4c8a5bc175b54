"""What every prior of a particle's latents promises; subclass it, give `prior` and `values`."""

import pickle

import numpy as np
import pytest
from scipy.special import logsumexp


class ParticlePriorContract:
    """Log density (n,) and gradient of values (n, ...)."""

    @pytest.fixture
    def prior(self):
        raise NotImplementedError

    @pytest.fixture
    def values(self):
        raise NotImplementedError

    def moved(self, values, step):
        """Values after a step (n, ...); rotations need their own."""
        return values + step

    def tangent_shape(self, values):
        return values.shape

    def test_shape(self, prior, values):
        assert prior.log_density(values).shape == (len(values),)
        gradient = prior.gradient(values)
        assert gradient.shape == self.tangent_shape(values)
        assert gradient.dtype == prior.log_density(values).dtype == np.float64

    def test_gradient_is_the_difference_quotient(self, prior, values):
        gradient = prior.gradient(values).reshape(len(values), -1)
        step = 1e-5
        for axis in range(gradient.shape[1]):
            move = np.zeros_like(gradient)
            move[:, axis] = step
            move = move.reshape(self.tangent_shape(values))
            above = prior.log_density(self.moved(values, move))
            below = prior.log_density(self.moved(values, -move))
            # central difference: step^2 of the third derivative, and rounding / step
            np.testing.assert_allclose(
                (above - below) / (2 * step), gradient[:, axis], rtol=1e-5, atol=1e-6
            )

    def test_float32_values(self, prior, values):
        single = values.astype(np.float32)
        # rounding of the values, 1e-7, times the slope of the log density
        tolerance = 1e-5 * (1 + abs(prior.gradient(values)).max())
        np.testing.assert_allclose(
            prior.log_density(single), prior.log_density(values), atol=tolerance
        )

    def test_pickles(self, prior, values):
        again = pickle.loads(pickle.dumps(prior))
        np.testing.assert_array_equal(again.log_density(values), prior.log_density(values))


class StatePriorContract(ParticlePriorContract):
    """A density on [0, 1]^d, and probabilities on a grid."""

    DIMS = 1

    @pytest.fixture
    def values(self, rng):
        return rng.uniform(0.05, 0.95, size=(50, self.DIMS))

    def grid(self, n):
        axis = (np.arange(n) + 0.5) / n
        return np.stack(np.meshgrid(*[axis] * self.DIMS, indexing="ij"), axis=-1).reshape(
            -1, self.DIMS
        )

    def test_density_integrates_to_one(self, prior):
        grid = self.grid(400 if self.DIMS == 1 else 80)
        # midpoint rule; a histogram's interpolation is normalised to second order of its step
        assert np.exp(prior.log_density(grid)).mean() == pytest.approx(1, abs=self.INTEGRAL)

    INTEGRAL = 1e-3

    def test_grid_is_normalised_and_proportional_to_the_density(self, prior):
        grid = self.grid(11)
        table = prior.log_prior_on(grid)
        assert table.shape == (len(grid),)
        assert logsumexp(table) == pytest.approx(0, abs=1e-12)
        density = prior.log_density(grid)
        np.testing.assert_allclose(table - table[0], density - density[0], atol=1e-10)

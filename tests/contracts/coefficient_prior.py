"""What every prior of the coefficients promises; subclass, give `prior` and `coefficients`."""

import pickle

import numpy as np
import pytest


class CoefficientPriorContract:
    """Log density, gradient and curvature of coefficients (q, k)."""

    IS_MAJORISED = True  # the parabola lies below everywhere, not only around its point
    DATA_PRECISION = 1.0

    @pytest.fixture
    def prior(self):
        raise NotImplementedError

    @pytest.fixture
    def coefficients(self):
        raise NotImplementedError

    def test_gradient_is_the_difference_quotient(self, prior, coefficients, rng):
        size = np.sqrt((coefficients**2).mean())
        gradient = prior.gradient(coefficients)
        assert np.linalg.norm(gradient) > 0
        for _ in range(3):
            direction = rng.normal(size=coefficients.shape)
            # along the gradient too, where the quotient is far from rounding
            direction += gradient * (np.linalg.norm(direction) / np.linalg.norm(gradient))
            step = 1e-5 * size
            above = prior.log_density(coefficients + step * direction)
            below = prior.log_density(coefficients - step * direction)
            expected = (gradient * direction).sum()
            # step^2 of curvature, and kinks of second derivatives that the step crosses
            np.testing.assert_allclose((above - below) / (2 * step), expected, rtol=1e-4)

    def test_keeps_the_precision_of_the_coefficients(self, prior, coefficients):
        single = coefficients.astype(np.float32)
        for gives in (prior.gradient, prior.curvature(coefficients)):
            double = gives(coefficients)
            assert double.dtype == np.float64
            assert double.shape == coefficients.shape
            found = gives(single)
            assert found.dtype == np.float32
            # sums of thousands of float32 terms, some of which cancel
            np.testing.assert_allclose(found, double, atol=1e-5 * abs(double).max())
        expected = prior.log_density(coefficients)
        assert isinstance(prior.log_density(single), float)
        np.testing.assert_allclose(prior.log_density(single), expected, rtol=1e-5)

    def test_curvature_is_linear_symmetric_and_positive(self, prior, coefficients, rng):
        apply = prior.curvature(coefficients)
        x, y = rng.normal(size=(2, *coefficients.shape))
        scale = np.linalg.norm(apply(x)) + np.linalg.norm(apply(y))
        assert scale > 0
        np.testing.assert_allclose(
            apply(2 * x - 3 * y), 2 * apply(x) - 3 * apply(y), atol=1e-10 * scale
        )
        size = scale * np.linalg.norm(x)
        np.testing.assert_allclose((y * apply(x)).sum(), (x * apply(y)).sum(), atol=1e-10 * size)
        for _ in range(5):
            z = rng.normal(size=coefficients.shape)
            assert (z * apply(z)).sum() >= -1e-10 * size

    def test_parabola_lies_below(self, prior, coefficients, rng):
        start, slope = prior.log_density(coefficients), prior.gradient(coefficients)
        apply = prior.curvature(coefficients)
        size = np.sqrt((coefficients**2).mean())
        for step in (0.01, 0.1, 1, 10) if self.IS_MAJORISED else (0.01, 0.1):
            for _ in range(4):
                x = step * size * rng.normal(size=coefficients.shape)
                parabola = start + (slope * x).sum() - 0.5 * (x * apply(x)).sum()
                slack = 1e-9 * (abs(start) + abs(parabola))
                assert prior.log_density(coefficients + x) >= parabola - slack

    def test_solves_never_lower_the_log_density(self, prior, coefficients, rng):
        """With data of known precision; each solve is exact, by a dense matrix."""
        data = coefficients + rng.normal(size=coefficients.shape) * coefficients.std()
        x = data.copy()

        def log_posterior(x):
            return prior.log_density(x) - 0.5 * self.DATA_PRECISION * ((x - data) ** 2).sum()

        before = log_posterior(x)
        for _ in range(3):
            apply = prior.curvature(x)
            unit = np.eye(x.size).reshape(-1, *x.shape)
            matrix = np.stack([apply(u).ravel() for u in unit])
            matrix += self.DATA_PRECISION * np.eye(x.size)
            right = self.DATA_PRECISION * data + apply(x) + prior.gradient(x)
            x = np.linalg.solve(matrix, right.ravel()).reshape(x.shape)
            after = log_posterior(x)
            assert after >= before - 1e-9 * abs(before)
            before = after
        assert after > log_posterior(data)  # and they do raise it

    def test_pickles(self, prior, coefficients):
        again = pickle.loads(pickle.dumps(prior))
        assert again.log_density(coefficients) == prior.log_density(coefficients)


class QuadraticPriorContract(CoefficientPriorContract):
    """The log density is -x . N x / 2, and its parabola is itself."""

    def test_quadratic_is_its_normal_operator(self, prior, coefficients, rng):
        assert prior.is_quadratic
        apply = prior.curvature(rng.normal(size=coefficients.shape))
        expected = -0.5 * (coefficients * apply(coefficients)).sum()
        np.testing.assert_allclose(prior.log_density(coefficients), expected, rtol=1e-10)
        np.testing.assert_allclose(prior.gradient(coefficients), -apply(coefficients), rtol=1e-10)

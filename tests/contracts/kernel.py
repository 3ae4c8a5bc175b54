"""What every kernel promises; subclass it, give `begin` and `step`, and say how to break it.

After emcee's `_test_normal`: every kernel must find the known moments of one target, and the same
assertion must fail for a wrong target and for a kernel that was broken on purpose.

Tolerances. The chains are independent, so the scatter of their own means is the standard error of
the grand mean, whatever the correlation along a chain: the effective sample size is in it. An error
is counted in those standard errors; of some 20 numbers the largest exceeds 4.5 once in 7000 seeds.
"""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from napari_hypermol.coordinates.rotations import angles_between
from napari_hypermol.coordinates.tangent import random_rotations
from napari_hypermol.errors import DensityError

LARGEST_SCORE = 4.5


def scores(samples, expected):
    """Errors of the means of samples (steps, n, m) in standard errors; expected (m,)."""
    means = samples.mean(axis=0)
    error = means.std(axis=0, ddof=1) / np.sqrt(len(means))
    return (means.mean(axis=0) - expected) / (error + 1e-12)


def effective_size(samples, variance):
    """Independent draws that would give means as good as those of samples (steps, n, m)."""
    means = samples.mean(axis=0)
    return variance / (means.var(axis=0, ddof=1) / len(means))


class Gaussian:
    """A correlated normal in d dimensions, the same for all chains."""

    def __init__(self, mean, covariance):
        self.mean, self.covariance = mean, covariance
        self.precision = np.linalg.inv(covariance)

    def log_density(self, value):
        away = value - self.mean
        return -0.5 * ((away @ self.precision) * away).sum(axis=1)

    def log_density_grad(self, value):
        return self.log_density(value), -(value - self.mean) @ self.precision

    def statistics(self, value):
        """Mean, products, and shares below the quartiles of each coordinate; (n, m)."""
        away = value - self.mean
        rows, columns = np.triu_indices(value.shape[1])
        std = np.sqrt(np.diag(self.covariance))
        below = [away < z * std for z in norm.ppf([0.25, 0.75])]
        return np.concatenate([away, away[:, rows] * away[:, columns], *below], axis=1)

    def expected(self):
        d = len(self.mean)
        products = self.covariance[np.triu_indices(d)]
        return np.concatenate([np.zeros(d), products, np.full(d, 0.25), np.full(d, 0.75)])


class Near:
    """Rotations of density exp(kappa tr(R0^T R)) about a reference of each chain's own."""

    def __init__(self, reference, kappa):
        self.reference, self.kappa = reference, kappa

    def log_density(self, value):
        return self.kappa * (value * self.reference).sum(axis=(1, 2))

    def log_density_grad(self, value):
        """d/dt tr(R0^T exp([tw]_x) R) = tr([w]_x M), M = R R0^T."""
        m = value @ np.swapaxes(self.reference, 1, 2)
        turn = np.stack(
            [m[:, 1, 2] - m[:, 2, 1], m[:, 2, 0] - m[:, 0, 2], m[:, 0, 1] - m[:, 1, 0]], axis=1
        )
        return self.log_density(value), self.kappa * turn

    def statistics(self, value):
        """Angle and its cosine, the axis times its sine, squares; (n, m)."""
        m = np.swapaxes(self.reference, 1, 2) @ value
        angle = angles_between(value, self.reference)
        axis = np.stack(
            [m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]], axis=1
        )
        return np.concatenate([angle[:, None], np.cos(angle)[:, None], axis, axis**2], axis=1)

    def expected(self):
        """By quadrature over the angle: the uniform measure is (1 - cos t) / pi dt."""

        def mean(function):
            def weighted(t):
                return function(t) * (1 - np.cos(t)) * np.exp(2 * self.kappa * (np.cos(t) - 1))

            return quad(weighted, 0, np.pi)[0]

        total = mean(lambda t: 1)
        angle, cosine = (mean(f) / total for f in (lambda t: t, np.cos))
        square = 4 * mean(lambda t: np.sin(t) ** 2) / total / 3
        return np.array([angle, cosine, 0, 0, 0, square, square, square])


class DrawContract:
    """Whatever gives draws: the moments of a known target, and not those of another one."""

    N_CHAINS = 200
    N_WARM_UP = 100
    N_STEPS = 300
    STEP_SIZE = 0.5
    SMALLEST_SIZE = 2000  # effective draws of any statistic: errors of 2 % of a deviation

    @pytest.fixture
    def target(self):
        raise NotImplementedError

    @pytest.fixture
    def wrong_target(self):
        raise NotImplementedError

    @pytest.fixture
    def values(self, target):
        """Where n chains begin: not where they belong."""
        raise NotImplementedError

    def begin(self, values, target):
        """A chain at values."""
        raise NotImplementedError

    def step(self, rng, chain, target, step_size):
        """One call of the kernel."""
        raise NotImplementedError

    def value(self, chain):
        return chain.value

    def run(self, rng, values, target, step_size=None, n_steps=None):
        """Statistics after the warm-up, (steps, n, m)."""
        chain, kept = self.begin(values, target), []
        for i in range(self.N_WARM_UP + (n_steps or self.N_STEPS)):
            chain, _ = self.step(rng, chain, target, step_size or self.STEP_SIZE)
            if i >= self.N_WARM_UP:
                kept.append(target.statistics(self.value(chain)))
        return np.array(kept)

    def test_finds_the_moments(self, rng, target, values):
        samples = self.run(rng, values, target)
        assert abs(scores(samples, target.expected())).max() < LARGEST_SCORE
        size = effective_size(samples, samples.reshape(-1, samples.shape[2]).var(axis=0))
        assert size.min() > self.SMALLEST_SIZE, "too few for the assertion above to mean much"

    def test_wrong_target_is_noticed(self, rng, target, wrong_target, values):
        samples = self.run(rng, values, wrong_target)
        # statistics are taken about the wrong target's centre: compare shapes, not places
        assert abs(scores(samples, target.expected())).max() > 2 * LARGEST_SCORE

    def test_same_seed_same_chain(self, target, values):
        one, two, other = (
            self.run(np.random.default_rng(seed), values, target, n_steps=3) for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(one, two)
        assert not np.array_equal(one, other)

    def test_chain_that_came_in_is_left_alone(self, rng, target, values):
        chain = self.begin(values, target)
        before = [np.copy(part) for part in chain] if isinstance(chain, tuple) else chain.copy()
        self.step(rng, chain, target, self.STEP_SIZE)
        for part, copy in zip(chain, before, strict=True):
            np.testing.assert_array_equal(part, copy)


class KernelContract(DrawContract):
    """Kernels that accept or reject: metropolis, mala, hmc."""

    TINY_STEP = 1e-6
    HAS_SMALL_STEPS = True

    def break_it(self, monkeypatch):
        """Take something away without which the equilibrium is wrong."""
        raise NotImplementedError

    def test_broken_kernel_is_noticed(self, rng, target, values, monkeypatch):
        self.break_it(monkeypatch)
        samples = self.run(rng, values, target)
        assert abs(scores(samples, target.expected())).max() > 2 * LARGEST_SCORE

    def test_shapes(self, rng, target, values):
        chain, info = self.step(rng, self.begin(values, target), target, self.STEP_SIZE)
        n = len(values)
        assert self.value(chain).shape == values.shape
        assert chain.log_density.shape == info.is_accepted.shape == info.acceptance_rate.shape
        assert chain.log_density.shape == (n,)
        assert info.is_accepted.dtype == np.bool_
        assert ((info.acceptance_rate >= 0) & (info.acceptance_rate <= 1)).all()

    def test_tiny_steps_are_accepted(self, rng, target, values):
        if not self.HAS_SMALL_STEPS:
            return
        chain = self.begin(values, target)
        for _ in range(10):
            chain, info = self.step(rng, chain, target, self.TINY_STEP)
            assert info.acceptance_rate.mean() > 0.99

    def test_stored_log_density_is_that_of_the_value(self, rng, target, values):
        chain = self.begin(values, target)
        for _ in range(20):
            chain, _ = self.step(rng, chain, target, self.STEP_SIZE)
        again = target.log_density(chain.value)
        np.testing.assert_allclose(chain.log_density, again, rtol=1e-10, atol=1e-10)

    def test_rejected_chains_stand_still_and_accepted_ones_move(self, rng, target, values):
        chain = self.begin(values, target)
        for _ in range(5):
            before = chain
            chain, info = self.step(rng, chain, target, self.STEP_SIZE)
            same = (chain.value == before.value).reshape(len(values), -1).all(axis=1)
            np.testing.assert_array_equal(same, ~info.is_accepted)

    def test_acceptance_is_as_often_as_reported(self, rng, target, values):
        chain, accepted, rates = self.begin(values, target), 0, []
        for _ in range(self.N_STEPS):
            chain, info = self.step(rng, chain, target, self.STEP_SIZE)
            accepted += info.is_accepted.sum()
            rates.append(info.acceptance_rate)
        rates = np.array(rates)
        error = np.sqrt((rates * (1 - rates)).sum())
        assert 0.1 < rates.mean() < 0.999
        assert abs(accepted - rates.sum()) < LARGEST_SCORE * error

    def test_not_a_number_is_an_error_that_says_which_chain(self, rng, target, values):
        chain = self.begin(values, target)
        with pytest.raises(DensityError, match=r"log density of chain 3 \(1 of"):
            self.step(rng, chain, Spoilt(target, 3, np.nan), self.STEP_SIZE)
        with pytest.raises(DensityError, match=r"log density of chain 3 \(1 of"):
            self.begin(values, Spoilt(target, 3, np.nan))

    def test_outside_of_the_support_is_rejected(self, rng, target, values):
        chain = self.begin(values, target)
        after, info = self.step(rng, chain, Spoilt(target, 3, -np.inf), self.STEP_SIZE)
        assert info.acceptance_rate[3] == 0
        np.testing.assert_array_equal(after.value[3], chain.value[3])
        with pytest.raises(DensityError, match=r"chain 3 \(1 of .* starts where"):
            self.begin(values, Spoilt(target, 3, -np.inf))


class GradientKernelContract(KernelContract):
    """Kernels that carry a gradient: mala, hmc."""

    def test_stored_gradient_is_that_of_the_value(self, rng, target, values):
        chain = self.begin(values, target)
        for _ in range(20):
            chain, _ = self.step(rng, chain, target, self.STEP_SIZE)
        again = target.log_density_grad(chain.value)[1]
        np.testing.assert_allclose(chain.gradient, again, rtol=1e-10, atol=1e-10)

    def test_gradient_that_is_not_finite_is_an_error(self, rng, target, values):
        with pytest.raises(DensityError, match=r"gradient of chain 3"):
            self.step(rng, self.begin(values, target), Spoilt(target, 3, 0.0), self.STEP_SIZE)


class Spoilt:
    """A target whose chain i has some other log density, and no gradient."""

    def __init__(self, target, i, log_density):
        self.target, self.i, self.there = target, i, log_density

    def log_density(self, value):
        return self.log_density_grad(value)[0]

    def log_density_grad(self, value):
        log_density, gradient = (x.copy() for x in self.target.log_density_grad(value))
        log_density[self.i] = self.there
        gradient[self.i] = np.nan
        return log_density, gradient


class GaussianTargets:
    """Fixtures: a normal with correlation 0.7 and deviations 0.5 to 1.5, and one not quite it."""

    @pytest.fixture
    def target(self):
        std, mean = np.array([0.5, 1.0, 1.5]), np.array([1.0, -2.0, 0.5])
        correlation = np.array([[1, 0.7, 0], [0.7, 1, -0.3], [0, -0.3, 1]])
        return Gaussian(mean, correlation * np.outer(std, std))

    @pytest.fixture
    def wrong_target(self, target):
        """Deviations 10 % larger."""
        return Gaussian(target.mean, 1.21 * target.covariance)

    @pytest.fixture
    def values(self, target):
        return np.random.default_rng(5).normal(size=(self.N_CHAINS, 3)) * 0.3


class RotationTargets:
    """Fixtures: rotations about 50 degrees from each chain's reference, and a wrong density."""

    KAPPA = 1.5

    @pytest.fixture
    def target(self):
        return Near(random_rotations(np.random.default_rng(6), self.N_CHAINS), self.KAPPA)

    @pytest.fixture
    def wrong_target(self, target):
        return Near(target.reference, 1.25 * target.kappa)

    @pytest.fixture
    def values(self, target):
        return target.reference.copy()

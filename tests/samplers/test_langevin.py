import numpy as np
import pytest

from contracts.kernel import LARGEST_SCORE, DrawContract, GaussianTargets, scores
from napari_hypermol.errors import DensityError, RecipeError
from napari_hypermol.samplers.langevin import DecreasingSteps, LangevinChain, langevin
from napari_hypermol.samplers.preconditioner import dense

N_DATA, N_BATCH = 40, 10


class TestLangevin(GaussianTargets, DrawContract):
    """Batches of 10 of 40 data, each worth 1/40 of the log density; means weighted by the steps.

    With the covariance as preconditioner the error of a step is epsilon / 2 of the variance for
    the discretisation and as much for the batches here: 1 %, below the standard errors.
    """

    N_CHAINS = 400
    N_WARM_UP = 300
    N_STEPS = 2000
    STEP_SIZE = 0.97  # epsilon from 0.02 to 0.014
    SMALLEST_SIZE = 4000

    def begin(self, values, target):
        return LangevinChain(values)

    def batch_gradient(self, rng, target, value):
        # data scattered so that a batch's gradient has about the precision as its covariance
        scatter = np.random.default_rng(1).normal(size=(N_DATA, 3))
        scatter -= scatter.mean(axis=0)
        scatter *= np.sqrt(N_BATCH / N_DATA**2)
        root = np.linalg.cholesky(target.precision)
        batch = rng.integers(N_DATA, size=(len(value), N_BATCH))
        noise = N_DATA / N_BATCH * scatter[batch].sum(axis=1) @ root.T
        return target.log_density_grad(value)[1] + noise

    def step(self, rng, chain, target, step_size):
        def gradient(value):
            return self.batch_gradient(rng, target, value)

        steps = DecreasingSteps(step_size, 2000.0, 0.51)
        return langevin(rng, chain, gradient, steps, dense(target.covariance))

    def run(self, rng, values, target, step_size=None, n_steps=None):
        samples = super().run(rng, values, target, step_size, n_steps)
        steps = DecreasingSteps(step_size or self.STEP_SIZE, 2000.0, 0.51)
        weights = np.array([steps.at(self.N_WARM_UP + i) for i in range(len(samples))])
        return samples * (weights / weights.mean())[:, None, None]

    def test_large_constant_steps_are_noticed(self, rng, target, values):
        """Nothing is rejected, so steps that do not decrease have another equilibrium."""

        def constant(rng, chain, target, step_size):
            steps = DecreasingSteps(0.3, gamma=0)
            return langevin(
                rng, chain, lambda x: target.log_density_grad(x)[1], steps, dense(target.covariance)
            )

        self.step, self.N_STEPS = constant, 500
        samples = DrawContract.run(self, rng, values, target)
        assert abs(scores(samples, target.expected())).max() > 2 * LARGEST_SCORE


def test_steps_decrease_as_said(rng):
    steps = DecreasingSteps(0.5, 3.0, 0.7)
    chain, found = LangevinChain(np.zeros((2, 3))), []
    for _ in range(4):
        chain, info = langevin(rng, chain, np.zeros_like, steps)
        found.append(info.step_size)
    np.testing.assert_allclose(found, 0.5 * (3.0 + np.arange(4)) ** -0.7)
    assert chain.n_steps == 4
    np.testing.assert_array_equal(info.gradient_norm, 0)


@pytest.mark.parametrize(("a", "b", "gamma"), [(0, 1, 0.6), (1, 0, 0.6), (1, 1, 0.5), (1, 1, 1.1)])
def test_steps_that_do_not_converge_are_refused(a, b, gamma):
    with pytest.raises(RecipeError, match="expected a, b above 0 and gamma"):
        DecreasingSteps(a, b, gamma)


def test_gradient_that_is_not_finite_is_an_error(rng):
    gradient = np.array([[0.0, 1.0], [np.nan, 0.0]])
    with pytest.raises(DensityError, match="gradient of chain 1"):
        langevin(rng, LangevinChain(np.zeros((2, 2))), lambda x: gradient, DecreasingSteps(0.1))

import numpy as np
import pytest

from contracts.kernel import GaussianTargets, GradientKernelContract
from napari_hypermol.samplers import hmc as module
from napari_hypermol.samplers.hmc import hmc
from napari_hypermol.samplers.mala import mala, start
from napari_hypermol.samplers.metropolis import accept
from napari_hypermol.samplers.preconditioner import IDENTITY, dense


class TestHmc(GaussianTargets, GradientKernelContract):
    STEP_SIZE = 0.45
    N_LEAPS = 6

    def preconditioner(self, target):
        return IDENTITY

    def begin(self, values, target):
        return start(values, target.log_density_grad)

    def step(self, rng, chain, target, step_size):
        a = self.preconditioner(getattr(target, "target", target))
        return hmc(rng, chain, target.log_density_grad, step_size, self.N_LEAPS, a)

    def break_it(self, monkeypatch):
        """Always accepted: leapfrog does not keep the energy."""
        monkeypatch.setattr(module, "accept", lambda rng, ratio: accept(rng, 0 * ratio))


class TestHmcWithMass(TestHmc):
    """The mass is the precision of the target: all directions swing alike."""

    STEP_SIZE = 1.2
    N_LEAPS = 3

    def preconditioner(self, target):
        return dense(target.covariance)


def test_one_leap_is_a_langevin_step(rng):
    """Two formulas, one kernel: sqrt(2 epsilon) of leapfrog is epsilon of Eq. (19)."""
    root = rng.normal(size=(3, 3)) + 2 * np.eye(3)
    a = dense(root @ root.T)

    def log_density_grad(value):
        return -(value**4).sum(axis=1), -4 * value**3

    chain = start(0.5 * rng.normal(size=(40, 3)), log_density_grad)
    leap, leap_info = hmc(np.random.default_rng(7), chain, log_density_grad, 0.1, 1, a)
    # hmc draws the number of steps first
    same = np.random.default_rng(7)
    same.integers(1, 2)
    step, info = mala(same, chain, log_density_grad, 0.005, a)
    np.testing.assert_allclose(leap_info.acceptance_rate, info.acceptance_rate, rtol=1e-9)
    np.testing.assert_allclose(leap.value, step.value, rtol=1e-12)


def test_unstable_paths_are_divergent_and_rejected(rng):
    def log_density_grad(value):
        return -0.5 * (value**2).sum(axis=1), -value

    chain = start(np.ones((5, 2)), log_density_grad)
    step_size = np.array([0.1, 0.1, 2.5, 50.0, 0.1])
    after, info = hmc(rng, chain, log_density_grad, step_size, 100, jitter=0)
    np.testing.assert_array_equal(info.is_divergent, [False, False, True, True, False])
    np.testing.assert_array_equal(after.value[2:4], 1)
    assert info.n_steps == 100


def test_paths_that_leave_the_support_are_rejected(rng):
    """A uniform density on a square: a path that leaves it does not count, even if it returns."""

    def log_density_grad(value):
        inside = (abs(value) < 1).all(axis=1)
        return np.where(inside, 0.0, -np.inf), np.where(inside[:, None], 0.0, np.nan) * value

    chain = start(np.zeros((4000, 2)), log_density_grad)
    for _ in range(60):
        chain, _ = hmc(rng, chain, log_density_grad, 0.2, 4)
    counts = np.histogram(chain.value[:, 0], 5, (-1, 1))[0]
    # multinomial, deviation 25 of 800
    np.testing.assert_allclose(counts, 800, atol=4.5 * np.sqrt(4000 * 0.16))


@pytest.mark.parametrize(
    ("jitter", "counts"), [(0, {8}), (0.5, {4, 5, 6, 7, 8}), (1, set(range(1, 9)))]
)
def test_number_of_steps(rng, jitter, counts):
    def log_density_grad(value):
        return np.zeros(len(value)), np.zeros_like(value)

    chain = start(np.zeros((1, 1)), log_density_grad)
    found = {
        hmc(rng, chain, log_density_grad, 0.1, 8, jitter=jitter)[1].n_steps for _ in range(200)
    }
    assert found == counts

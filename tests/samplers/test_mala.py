import numpy as np
import pytest

from contracts.kernel import (
    LARGEST_SCORE,
    GaussianTargets,
    GradientKernelContract,
    Near,
    RotationTargets,
    scores,
)
from napari_hypermol.coordinates.rotations import turned
from napari_hypermol.coordinates.tangent import random_rotations
from napari_hypermol.samplers import mala as module
from napari_hypermol.samplers.folding import fold, unfolded
from napari_hypermol.samplers.mala import mala, rotation_mala, start
from napari_hypermol.samplers.metropolis import accept
from napari_hypermol.samplers.preconditioner import IDENTITY, dense, diagonal


class MalaContract(GradientKernelContract):
    def begin(self, values, target):
        return start(values, target.log_density_grad)


class TestMala(GaussianTargets, MalaContract):
    N_STEPS = 600
    STEP_SIZE = 0.15

    def preconditioner(self, target):
        return IDENTITY

    def step(self, rng, chain, target, step_size):
        inner = getattr(target, "target", target)
        return mala(rng, chain, target.log_density_grad, step_size, self.preconditioner(inner))

    def break_it(self, monkeypatch):
        """Always accepted: Langevin steps of a finite size have another equilibrium."""
        monkeypatch.setattr(module, "accept", lambda rng, ratio: accept(rng, 0 * ratio))

    def test_missing_hastings_ratio_is_noticed(self, rng, target, values, monkeypatch):
        monkeypatch.setattr(module, "_dot", lambda x, y: np.zeros(len(x)))
        samples = self.run(rng, values, target)
        assert abs(scores(samples, target.expected())).max() > 2 * LARGEST_SCORE


class TestPreconditionedMala(TestMala):
    """Eq. (19) with the covariance itself, by a root that is not symmetric."""

    N_STEPS = 300
    STEP_SIZE = 0.8

    def preconditioner(self, target):
        return dense(target.covariance)


class TestDiagonalMala(TestMala):
    STEP_SIZE = 0.3

    def preconditioner(self, target):
        return diagonal(np.diag(target.covariance))


class TestRotationMala(RotationTargets, MalaContract):
    STEP_SIZE = 0.15

    def step(self, rng, chain, target, step_size):
        return rotation_mala(rng, chain, target.log_density_grad, step_size)

    def break_it(self, monkeypatch):
        """No Hastings ratio."""
        monkeypatch.setattr(module, "log_tangent_normal", lambda angle, std: np.zeros(len(angle)))

    def test_missing_volume_is_noticed(self, rng, target, values, monkeypatch):
        right = module.log_tangent_normal

        def flat(angle, std):
            return right(angle, std) + 2 * np.log(np.sinc(angle / (2 * np.pi)))

        monkeypatch.setattr(module, "log_tangent_normal", flat)
        monkeypatch.setattr(self, "STEP_SIZE", 0.4)  # longer steps: the volume varies more
        monkeypatch.setattr(self, "N_STEPS", 800)
        samples = self.run(rng, values, target)
        assert abs(scores(samples, target.expected())).max() > 2 * LARGEST_SCORE

    def test_long_steps_find_the_moments_too(self, rng, target, values, monkeypatch):
        monkeypatch.setattr(self, "N_STEPS", 800)
        monkeypatch.setattr(self, "STEP_SIZE", 0.4)
        self.test_finds_the_moments(rng, target, values)


class Bent:
    """An interval with most density at one end and a circle about 0, continued to the line."""

    kinds = ("interval", "circle")

    def __init__(self, slope):
        self.slope = slope

    def on_states(self, states):
        interval, turns = states[:, 0], 2 * np.pi * states[:, 1]
        gradient = np.stack([-np.ones_like(interval), -2 * np.pi * np.sin(turns)], axis=1)
        return self.slope * (np.cos(turns) - interval), self.slope * gradient

    def log_density_grad(self, value):
        return unfolded(self.on_states, self.kinds)(value)

    def log_density(self, value):
        return self.log_density_grad(value)[0]

    def statistics(self, value):
        interval, circle = fold(value, self.kinds)[0].T
        turns = 2 * np.pi * circle
        parts = [interval, interval**2, interval < 0.1, np.cos(turns), np.sin(turns)]
        return np.stack(parts, axis=1).astype(float)

    def expected(self):
        axis = (np.arange(3000) + 0.5) / 3000
        p = np.exp(-self.slope * axis)
        turns = 2 * np.pi * axis
        around = np.exp(self.slope * np.cos(turns))
        of_interval = [(p * f).sum() / p.sum() for f in (axis, axis**2, axis < 0.1)]
        return np.array([*of_interval, (around * np.cos(turns)).sum() / around.sum(), 0])


class TestStateMala(MalaContract):
    """States whose steps are reflected at 0 and 1 or go round."""

    STEP_SIZE = 0.03

    @pytest.fixture
    def target(self):
        return Bent(1.5)

    @pytest.fixture
    def wrong_target(self):
        return Bent(2.0)

    @pytest.fixture
    def values(self):
        return np.full((self.N_CHAINS, 2), 0.9)

    def step(self, rng, chain, target, step_size):
        return mala(rng, chain, target.log_density_grad, step_size, diagonal([[2.0, 1.0]]))

    def break_it(self, monkeypatch):
        """No Hastings ratio."""
        monkeypatch.setattr(module, "_dot", lambda x, y: np.zeros(len(x)))


def test_ratio_of_proposal_densities_is_that_of_the_normals(rng):
    """The formula without inverses against Eq. (19) written out; the root is not symmetric."""
    root = rng.normal(size=(3, 3)) + 2 * np.eye(3)
    a = root @ root.T
    gradients = rng.normal(size=(2, 1, 3))
    epsilon = 0.3
    preconditioner = dense(a)._replace(apply_sqrt=lambda x: x @ root.T)

    def log_density_grad(value):
        return np.zeros(len(value)), gradients[1]

    chain = module.GradientChain(np.zeros((1, 3)), np.zeros(1), gradients[0])
    white = np.random.default_rng(3).standard_normal((1, 3))
    proposed = epsilon * gradients[0] @ a + np.sqrt(2 * epsilon) * white @ root.T

    def log_q(here, there, gradient):
        away = there - here - epsilon * gradient @ a
        return -(away @ np.linalg.inv(a) @ away.T).item() / (4 * epsilon)

    expected = log_q(proposed, 0, gradients[1]) - log_q(0, proposed, gradients[0])
    _, info = mala(np.random.default_rng(3), chain, log_density_grad, epsilon, preconditioner)
    np.testing.assert_allclose(info.acceptance_rate, np.exp(min(expected, 0)))


def test_step_size_of_each_chain(rng):
    chain = start(np.zeros((20_000, 2)), lambda x: (np.zeros(len(x)), np.ones_like(x)))
    epsilon = np.array([0.02, 0.5]).repeat(10_000)
    after, _ = mala(rng, chain, lambda x: (x.sum(axis=1), np.ones_like(x)), epsilon)
    for part in (slice(0, 10_000), slice(10_000, 20_000)):
        moved = after.value[part][after.value[part][:, 0] != 0]
        # slope 1 everywhere: drift epsilon, deviation sqrt(2 epsilon), and all are accepted
        assert moved.mean() == pytest.approx(
            epsilon[part][0], abs=5 * np.sqrt(epsilon[part][0] / 1e4)
        )
        assert moved.std() == pytest.approx(np.sqrt(2 * epsilon[part][0]), rel=0.03)


def test_flat_density_is_uniform_on_rotations(rng):
    def flat(value):
        return np.zeros(len(value)), np.zeros((len(value), 3))

    chain = start(np.repeat(random_rotations(rng, 1), 5000, axis=0), flat)
    near = Near(chain.value, 0.0)
    for _ in range(20):
        chain, info = rotation_mala(rng, chain, flat, 0.4)
        np.testing.assert_allclose(info.acceptance_rate, 1)
    assert abs(scores(near.statistics(chain.value)[None], near.expected())).max() < LARGEST_SCORE


def test_gradient_of_the_tests_target_is_the_difference_quotient(rng):
    target = Near(random_rotations(rng, 4), 1.5)
    value, omega = random_rotations(rng, 4), rng.normal(size=(4, 3))
    above, below = (target.log_density(turned(value, h * omega)) for h in (1e-5, -1e-5))
    _, gradient = target.log_density_grad(value)
    np.testing.assert_allclose((above - below) / 2e-5, (gradient * omega).sum(axis=1), rtol=1e-7)

import numpy as np
import pytest

from contracts.kernel import (
    LARGEST_SCORE,
    GaussianTargets,
    KernelContract,
    Near,
    RotationTargets,
    scores,
)
from napari_hypermol.coordinates.rotations import angles_between
from napari_hypermol.coordinates.tangent import random_rotations
from napari_hypermol.errors import ShapeError
from napari_hypermol.samplers import metropolis
from napari_hypermol.samplers.metropolis import (
    Chain,
    random_walk,
    rotation_walk,
    start,
    state_walk,
    update,
)


class WalkContract(KernelContract):
    def begin(self, values, target):
        return start(values, target.log_density)

    def break_it(self, monkeypatch):
        """Decisions at three quarters of the log ratio: a temperature."""
        right = metropolis.accept
        monkeypatch.setattr(metropolis, "accept", lambda rng, ratio: right(rng, 0.75 * ratio))


class TestRandomWalk(GaussianTargets, WalkContract):
    N_CHAINS = 400
    N_STEPS = 600
    STEP_SIZE = 0.7

    def step(self, rng, chain, target, step_size):
        return random_walk(rng, chain, target.log_density, step_size)


class TestRotationWalk(RotationTargets, WalkContract):
    STEP_SIZE = 0.8

    def step(self, rng, chain, target, step_size):
        scales = np.array([1.0, 0.5, 0.1]) * step_size
        return rotation_walk(rng, chain, target.log_density, scales)


class Mixed:
    """An interval with most density at one end, a circle about 0, three classes; independent."""

    kinds = ("interval", "circle", "class")

    def __init__(self, slope):
        self.slope = slope

    def log_density(self, value):
        interval, circle, label = value.T
        classes = np.log([0.2, 0.5, 0.3])[np.minimum((3 * label).astype(int), 2)]
        there = self.slope * (interval - np.cos(2 * np.pi * circle)) - classes
        return np.where(((value >= 0) & (value <= 1)).all(axis=1), -there, -np.inf)

    def log_density_grad(self, value):
        return self.log_density(value), np.zeros_like(value)

    def statistics(self, value):
        interval, circle, label = value.T
        turns = 2 * np.pi * circle
        parts = [interval, interval**2, interval < 0.1, np.cos(turns), np.sin(turns), label > 2 / 3]
        return np.stack(parts, axis=1).astype(float)

    def expected(self):
        """By the midpoint rule on each coordinate, all three at once."""
        axis = (np.arange(3000) + 0.5) / 3000
        interval = np.exp(-self.slope * axis)
        circle = np.exp(self.slope * np.cos(2 * np.pi * axis))
        along = [interval, interval, interval, circle, circle]
        functions = [axis, axis**2, axis < 0.1, np.cos(2 * np.pi * axis), np.sin(2 * np.pi * axis)]
        pairs = zip(along, functions, strict=True)
        return np.array([*((p * f).sum() / p.sum() for p, f in pairs), 0.3])


class TestStateWalk(WalkContract):
    N_STEPS = 500
    STEP_SIZE = 0.3
    HAS_SMALL_STEPS = False  # a class is drawn afresh

    @pytest.fixture
    def target(self):
        return Mixed(1.5)

    @pytest.fixture
    def wrong_target(self):
        return Mixed(2.0)

    @pytest.fixture
    def values(self):
        return np.full((self.N_CHAINS, 3), 0.9)

    def step(self, rng, chain, target, step_size):
        return state_walk(rng, chain, target.log_density, step_size, Mixed.kinds)

    def test_tiny_steps_of_continuous_states_are_accepted(self, rng):
        chain = start(np.full((50, 1), 0.9), lambda x: -3 * x[:, 0])
        _, info = state_walk(rng, chain, lambda x: -3 * x[:, 0], 1e-6, ("interval",))
        assert info.acceptance_rate.min() > 0.99

    def test_clipped_instead_of_reflected_is_noticed(self, rng, target, values):
        def clipped(rng, chain, target, step_size):
            proposed = chain.value + step_size * rng.normal(size=chain.value.shape)
            proposed[:, 0] = np.clip(proposed[:, 0], 0, 1)
            proposed[:, 1:] %= 1
            return update(rng, chain, proposed, target.log_density)

        self.step = clipped
        samples = self.run(rng, values, target)
        assert abs(scores(samples, target.expected())).max() > 2 * LARGEST_SCORE

    @pytest.mark.parametrize("step_size", [0.1, 1.0, 30.0])
    def test_flat_density_stays_flat(self, rng, step_size):
        """Steps of any length from uniform states to uniform states, all accepted."""
        chain = start(rng.random((20_000, 3)), lambda x: np.zeros(len(x)))
        for _ in range(3):
            chain, info = state_walk(rng, chain, chain_zero, step_size, Mixed.kinds)
        assert info.is_accepted.all()
        counts = [np.histogram(column, 10, (0, 1))[0] for column in chain.value.T]
        # multinomial: deviation 42 of 2000, the largest of 30 below 4.5 of them
        np.testing.assert_allclose(counts, 2000, atol=LARGEST_SCORE * np.sqrt(20_000 * 0.09))

    def test_states_of_another_dimension_are_refused(self, rng):
        chain = start(np.zeros((4, 2)), chain_zero)
        with pytest.raises(ShapeError, match=r"expected \(n, 1\)"):
            state_walk(rng, chain, chain_zero, 0.1, ("circle",))


def chain_zero(value):
    return np.zeros(len(value))


def test_flat_density_is_uniform_on_rotations(rng):
    """From one rotation all chains spread out, and everything is accepted."""
    chain = start(np.repeat(random_rotations(rng, 1), 5000, axis=0), chain_zero)
    first = chain.value
    for _ in range(20):
        chain, info = rotation_walk(rng, chain, chain_zero, (1.0, 0.3))
        assert info.is_accepted.all()
    flat = Near(first, 0.0)
    assert abs(scores(flat.statistics(chain.value)[None], flat.expected())).max() < LARGEST_SCORE


def test_rotations_stay_rotations(rng):
    chain = start(random_rotations(rng, 3), chain_zero)
    for _ in range(2000):
        chain, _ = rotation_walk(rng, chain, chain_zero, 0.5)
    # rounding adds up as a random walk: 1e-16 sqrt(2000), ten times over
    product = chain.value @ np.swapaxes(chain.value, 1, 2)
    np.testing.assert_allclose(product, [np.eye(3)] * 3, atol=5e-14)


def test_scales_of_each_chain(rng):
    chain = start(np.repeat(np.eye(3)[None], 4000, axis=0), chain_zero)
    scales = np.array([[0.01, 0.02], [0.2, 0.4]]).repeat(2000, axis=0)
    after, _ = rotation_walk(rng, chain, chain_zero, scales)
    squares = angles_between(after.value, chain.value) ** 2
    # mean square length of a mixture of normals; five errors of 2000 draws
    expected = 3 * (scales**2).mean(axis=1)
    for part in (slice(0, 2000), slice(2000, 4000)):
        assert squares[part].mean() == pytest.approx(expected[part][0], rel=5 * 1.1 / np.sqrt(2000))


def test_step_size_per_chain_and_per_coordinate(rng):
    chain = start(np.zeros((20_000, 2)), chain_zero)
    per_chain = np.array([0.1, 1.0]).repeat(10_000)
    after, _ = random_walk(rng, chain, chain_zero, per_chain)
    assert after.value[:10_000].std() == pytest.approx(0.1, rel=0.03)
    assert after.value[10_000:].std() == pytest.approx(1.0, rel=0.03)
    after, _ = random_walk(rng, chain, chain_zero, [[0.1, 1.0]])
    np.testing.assert_allclose(after.value.std(axis=0), [0.1, 1.0], rtol=0.03)


def test_acceptance_is_the_hastings_ratio(rng):
    """Eq. (15) and (16), number by number."""
    log_density = np.log([0.2, 0.5])
    chain = Chain(np.zeros(2), log_density)
    ratio = np.log([0.3, 0.25])
    _, info = update(rng, chain, np.ones(2), lambda x: np.log([0.4, 1.5]), ratio)
    np.testing.assert_allclose(info.acceptance_rate, [0.4 / 0.2 * 0.3, 1.5 / 0.5 * 0.25])

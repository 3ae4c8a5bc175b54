import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import beta

from contracts.particle_prior import StatePriorContract
from napari_hypermol.errors import RecipeError, ShapeError
from napari_hypermol.posterior.state_priors import (
    BetaState,
    HistogramState,
    UniformState,
    updated_probabilities,
)


class TestUniformState(StatePriorContract):
    DIMS = 2

    @pytest.fixture
    def prior(self):
        return UniformState()


class TestBetaState(StatePriorContract):
    @pytest.fixture
    def prior(self):
        return BetaState(2.0, 3.5)

    def test_is_scipys(self, prior, values):
        expected = beta.logpdf(values[:, 0], 2.0, 3.5)
        np.testing.assert_allclose(prior.log_density(values), expected)


class TestBetaStateOfTwoCoordinates(StatePriorContract):
    DIMS = 2

    @pytest.fixture
    def prior(self):
        return BetaState(1.5, 2.0)


class TestHistogramState(StatePriorContract):
    INTEGRAL = 0.05  # exp of a line between bins that differ by a factor of 3

    @pytest.fixture
    def prior(self, rng):
        table = rng.uniform(0.5, 1.5, size=8)
        return HistogramState(np.log(table / table.sum()))

    def test_on_its_own_grid_it_is_the_table(self, prior):
        grid = self.grid(prior.n_states)
        np.testing.assert_allclose(prior.log_prior_on(grid), prior.log_probabilities.ravel())
        density = np.exp(prior.log_probabilities.ravel()) * len(grid)
        np.testing.assert_allclose(np.exp(prior.log_density(grid)), density)

    def test_is_constant_beyond_the_outer_midpoints(self, prior):
        ends = np.stack([np.zeros(self.DIMS), np.ones(self.DIMS)])
        table = prior.log_probabilities + self.DIMS * np.log(prior.n_states)
        corners = table[(0,) * self.DIMS], table[(-1,) * self.DIMS]
        np.testing.assert_allclose(prior.log_density(ends), corners)
        np.testing.assert_array_equal(prior.gradient(ends), 0)


class TestHistogramStateOfTwoCoordinates(TestHistogramState):
    DIMS = 2

    @pytest.fixture
    def prior(self, rng):
        table = rng.uniform(0.5, 1.5, size=(6, 6))
        return HistogramState(np.log(table / table.sum()))


def test_update_is_the_mean_responsibility(rng):
    tables = rng.uniform(size=(7, 4))
    tables /= tables.sum(axis=1, keepdims=True)
    new = HistogramState.uniform(4).updated(tables, pseudo_count=0.5, smooth=0)
    expected = [(sum(row[t] for row in tables) + 0.5) / (7 + 0.5 * 4) for t in range(4)]
    np.testing.assert_allclose(np.exp(new.log_probabilities), expected)


def test_smoothing_loses_nothing_over_the_ends():
    tables = np.zeros((100, 16))
    tables[:, 0] = 1
    new = HistogramState.uniform(16).updated(tables, smooth=1.0)
    assert logsumexp(new.log_probabilities) == pytest.approx(0, abs=1e-12)
    assert np.argmax(new.log_probabilities) == 0


def test_update_of_two_coordinates_keeps_their_dependence():
    """Half the particles at one corner, half at the opposite one."""
    tables = np.zeros((10, 3, 3))
    tables[:5, 0, 0] = tables[5:, 2, 2] = 1
    new = HistogramState.uniform(3, dims=2).updated(tables.reshape(10, 9), 0.01, smooth=0)
    found = np.exp(new.log_probabilities)
    assert found[0, 0] == pytest.approx(0.5, abs=0.01)
    assert found[0, 2] < 0.01


def test_update_never_lowers_the_evidence(rng):
    """With the pseudo-counts as its own prior: the law of expectation maximisation."""
    likelihood = rng.normal(size=(30, 6), scale=2)
    prior, pseudo_count, before = HistogramState.uniform(6), 0.3, -np.inf
    for _ in range(20):
        joint = likelihood + prior.log_probabilities
        evidence = logsumexp(joint, axis=1)
        after = evidence.sum() + pseudo_count * prior.log_probabilities.sum()
        assert after >= before - 1e-9
        before = after
        prior = prior.updated(np.exp(joint - evidence[:, None]), pseudo_count, smooth=0)


def learned(rng, n, n_states, noise, updates):
    """Histogram of states drawn from two humps and seen through normal noise."""
    is_low = rng.random(n) < 0.5
    states = np.where(is_low, rng.beta(8, 2.5, n), rng.beta(2.5, 8, n))
    seen = states + noise * rng.normal(size=n)
    grid = (np.arange(n_states) + 0.5) / n_states
    log_likelihood = -0.5 * ((seen[:, None] - grid) / noise) ** 2
    prior = HistogramState.uniform(n_states)
    for _ in range(updates):
        joint = log_likelihood + prior.log_prior_on(grid[:, None])
        prior = prior.updated(np.exp(joint - logsumexp(joint, axis=1, keepdims=True)))
    return np.exp(prior.log_probabilities)


def test_histogram_recovers_two_humps():
    """Total variation at most 0.1: mean of 8 seeds plus three standard deviations of one."""
    n_states = 32
    edges = np.arange(n_states + 1) / n_states
    truth = 0.5 * (np.diff(beta.cdf(edges, 8, 2.5)) + np.diff(beta.cdf(edges, 2.5, 8)))
    distances = []
    for seed in range(8):
        found = learned(np.random.default_rng(seed), 4000, n_states, 0.07, 30)
        distances.append(0.5 * abs(found - truth).sum())
    mean, std = np.mean(distances), np.std(distances, ddof=1)
    assert mean + 3 * std < 0.1, f"{mean:.3f} +- {std:.3f}"
    assert 0.5 * abs(1 / n_states - truth).sum() > 0.19  # where it started
    assert found[14:18].mean() < 0.7 * min(found[:14].max(), found[18:].max())  # two humps


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: BetaState(0, 1), RecipeError, r"beta \[0, 1\]; both must be above 0"),
        (lambda: UniformState().log_density(np.full((2, 1), 1.5)), ShapeError, r"in \[0, 1\]"),
        (lambda: UniformState().gradient(np.ones(3)), ShapeError, r"expected \(n, d\)"),
        (lambda: BetaState(0.5, 1).log_prior_on(np.zeros((1, 1))), ShapeError, "infinite density"),
        (lambda: HistogramState(np.zeros(4)), ShapeError, "do not add up to 1"),
        (lambda: HistogramState(np.zeros((2, 3))), ShapeError, r"histogram of shape \(2, 3\)"),
        (
            lambda: HistogramState.uniform(4).updated(np.ones((2, 5))),
            ShapeError,
            r"tables of shape \(2, 5\), expected \(n, 4\)",
        ),
        (
            lambda: HistogramState.uniform(4).updated(np.ones((2, 4)) / 4, 0.0),
            RecipeError,
            "pseudo-count of 0.0",
        ),
        (
            lambda: HistogramState.uniform(4).log_density(np.ones((2, 2))),
            ShapeError,
            "2 state coordinates, the histogram has 1",
        ),
    ],
)
def test_refuses_in_one_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


def one_hot(n_states, at, n=200):
    """Posterior tables of particles that are all certain to be in one state."""
    tables = np.zeros((n, n_states))
    tables[:, at] = 1
    return tables


def test_a_circle_is_blurred_all_round():
    """The last state is as near to the first as the second is."""
    found = updated_probabilities(one_hot(12, 0), (12,), ("circle",), 1e-9, smooth=1.0)
    np.testing.assert_allclose(found[1:], found[:0:-1], rtol=1e-9)  # 1, 2, ... as 11, 10, ...
    assert found[11] > 0.1
    shifted = updated_probabilities(one_hot(12, 5), (12,), ("circle",), 1e-9, smooth=1.0)
    np.testing.assert_allclose(np.roll(found, 5), shifted)


def test_a_range_is_not_blurred_across_its_ends():
    found = updated_probabilities(one_hot(12, 0), (12,), ("interval",), 1e-9, smooth=1.0)
    assert found[1] > 0.1
    assert found[8:].max() < 1e-3
    assert found.sum() == pytest.approx(1)


def test_classes_are_counted_and_not_blurred():
    tables = np.repeat(np.eye(4), (1, 2, 3, 4), axis=0)
    found = updated_probabilities(tables, (4,), ("class",), 0.5, smooth=2.0)
    np.testing.assert_allclose(found, (np.array([1, 2, 3, 4]) + 0.5) / 12)


def test_each_coordinate_by_its_own_kind():
    """Two classes, each with a circle: blurred round the circle, never from class to class."""
    tables = one_hot(2 * 8, 8)  # class 1, the first state of its circle
    found = updated_probabilities(tables, (2, 8), ("class", "circle"), 1e-9, smooth=1.0)
    found = found.reshape(2, 8)
    assert found[0].max() < 1e-9
    assert found[1].sum() == pytest.approx(1)
    assert found[1, 7] == pytest.approx(found[1, 1])
    assert found[1, 7] > 0.1

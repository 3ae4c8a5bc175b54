from functools import cache
from itertools import product

import numpy as np

from contracts.kernel import LARGEST_SCORE, KernelContract, Near, RotationTargets, scores
from napari_hypermol.coordinates import tangent
from napari_hypermol.coordinates.rotations import turned
from napari_hypermol.coordinates.tangent import random_rotations
from napari_hypermol.samplers import independence as module
from napari_hypermol.samplers.independence import RotationCells, independence
from napari_hypermol.samplers.metropolis import Chain, start


class Fixed:
    """Proposes what it is told, with the probabilities of a table."""

    def __init__(self, values, probabilities):
        self.values, self.probabilities = values, probabilities

    def draw(self, rng):
        return self.values

    def log_density(self, value):
        return np.log(self.probabilities[value])


def transition_matrix(target, proposal, has_ratio=True):
    """Exact: every pair of states is one chain, and the acceptance is what the kernel reports."""
    now, then = np.array(list(product(range(5), range(5)))).T
    chain = Chain(now, np.log(target[now]))
    fixed = Fixed(then, proposal if has_ratio else np.ones(5))
    _, info = independence(np.random.default_rng(0), chain, lambda x: np.log(target[x]), fixed)
    matrix = proposal[then].reshape(5, 5) * info.acceptance_rate.reshape(5, 5)
    np.fill_diagonal(matrix, 0)
    return matrix + np.diag(1 - matrix.sum(axis=1))


TARGET = np.array([0.1, 0.35, 0.05, 0.3, 0.2])
PROPOSAL = np.array([0.3, 0.1, 0.25, 0.15, 0.2])


def test_detailed_balance_on_five_states():
    matrix = transition_matrix(TARGET, PROPOSAL)
    flow = TARGET[:, None] * matrix
    np.testing.assert_allclose(flow, flow.T, atol=1e-15)
    np.testing.assert_allclose(TARGET @ matrix, TARGET, atol=1e-15)
    assert np.linalg.matrix_rank(matrix - np.eye(5)) == 4  # and no other equilibrium


def test_without_the_proposal_densities_balance_is_lost():
    matrix = transition_matrix(TARGET, PROPOSAL, has_ratio=False)
    assert abs(TARGET @ matrix - TARGET).max() > 0.03


class TestRotationCells(RotationTargets, KernelContract):
    """Cells in a wrong place and of wrong weights: the ratio has to make up for it."""

    N_STEPS = 250
    N_WARM_UP = 50
    HAS_SMALL_STEPS = False

    @cache  # noqa: B019 (a test's instance lives as long as its test)
    def cells(self, target, step_size):
        rng = np.random.default_rng(8)
        n = len(target.reference)
        offsets = np.concatenate([np.zeros((n, 1, 3)), 0.8 * rng.normal(size=(n, 4, 3))], axis=1)
        centres = turned(target.reference[:, None], offsets)
        return RotationCells(centres, rng.normal(size=(n, 5)), step_size, uniform=0.1)

    def begin(self, values, target):
        return start(values, target.log_density)

    def step(self, rng, chain, target, step_size):
        near = getattr(target, "target", target)
        return independence(rng, chain, target.log_density, self.cells(near, step_size))

    def break_it(self, monkeypatch):
        """The mixture's density taken for that of a flat proposal."""
        monkeypatch.setattr(RotationCells, "log_density", lambda self, value: np.zeros(len(value)))

    def test_missing_volume_is_noticed(self, rng, target, values, monkeypatch):
        """The normal density of the tangent vector is not the density of the rotation."""
        right = tangent.log_tangent_normal

        def flat(angle, std):
            return right(angle, std) + 2 * np.log(np.sinc(angle / (2 * np.pi)))

        # wide cells and a wide target, so that the volume varies where the chains are
        wide = Near(target.reference, 0.2)
        samples = self.run(rng, values, wide, step_size=1.2)
        assert abs(scores(samples, wide.expected())).max() < LARGEST_SCORE
        monkeypatch.setattr(module, "log_tangent_normal", flat)
        samples = self.run(rng, values, wide, step_size=1.2)
        assert abs(scores(samples, wide.expected())).max() > 2 * LARGEST_SCORE


def test_mixture_is_normalised(rng):
    """Mean of the density over uniform rotations is 1; five standard errors."""
    centres, weights = random_rotations(rng, 6)[None], rng.normal(size=(1, 6))
    cells = RotationCells(centres, weights, 0.5, uniform=0.1)
    n = 40_000
    many = RotationCells(centres.repeat(n, axis=0), weights.repeat(n, axis=0), 0.5, 0.1)
    density = np.exp(many.log_density(random_rotations(rng, n)))
    assert abs(density.mean() - 1) < 5 * density.std() / np.sqrt(n)
    # and draws are where it is: E_q[1 / q] is 1
    inverse = np.exp(-many.log_density(many.draw(rng)))
    assert abs(inverse.mean() - 1) < 5 * inverse.std() / np.sqrt(n)
    assert cells.draw(rng).shape == (1, 3, 3)


def test_cells_that_are_the_posterior_are_always_accepted(rng):
    target = RotationCells(
        random_rotations(rng, 12).reshape(3, 4, 3, 3), rng.normal(size=(3, 4)), 0.3
    )
    chain = start(target.draw(rng), target.log_density)
    for _ in range(20):
        chain, info = independence(rng, chain, target.log_density, target)
        np.testing.assert_allclose(info.acceptance_rate, 1)


def test_cell_of_no_probability_is_not_proposed(rng):
    centres = np.stack([np.eye(3), turned(np.eye(3), np.array([0, 0, 2.0]))])[None].repeat(
        500, axis=0
    )
    weights = np.array([[0.0, -np.inf]]).repeat(500, axis=0)
    cells = RotationCells(centres, weights, 0.05, uniform=0.0)
    drawn = cells.draw(rng)
    near = Near(centres[:, 0], 1.0).statistics(drawn)[:, 0]
    assert near.max() < 0.05 * 6
    assert np.isfinite(cells.log_density(drawn)).all()

"""Folded states are put in order, by four hundred particles."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from napari_hypermol.runs.particle_order import threaded as reordered
from napari_hypermol.runs.path_start import path_states, threaded_posterior
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.snapshot import RecoverySettings
from napari_hypermol.runs.stage_start import first_posterior
from napari_hypermol.runs.stage_sweeps import run_stage
from napari_hypermol.runs.sweep import expectation, state_tables
from napari_hypermol.schedules.stage import Stage
from small_starts import DEGREE, RADIUS, folded, pretzels

STATES = Stage("states", RADIUS, DEGREE, sweeps=6)
SETTINGS = RecoverySettings([STATES])
ARMS = (1, 2)


@pytest.fixture(scope="module")
def small():
    return pretzels()


def run_from(small, states):
    """The stage with states, from these; (n, 2)."""
    rng = np.random.default_rng(0)
    begin = first_posterior(small.problem, small.estimate, rng)
    known = {m: states[:, axis] for axis, m in enumerate(ARMS)}
    posterior = threaded_posterior(small.problem.molecule, begin, known)
    return run_stage(
        STATES, 1, small.problem, small.estimate, posterior, SETTINGS, rng, Reporter(), [],
        is_last=False,
    )  # fmt: skip


def threaded(small, snapshot, states):
    problem = small.problem_of(snapshot.molecule, snapshot.estimate.noise)
    rng = np.random.default_rng(2)
    return reordered(snapshot, problem, states, SETTINGS, rng, Reporter())


def agreement(small, snapshot):
    """Spearman correlation of each arm's states with the truth, either way round."""
    pairs = zip(snapshot.posterior.state_mean.T, small.true.T, strict=True)
    return np.array([abs(spearmanr(found, true).statistic) for found, true in pairs])


def evidence_under(small, snapshot, noise):
    """Log evidence per particle; comparable where the noise is the same."""
    problem = small.problem_of(snapshot.molecule, noise)
    estimate = snapshot.estimate._replace(noise=noise)
    tables = state_tables(snapshot.molecule)
    found = expectation(problem, estimate, tables, np.random.default_rng(0))
    return float(found.log_evidence.mean())


@pytest.fixture(scope="module")
def stuck(small):
    return run_from(small, folded(small.true))


@pytest.fixture(scope="module")
def ordered(small, stuck):
    settled = small.estimate._replace(noise=stuck.estimate.noise)
    return path_states(small.problem, settled, np.random.default_rng(1))


def test_folded_states_stay_folded_by_themselves(small, stuck):
    assert agreement(small, stuck).max() < 0.8  # 0.65 to 0.71 in three stacks


def test_folded_states_are_put_in_order(small, stuck, ordered):
    found = threaded(small, stuck, ordered)
    assert agreement(small, found).min() > 0.95  # 0.975 to 0.989; from the truth 0.982 to 0.991
    for noise in (stuck.estimate.noise, found.estimate.noise):
        assert evidence_under(small, found, noise) > evidence_under(small, stuck, noise) + 0.5
    assert found.stage == stuck.stage
    assert len(found.trace) == len(stuck.trace) + 3


def test_a_worse_order_is_not_kept(small, stuck, ordered, rng):
    by_chance = {m: rng.random(small.n) for m in ordered}
    assert threaded(small, stuck, by_chance) is stuck


def test_an_order_known_already_is_not_lost(small):
    good = run_from(small, small.true)
    again = threaded(small, good, {m: folded(small.true)[:, axis] for axis, m in enumerate(ARMS)})
    assert again is good

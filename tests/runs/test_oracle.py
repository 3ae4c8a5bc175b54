"""The best the data allow, in limits where it is known."""

from dataclasses import replace

import numpy as np
import pytest

from gauged_runs import true_component
from napari_hypermol.runs.oracle import oracle_states, state_read
from napari_hypermol.runs.score import score
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.truth import read_truth
from small_runs import PRETZEL, TINY, recovered, simulated


def test_oracle_knows_nearly_everything_without_noise(tmp_path):
    brief = [{"resolution": 24, "degree": 0, "sweeps": 2}]
    data = simulated(tmp_path / "d", PRETZEL._replace(n=60, snr=500.0), schedule=brief)
    run = recovered(data, tmp_path / "run").run
    truth = read_truth(data / "truth.star")
    # its noise is what its rigid map could not explain; the true noise is far below
    estimate = run.snapshot.estimate._replace(noise=np.full_like(run.snapshot.estimate.noise, 0.01))
    known = Run(run.path, run.facts)
    known.__dict__["snapshot"] = replace(run.snapshot, estimate=estimate)
    states, scale = oracle_states(known, truth)
    # true maps are 5 % of the range apart
    assert np.sqrt(np.mean((states - truth.states) ** 2)) < 0.03
    assert scale == pytest.approx(1, abs=0.02)


def test_maps_of_any_scale_have_the_same_oracle(pretzel_run, truth):
    result = score(pretzel_run.run, truth)
    components = [replace(c, volumes=7 * c.volumes) for c in truth.components]
    again = score(pretzel_run.run, replace(truth, components=components))
    np.testing.assert_allclose(
        [s["oracle"] for s in again["states"]], [s["oracle"] for s in result["states"]], atol=1e-3
    )
    assert again["true_map_scale"] == pytest.approx(result["true_map_scale"] / 7, rel=1e-3)


# ---- full turns, classes, populations --------------------------------------------------------

BRIEF = [{"resolution": 24, "degree": 0, "sweeps": 2}]


def run_of(molecule, folder, **changes):
    """A rigid recovery: the oracle wants its noise and its images, not its molecule."""
    ball = {"ball": {"radius": 78.0}}
    whole = {"whole": {"support": ball, "state": {"basis": "cosine", "dims": 1, "degree": 1}}}
    plan = TINY._replace(molecule=molecule, **changes)
    data = simulated(folder / "data", plan, schedule=BRIEF, components=whole)
    return recovered(data, folder / "run").run, read_truth(data / "truth.star")


def with_noise(run, variance):
    """The run as if it had found this noise."""
    estimate = run.snapshot.estimate
    noise = np.full_like(estimate.noise, variance)
    known = Run(run.path, run.facts)
    known.__dict__["snapshot"] = replace(
        run.snapshot, estimate=estimate._replace(noise=noise, contrast_std=0.1)
    )
    return known


def test_a_full_turn_is_read_all_the_way_round(tmp_path):
    run, truth = run_of("wheel", tmp_path, snr=200.0)
    states, scale = oracle_states(with_noise(run, 1.0), truth)
    off = (states[:, 0] - truth.states[:, 0] + 0.5) % 1 - 0.5
    # true maps are 1/20 of a turn apart; the nearest is off by half of that at the most
    assert np.quantile(abs(off), 0.9) < 0.03
    assert ((states >= 0) & (states < 1)).all()
    assert (np.minimum(truth.states, 1 - truth.states) < 0.025).any()  # some across the seam
    assert scale == pytest.approx(1, abs=0.02)


def test_classes_are_read_and_their_populations_known(tmp_path):
    run, truth = run_of("classes", tmp_path, snr=200.0)
    states, scale = oracle_states(with_noise(run, 1.0), truth)
    np.testing.assert_allclose(states, truth.states)
    assert scale == pytest.approx(1, abs=0.02)
    # images that say nothing: everything is in the commonest class
    states, _ = oracle_states(with_noise(run, 1e8), truth)
    np.testing.assert_allclose(states, 0.125)


def test_images_that_say_nothing_leave_the_population(tmp_path):
    """Mean of a lopsided mixture, Beta(2, 1): two thirds."""
    run, truth = run_of("cat", tmp_path, n=20)
    (cat,) = truth.components
    lopsided = replace(truth, components=[replace(cat, occupancy=((1.0, 2.0, 1.0),))])
    states, _ = oracle_states(with_noise(run, 1e8), lopsided)
    # on a grid of 21 states, whose end cells' shares sit at 0 and 1
    np.testing.assert_allclose(states, 2 / 3, atol=0.01)


def test_one_state_from_a_table_by_its_kind():
    table = np.array([[0.5, 0.3, 0.2], [0.0, 0.1, 0.9]])
    classes = true_component("class")
    np.testing.assert_allclose(state_read(classes, table), [1 / 6, 5 / 6])
    range_ = replace(true_component("interval"), states=np.array([0, 0.5, 1]))
    np.testing.assert_allclose(state_read(range_, table), [0.35, 0.95])
    # a circular mean: between 0.9 and 0.1 lies 0, not a half
    turn = replace(true_component("circle"), states=np.array([0.1, 0.5, 0.9]))
    read = state_read(turn, np.array([[0.5, 0.0, 0.5], [1.0, 0.0, 0.0], [0.2, 0.0, 0.8]]))
    away = (read - np.array([0.0, 0.1, 0.9]) + 0.5) % 1 - 0.5
    assert away[:2] == pytest.approx([0, 0], abs=1e-9)
    assert 0 < away[2] < 0.1

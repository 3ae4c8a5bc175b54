"""Populations compared in a gauge that was chosen, and by hand."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta

from gauged_runs import gauged_run, true_component, truth_of
from napari_hypermol.runs.correspondence import correspondences
from napari_hypermol.runs.occupancy_scores import (
    occupancy_distance,
    occupancy_score,
    place_states,
    rebinned,
    sampling_noise,
    total_variation,
    with_ends,
)

BIMODAL = ((0.5, 8.0, 2.5), (0.5, 2.5, 8.0))
UNIFORM = ((1.0, 1.0, 1.0),)

# ---- the pieces, by hand ---------------------------------------------------------------------


def test_total_variation_is_the_share_that_must_move():
    assert total_variation(np.array([0.5, 0.5, 0]), np.array([0.2, 0.5, 0.3])) == pytest.approx(0.3)
    assert total_variation(np.array([1.0, 0]), np.array([0, 1.0])) == 1.0


def test_sampling_noise_against_draws(rng):
    shares, n = np.array([0.5, 0.3, 0.15, 0.05]), 500
    drawn = rng.multinomial(n, shares, size=4000) / n
    measured = np.mean([total_variation(row, shares) for row in drawn])
    # the normal law of bins of 25 and more counts is good to a percent or so
    assert sampling_noise(shares, n) == pytest.approx(measured, rel=0.03)


def test_cells_are_spread_over_the_bins_they_cover():
    """Cells [0, 0.3], [0.3, 0.5], and [0.5, 1] in four bins of a quarter."""
    found = rebinned(np.array([0.6, 0.2, 0.2]), np.array([0, 0.3, 0.5, 1.0]), 4)
    assert found == pytest.approx([0.5, 0.1 + 0.2, 0.1, 0.1])
    # a cell without width, and one that ends at 1
    assert rebinned(np.array([0.7, 0.3]), np.array([0.6, 0.6, 1.0]), 2) == pytest.approx([0, 1])
    assert rebinned(np.array([1.0]), np.array([1.0, 1.0]), 2) == pytest.approx([0, 1])


def test_distance_by_hand():
    """Four equal cells, the first two of which stand for the lower quarter."""
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    placed = np.array([0, 0.125, 0.25, 0.625, 1])
    distance, bins = occupancy_distance(shares, placed, np.array([0.5, 0.5]))
    # of the third cell [0.25, 0.625] two thirds lie below one half
    assert bins == pytest.approx([0.3 + 0.3 * 2 / 3, 0.4 + 0.3 / 3])
    assert distance == pytest.approx(0.0, abs=1e-12)
    distance, _ = occupancy_distance(shares, placed, np.array([0.1, 0.9]))
    assert distance == pytest.approx(0.4)
    backward, _ = occupancy_distance(shares[::-1], placed[::-1], np.array([0.1, 0.9]))
    assert backward == pytest.approx(distance)


def test_the_ends_of_a_run_are_the_ends_of_the_truth():
    placed = np.array([0.1, 0.2, 0.6, 0.9])
    np.testing.assert_array_equal(with_ends(placed), [0, 0.2, 0.6, 1])
    np.testing.assert_array_equal(with_ends(placed[::-1]), [1, 0.6, 0.2, 0])


def products(found, true):
    return found @ true.T, true @ true.T


@pytest.mark.parametrize("seed", range(4))
def test_placement_is_the_best_of_all_that_keep_the_order(seed):
    """Three found states on five true ones (of the same two hundred places), tried one by one."""
    rng = np.random.default_rng(seed)
    states = np.linspace(0, 1, 5)
    true = rng.normal(size=(5, 8))
    found = true[[0, 2, 3]] + 0.3 * rng.normal(size=(3, 8))
    shares, true_shares = np.array([0.5, 0.2, 0.3]), np.full(5, 0.2)
    placement = place_states(*products(found, true), shares, true_shares, states)
    fine = np.linspace(0, 1, 201)
    maps = np.array([np.interp(fine, states, column) for column in true.T]).T
    d, t = found - shares @ found, maps - true_shares @ true
    weights = shares + 1e-3 / 3
    cost = weights[:, None] * ((d[:, None] - placement.amplitude * t[None]) ** 2).sum(axis=-1)
    coarse = range(0, 201, 4)  # enough to catch a wrong path, and quick
    best = min(
        cost[0, a] + cost[1, b] + cost[2, c]
        for way in (1, -1)
        for a, b, c in itertools.combinations_with_replacement(coarse[::way], 3)
    )
    rows = np.rint(placement.states * 200).astype(int)
    assert cost[[0, 1, 2], rows].sum() <= best + 1e-9
    steps = np.diff(placement.states)
    assert (steps >= 0).all() or (steps <= 0).all()


def test_weak_motion_is_placed_where_the_strong_one_is():
    """Maps that move 30 % too little are not drawn to the middle."""
    angles = np.linspace(0, 2.5, 21)  # an arc: other places are other directions
    true = np.stack([np.cos(angles), np.sin(angles), np.cos(2 * angles)], axis=1)
    mean = true.mean(axis=0)
    found = mean + 0.7 * (true[2:20:3] - mean)
    shares = np.full(6, 1 / 6)
    # found states are fewer, so their mean is given the weight it has
    shares = np.linalg.lstsq(
        np.vstack([found.T, np.ones(6)]), np.append(mean, 1.0), rcond=None
    )[0]  # fmt: skip
    assert (shares > 0).all()
    placement = place_states(
        *products(found, true), shares, np.full(21, 1 / 21), np.linspace(0, 1, 21)
    )
    np.testing.assert_allclose(placement.states, np.arange(2, 20, 3) / 20, atol=0.011)
    assert placement.amplitude == pytest.approx(0.7, abs=0.02)


# ---- a whole run -----------------------------------------------------------------------------


def found_table(states, cells):
    """Posterior tables that know each state exactly."""
    table = np.zeros((len(states), cells))
    table[np.arange(len(states)), np.minimum((states * cells).astype(int), cells - 1)] = 1
    return table


def run_of(rng, occupancy, n, found_of, true_of, cells=32):
    """n particles of an occupancy, their states known exactly in the run's own gauge."""
    chosen = rng.integers(0, len(occupancy), n)
    states = np.array([rng.beta(*occupancy[k][1:]) for k in chosen])[:, None]
    truth = truth_of(states, [true_component("interval", occupancy)])
    found = found_of(states)
    tables = [found_table(found[:, 0], cells)]
    return gauged_run(truth, found, [true_of], tables), truth


def scored(run, truth):
    (its,) = correspondences(run, truth)
    return occupancy_score(run, truth.moving[0], its, truth.states[:, 0])


def test_a_warped_and_turned_state_has_the_true_population(rng):
    """tau_found = 1 - tau^2: its histogram is far off, but its maps tell."""
    run, truth = run_of(rng, BIMODAL, 20_000, lambda s: 1 - s**2, lambda s: np.sqrt(1 - s))
    result = scored(run, truth)
    assert result["sampling_noise"] < 0.01
    # the found cells next to state 0 are up to two bins wide there, and their shares spread evenly
    assert result["total_variation"] < 0.06
    edges = np.linspace(0, 1, 11)
    true = np.diff(0.5 * beta.cdf(edges, 8, 2.5) + 0.5 * beta.cdf(edges, 2.5, 8))
    roots = np.sqrt(edges)
    warped = np.diff(0.5 * beta.cdf(roots, 8, 2.5) + 0.5 * beta.cdf(roots, 2.5, 8))
    expected = 0.5 * abs(warped - true).sum()
    assert expected > 0.15
    assert result["total_variation_unaligned"] == pytest.approx(expected, abs=0.02)
    assert result["bins"] == 10
    assert result["true"] == pytest.approx(true, abs=1e-4)
    assert result["motion_amplitude"] == pytest.approx(1, abs=0.05)


def test_a_state_made_uniform_has_the_true_population(rng):
    """As a run without a prior of the occupancy tends to find it: its histogram says nothing."""
    fine = np.linspace(0, 1, 2001)
    below = 0.5 * beta.cdf(fine, 8, 2.5) + 0.5 * beta.cdf(fine, 2.5, 8)
    run, truth = run_of(
        rng, BIMODAL, 20_000,
        lambda s: np.interp(s, fine, below), lambda s: float(np.interp(s, below, fine)),
    )  # fmt: skip
    result = scored(run, truth)
    assert result["found_unaligned"] == pytest.approx(np.full(10, 0.1), abs=0.01)
    assert result["total_variation"] < 0.03  # 0.008 from sampling, some 0.01 from placing
    assert result["total_variation_unaligned"] > 0.17


def test_a_population_that_is_wrong_stays_wrong(rng):
    """Posteriors that know nothing: a uniform occupancy where the true one has two crowds."""
    run, truth = run_of(rng, BIMODAL, 500, lambda s: s, lambda s: s)
    run.snapshot.posterior.tables[0][:] = 1 / 32
    result = scored(run, truth)
    edges = np.linspace(0, 1, 11)
    true = np.diff(0.5 * beta.cdf(edges, 8, 2.5) + 0.5 * beta.cdf(edges, 2.5, 8))
    expected = 0.5 * abs(0.1 - true).sum()
    assert result["total_variation_unaligned"] == pytest.approx(expected)
    # cells stand for 1/32 of the motion each; their means differ, as the populations do
    assert result["total_variation"] == pytest.approx(expected, abs=0.05)


def test_few_particles_cost_what_sampling_costs(rng):
    run, truth = run_of(rng, UNIFORM, 200, lambda s: s, lambda s: s)
    result = scored(run, truth)
    assert result["sampling_noise"] == pytest.approx(5 * np.sqrt(0.18 / (np.pi * 200)))
    # a mean of ten nearly independent terms: a third of it more or less, and three of those
    assert 0 < result["total_variation_unaligned"] < 2 * result["sampling_noise"]
    assert 0 < result["total_variation"] < 2 * result["sampling_noise"] + 0.02


def test_no_score_where_a_population_is_not_known(rng):
    run, truth = run_of(rng, UNIFORM, 50, lambda s: s, lambda s: s)
    (its,) = correspondences(run, truth)
    unknown = replace(truth.moving[0], occupancy=())
    assert occupancy_score(run, unknown, its, truth.states[:, 0]) is None
    run.snapshot.posterior.tables = ()
    assert scored(run, truth) is None

"""Bins of states, and what is in them."""

import numpy as np
import pytest

from napari_hypermol.runs.occupancy import (
    bin_counts,
    bin_majority,
    bin_means,
    bins_of,
    occupancies,
)
from napari_hypermol.runs.state_axes import StateAxis

RANGE = StateAxis("tau1", "arm")
CLASSES = StateAxis("tau2", "lobe", "class", 3)


def test_counts_are_those_of_numpy(rng):
    states = rng.random((500, 2))
    states[0], states[1] = 0.0, 1.0  # both ends belong to the bins beside them
    bins = bins_of(states, (RANGE, RANGE._replace(name="tau2")), 7)
    expected, _, _ = np.histogram2d(*states.T, bins=7, range=[(0, 1), (0, 1)])
    np.testing.assert_array_equal(bin_counts(bins), expected)
    some = rng.random(500) < 0.3
    expected, _, _ = np.histogram2d(*states[some].T, bins=7, range=[(0, 1), (0, 1)])
    np.testing.assert_array_equal(bin_counts(bins, some), expected)


def test_classes_have_a_bin_each():
    states = np.array([[0.2, 1 / 6], [0.2, 0.5], [0.9, 5 / 6], [0.9, 5 / 6]])
    counts = bin_counts(bins_of(states, (RANGE, CLASSES), 2))
    np.testing.assert_array_equal(counts, [[1, 1, 0], [0, 0, 2]])


def test_means_leave_out_what_is_not_known():
    bins = bins_of(np.array([[0.1], [0.2], [0.3], [0.9]]), (RANGE,), 3)
    means = bin_means(bins, [1.0, 3.0, np.nan, np.nan])
    np.testing.assert_array_equal(means, [2.0, np.nan, np.nan])


def test_majority():
    bins = bins_of(np.array([[0.1], [0.2], [0.3], [0.9]]), (RANGE,), 3)
    np.testing.assert_array_equal(bin_majority(bins, np.array([2, 2, 1, 0]), 3), [2, np.nan, 0])


def test_occupancies_are_of_one_coordinate_each(mixed_run):
    """Shares sum to 1, and of classes to the particles' posterior probabilities of each."""
    run = mixed_run.run
    found = occupancies(run)
    assert [o.axis.kind for o in found] == ["circle", "class", "interval"]
    for occupancy in found:
        assert occupancy.shares.sum() == pytest.approx(1, abs=1e-5)  # float32 tables
    classes = run.snapshot.posterior.tables[1].astype(float)
    np.testing.assert_allclose(found[1].shares, classes.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found[1].states, [1 / 6, 3 / 6, 5 / 6])

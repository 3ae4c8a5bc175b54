"""Agreements worked out by hand, and their gauges."""

import itertools

import numpy as np
import pytest

from napari_hypermol.runs.state_scores import (
    adjusted_rand_index,
    best_cuts,
    circular_match,
    class_match,
    class_of,
    spearman,
    spearman_error,
)

# ---- a range ---------------------------------------------------------------------------------


def test_spearman_by_hand():
    """Ranks 1 2 3 4 against 1 2 4 3: 1 - 6 (0 + 0 + 1 + 1) / (4 (16 - 1)) = 0.8."""
    values = np.array([0.1, 0.2, 0.3, 0.9])
    assert spearman(values, np.array([0.0, 0.5, 0.9, 0.6])) == pytest.approx(0.8)
    assert spearman(values, np.full(4, 0.5)) == 0.0


def test_spearman_error_by_hand():
    assert spearman_error(0.6, 103) == pytest.approx(1.03 * 0.64 / 10)


# ---- a full turn -----------------------------------------------------------------------------


@pytest.mark.parametrize(("direction", "offset"), [(1, 0.0), (1, 0.8), (-1, 0.3)])
def test_offset_and_direction_are_found(rng, direction, offset):
    true = rng.uniform(size=500)
    match = circular_match((direction * true + offset) % 1, true)
    assert match.correlation == pytest.approx(1)
    assert match.direction == direction
    assert (match.offset - offset + 0.5) % 1 == pytest.approx(0.5, abs=1e-9)
    assert match.median_error == pytest.approx(0, abs=1e-9)
    at = np.array([0.0, 0.25, 0.9])
    np.testing.assert_allclose(
        np.exp(2j * np.pi * match.found_at(at)), np.exp(2j * np.pi * (direction * at + offset))
    )


def test_circular_errors_by_hand():
    """Eight states an eighth apart, each off by a tenth of a turn, one way or the other.

    The mean phasor of the differences is cos(2 pi 0.1); even states have no mean to take off.
    """
    true = np.arange(8) / 8
    found = (true + 0.1 * np.array([1, -1, 1, -1, 1, -1, 1, -1])) % 1
    match = circular_match(found, true)
    assert match.correlation == pytest.approx(np.cos(0.2 * np.pi))
    assert match.median_error == pytest.approx(0.1)
    assert match.offset % 1 == pytest.approx(0, abs=1e-9) or match.offset == pytest.approx(1)


def test_errors_go_the_short_way_round():
    true = np.array([0.0, 0.25, 0.5, 0.75])
    found = np.array([0.99, 0.25, 0.5, 0.75])
    assert circular_match(found, true).median_error < 0.02


def test_unrelated_turns_have_no_correlation_even_if_crowded(rng):
    """Without taking means off, two crowds in different places would correlate at 0.8."""
    n = 4000
    found, true = 0.1 * rng.normal(size=n) % 1, (0.4 + 0.1 * rng.normal(size=n)) % 1
    # the larger of two values of standard error 1 / sqrt(n) in each of two parts
    assert circular_match(found, true).correlation < 5 / np.sqrt(n)
    assert circular_match(np.full(n, 0.3), true).correlation == 0.0


# ---- classes ---------------------------------------------------------------------------------


def test_states_of_classes():
    states = np.array([0.125, 0.375, 0.625, 0.875])
    np.testing.assert_array_equal(class_of(states, 4), [0, 1, 2, 3])
    np.testing.assert_array_equal(class_of(np.array([0.0, 1.0]), 4), [0, 3])


def test_classes_have_no_order():
    true = np.array([0, 0, 0, 1, 1, 2])
    match = class_match(np.array([2, 2, 2, 0, 0, 1]), true, 3, 3)
    assert match.error == 0
    assert match.rand_index == pytest.approx(1)
    np.testing.assert_array_equal(match.found_class, [2, 0, 1])


def test_classification_error_by_hand():
    """Three of eight are elsewhere, whichever way classes are assigned."""
    true = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    found = np.array([1, 1, 1, 0, 0, 0, 1, 1])
    match = class_match(found, true, 2, 2)
    assert match.error == pytest.approx(3 / 8)
    np.testing.assert_array_equal(match.found_class, [1, 0])


def test_fewer_and_more_found_classes_than_true_ones():
    true = np.array([0, 0, 1, 1, 1, 2])
    match = class_match(np.zeros(6, dtype=int), true, 1, 3)
    assert match.error == pytest.approx(0.5)  # the largest class is right
    np.testing.assert_array_equal(match.found_class, [-1, 0, -1])
    match = class_match(np.array([0, 1, 2, 2, 3, 4]), true, 5, 3)
    assert match.error == pytest.approx(2 / 6)  # one of each of the parted classes is lost
    assert match.found_class[1] == 2


def test_adjusted_rand_index_by_hand():
    """Table [[2, 0], [1, 3]]: pairs together 1 + 3 = 4, in rows 1 + 6, in columns 3 + 3, of 15.

    (4 - 7 * 6 / 15) / (6.5 - 7 * 6 / 15) = 1.2 / 3.7.
    """
    table = np.array([[2, 0], [1, 3]])
    assert adjusted_rand_index(table) == pytest.approx(1.2 / 3.7)
    assert adjusted_rand_index(table.T) == pytest.approx(1.2 / 3.7)
    assert adjusted_rand_index(np.array([[5]])) == 1.0


def test_adjusted_rand_index_of_chance(rng):
    values = [
        class_match(rng.integers(0, 3, 400), rng.integers(0, 4, 400), 3, 4).rand_index
        for _ in range(50)
    ]
    assert np.mean(values) == pytest.approx(0, abs=4 * np.std(values) / np.sqrt(50))
    assert np.std(values) < 0.02


@pytest.mark.parametrize("seed", range(6))
def test_best_cuts_against_every_cut(seed):
    """All orders of three classes and all pairs of cuts, tried one by one."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 7, 14) / 7  # with ties
    true = rng.integers(0, 3, 14)
    best = 0
    places = np.unique(np.append(found, 2.0))
    for order in itertools.permutations(range(3)):
        for low, high in itertools.combinations_with_replacement(places, 2):
            labels = np.where(found < low, order[0], np.where(found < high, order[1], order[2]))
            best = max(best, (labels == true).sum())
    labels = best_cuts(found, true, 3)
    assert (labels == true).sum() == best
    for value in np.unique(found):
        assert len(np.unique(labels[found == value])) == 1
    ordered = labels[np.argsort(found, kind="stable")]
    assert len(list(itertools.groupby(ordered))) <= 3  # one interval each


def test_cuts_of_separate_classes_are_perfect(rng):
    true = rng.integers(0, 4, 300)
    found = np.array([0.7, 0.1, 0.9, 0.4])[true] + rng.uniform(-0.05, 0.05, 300)
    np.testing.assert_array_equal(best_cuts(found, true, 4), true)

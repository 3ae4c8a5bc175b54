"""Maps of a run that found the truth in a gauge of its own, or only a part of it."""

import numpy as np
import pytest

from gauged_runs import gauged_run, true_component, truth_of
from napari_hypermol.runs.correspondence import correspondences
from napari_hypermol.runs.map_scores import map_scores, true_maps


def same(state):
    return state


def scores(run, truth):
    return map_scores(run, truth, correspondences(run, truth))


def test_a_full_turn_in_another_gauge_is_perfect(rng):
    truth = truth_of(rng.uniform(size=(300, 1)), [true_component("circle")])
    found = (0.3 - truth.states) % 1
    right = gauged_run(truth, found, [lambda s: (0.3 - s) % 1])
    (entry,) = scores(right, truth)
    # true maps at 10 states lie on the written ones' chords, 1/20 of a turn long
    assert entry["difference_correlation"] > 0.995
    assert entry["true_states"] == pytest.approx(np.arange(0.05, 1, 0.1))
    assert entry["found_states"][0] == pytest.approx(0.25)
    wrong = gauged_run(truth, found, [same])  # its maps do not follow its states
    assert scores(wrong, truth)[0]["difference_correlation"] < 0.5


def test_classes_in_another_order_are_perfect(rng):
    labels = rng.integers(0, 3, 200)
    truth = truth_of((labels[:, None] + 0.5) / 3, [true_component("class")])
    swapped = np.array([5 / 6, 1 / 6, 0.5])

    def true_of(state):
        return (int(np.argmin(abs(swapped - state))) + 0.5) / 3

    run = gauged_run(truth, swapped[labels][:, None], [true_of], classes=[3])
    (entry,) = scores(run, truth)
    assert entry["difference_correlation"] == pytest.approx(1)
    assert entry["difference_correlation_per_state"] == pytest.approx([1, 1, 1])
    assert entry["found_states"] == pytest.approx(swapped, abs=1e-4)
    assert entry["resolution_at_half"] == pytest.approx([4.0] * 3)  # Nyquist of 2 Å pixels


def test_a_class_that_was_not_found_explains_nothing(rng):
    """Two beads far apart, and a third class as their mean.

    With unit beads that hardly overlap, found differences are (1, -1, 0) / 2 and (-1, 1, 0) / 2
    and nothing; true ones (2, -1, -1) / 3 and so on. Sum of products 1/2 + 1/2 = 1 over the root of
    (1/2 + 1/2) (3 * 6 / 9) = sqrt(2).
    """
    labels = np.repeat([0, 1, 2], [30, 20, 10])
    truth = truth_of((labels[:, None] + 0.5) / 3, [true_component("class")])
    found = np.where(labels == 1, 0.75, 0.25)[:, None]
    run = gauged_run(truth, found, [lambda s: 0.5 if s > 0.5 else 1 / 6], classes=[2])
    (entry,) = scores(run, truth)
    assert entry["found_states"] == [0.25, 0.75, None]
    assert entry["difference_correlation_per_state"][2] is None
    assert entry["difference_correlation"] == pytest.approx(np.sqrt(0.5), abs=0.05)


def test_the_others_rest_where_they_correspond(rng):
    """Whole maps agree to Nyquist only if every other component is held at the same true state."""
    n = 300
    states = np.stack([rng.uniform(size=n), (rng.integers(0, 3, n) + 0.5) / 3], axis=1)
    truth = truth_of(states, [true_component("circle"), true_component("class")])
    found = np.stack([(states[:, 0] + 0.35) % 1, 1 - states[:, 1]], axis=1)
    run = gauged_run(truth, found, [lambda s: (s - 0.35) % 1, lambda s: 1 - s], classes=(None, 3))
    turn, classes = scores(run, truth)
    assert classes["resolution_at_half"] == pytest.approx([4.0] * 3)
    assert turn["difference_correlation"] > 0.995
    assert classes["difference_correlation"] == pytest.approx(1)


def test_true_maps_are_linear_between_the_written_ones():
    range_, classes = true_component("interval"), true_component("class")
    middle = true_maps(range_, np.array([0.0, 0.0125, 1.0]))
    np.testing.assert_allclose(middle[0], range_.volumes[0])
    np.testing.assert_allclose(middle[2], range_.volumes[-1])
    np.testing.assert_allclose(
        middle[1], 0.75 * range_.volumes[0] + 0.25 * range_.volumes[1], atol=1e-6
    )
    # classes are never mixed
    np.testing.assert_array_equal(true_maps(classes, np.array([0.55]))[0], classes.volumes[1])


def test_maps_that_do_not_change_have_no_correlation(rng):
    truth = truth_of(rng.uniform(size=(50, 1)), [true_component("interval")])
    (entry,) = scores(gauged_run(truth, truth.states, [lambda s: 0.5]), truth)
    assert entry["difference_correlation"] is None

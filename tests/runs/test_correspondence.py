"""Which found state stands for which true one, where it is known because the gauge was chosen."""

import numpy as np
import pytest

from gauged_runs import gauged_run, true_component, truth_of
from napari_hypermol.runs.correspondence import correspondences, found_classes, found_occupancy
from napari_hypermol.runs.state_scores import CircularMatch, ClassMatch


def same(state):
    return state


@pytest.fixture
def kinds(rng):
    """A truth with one coordinate of each kind."""
    n = 400
    states = np.stack(
        [rng.uniform(size=n), rng.uniform(size=n), (rng.integers(0, 3, n) + 0.5) / 3], axis=1
    )
    return truth_of(states, [true_component(kind) for kind in ("interval", "circle", "class")])


def test_each_kind_is_found_and_aligned_in_its_own_way(kinds):
    """The run has them in another order, and each in another gauge."""
    range_, turn, classes = kinds.states.T
    swapped = np.array([0.5, 1 / 6, 5 / 6])  # class 0 1 2 -> found class 1 0 2
    found = np.stack([(0.3 - turn) % 1, swapped[(3 * classes).astype(int)], 1 - range_**2], axis=1)
    run = gauged_run(kinds, found, [same] * 3, classes=(None, 3, None), order=(1, 2, 0))
    assert found_classes(run, 0) is None
    assert found_classes(run, 1) == 3
    of_range, of_turn, of_classes = correspondences(run, kinds)
    assert [c.axis for c in (of_range, of_turn, of_classes)] == [2, 0, 1]
    at = np.array([0.1, 0.5, 0.9])
    # quantiles of 400 particles: off by some 1 / (2 sqrt(400)) = 0.025 of the true range
    np.testing.assert_allclose(of_range.found_at(at), 1 - at**2, atol=0.1)
    assert of_range.match is None
    np.testing.assert_allclose(of_turn.found_at(at), (0.3 - at) % 1, atol=1e-9)
    assert isinstance(of_turn.match, CircularMatch)
    assert of_turn.rest == pytest.approx((0.5, 0.8))
    np.testing.assert_allclose(of_classes.found_at(np.array([1 / 6, 0.5, 5 / 6])), swapped)
    assert isinstance(of_classes.match, ClassMatch)
    assert of_classes.match.error == 0
    assert of_classes.rest == pytest.approx((1 / 6, 0.5))


def test_classes_that_were_found_as_a_range_are_cut(rng):
    states = (rng.integers(0, 3, 200)[:, None] + 0.5) / 3
    truth = truth_of(states, [true_component("class")])
    spread = np.array([0.6, 0.1, 0.95])[(3 * states).astype(int)] + rng.uniform(
        -0.04, 0.04, (200, 1)
    )
    (its,) = correspondences(gauged_run(truth, spread, [same]), truth)
    assert its.match.error == 0
    assert its.match.rand_index == pytest.approx(1)
    np.testing.assert_allclose(
        its.found_at(np.array([1 / 6, 0.5, 5 / 6])), [0.6, 0.1, 0.95], atol=0.02
    )


def test_a_class_for_which_nothing_was_found():
    states = np.repeat([[1 / 6], [0.5], [5 / 6]], [10, 20, 30], axis=0)
    truth = truth_of(states, [true_component("class")])
    found = np.repeat([[0.75], [0.25], [0.25]], [10, 20, 30], axis=0)
    (its,) = correspondences(gauged_run(truth, found, [same], classes=[2]), truth)
    levels = its.found_at(np.array([1 / 6, 0.5, 5 / 6]))
    assert levels[0] == 0.75
    assert np.isnan(levels[1])
    assert levels[2] == 0.25
    assert its.match.error == pytest.approx(20 / 60)


def test_occupancy_is_the_sum_of_the_tables(kinds):
    table = np.array([[0.5, 0.5, 0, 0], [0, 0, 0, 1.0]])
    run = gauged_run(kinds, kinds.states, [same] * 3, tables=[table])
    np.testing.assert_allclose(found_occupancy(run, 0), [0.25, 0.25, 0, 0.5])
    assert found_occupancy(run, 1) is None
    run.maps.molecule.components[0].dims = 2
    assert found_occupancy(run, 0) is None


def test_a_shared_component_has_the_classes_of_the_one_it_shares_with(kinds):
    run = gauged_run(kinds, kinds.states, [same] * 3, classes=(None, None, 3))
    run.recipe.components["circle"].share = "class"
    run.recipe.components["circle"].state = None
    assert found_classes(run, 1) == 3


def test_without_true_maps_every_state_is_a_range(kinds):
    from dataclasses import replace

    blind = replace(kinds, components=None)
    run = gauged_run(kinds, kinds.states, [same] * 3)
    assert [c.axis for c in correspondences(run, blind)] == [0, 1, 2]
    assert all(c.match is None for c in correspondences(run, blind))

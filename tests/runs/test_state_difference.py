"""Two states of one molecule."""

import numpy as np
import pytest

from napari_hypermol.runs.state_axes import StateAxis
from napari_hypermol.runs.state_difference import state_difference, state_distance


def test_difference_of_a_run(tiny_run):
    run = tiny_run.run
    radius = run.snapshot.stage.max_radius
    a, b = (0.1, 0.5), (0.9, 0.5)
    found = state_difference(run.maps, a, b, run.pixel_size, radius)
    np.testing.assert_allclose(found.volume, run.maps.volume(b) - run.maps.volume(a), atol=1e-6)
    assert found.limit == np.abs(found.volume).max()
    assert found.distance == pytest.approx(0.8)
    assert found.frequencies[-1] <= radius / (run.box_size * run.pixel_size)
    expected = np.corrcoef(run.maps.volume(a).ravel(), run.maps.volume(b).ravel())[0, 1]
    assert found.correlation == pytest.approx(expected, abs=1e-6)
    back = state_difference(run.maps, b, a, run.pixel_size, radius)
    np.testing.assert_allclose(back.volume, -found.volume, atol=1e-6)


def test_a_state_against_itself(tiny_run):
    run = tiny_run.run
    radius = run.snapshot.stage.max_radius
    found = state_difference(run.maps, (0.3, 0.3), (0.3, 0.3), run.pixel_size, radius)
    assert found.share == 0
    assert found.limit == 1.0  # limits of a layer must not be equal
    np.testing.assert_allclose(found.fsc, 1, atol=1e-6)


def test_distance_knows_kinds():
    circle, classes = StateAxis("tau1", "w", "circle"), StateAxis("tau2", "l", "class", 4)
    line = StateAxis("tau3", "x")
    axes = (circle, classes, line)
    assert state_distance(axes, (0.95, 0.1, 0.5), (0.05, 0.2, 0.5)) == pytest.approx(0.1)
    assert state_distance(axes, (0.5, 0.1, 0.5), (0.5, 0.9, 0.5)) == 1
    assert state_distance(axes, (0.5, 0.1, 0.1), (0.5, 0.1, 0.4)) == pytest.approx(0.3)

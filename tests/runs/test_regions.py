"""Particles inside lassos, ranges and classes."""

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from napari_hypermol.errors import ShapeError
from napari_hypermol.runs.regions import changed, inside_lasso, inside_range, of_classes
from napari_hypermol.runs.state_axes import StateAxis


def test_lasso_around_a_corner(rng):
    states = rng.random((2000, 2))
    inside = inside_lasso(states, [(0, 0), (0.6, 0), (0, 0.6)])
    np.testing.assert_array_equal(inside, states.sum(axis=1) < 0.6)


def test_lasso_drawn_by_hand_is_a_circle(rng):
    """A thousand corners, closer together than a pixel."""
    states = rng.random((5000, 2))
    turn = np.linspace(0, 2 * np.pi, 1000)
    inside = inside_lasso(states, np.stack([0.5 + 0.3 * np.cos(turn), 0.5 + 0.3 * np.sin(turn)], 1))
    radius = np.linalg.norm(states - 0.5, axis=1)
    clear = np.abs(radius - 0.3) > 0.003  # a thinned outline is that much off
    np.testing.assert_array_equal(inside[clear], (radius < 0.3)[clear])


def test_cells_change_nothing(rng):
    """Against matplotlib's test of every particle, for an outline that leaves [0, 1]."""
    states = rng.random((30_000, 2))
    states[:1000] = np.rint(states[:1000] * 128) / 128  # on the edges of cells
    corners = rng.random((40, 2)) * 1.4 - 0.2
    expected = Outline(corners).contains_points(states)
    np.testing.assert_array_equal(inside_lasso(states, corners), expected)


@pytest.mark.parametrize("corners", [[], [(0.1, 0.1)], [(0.1, 0.1), (0.9, 0.9)]])
def test_lasso_around_nothing(corners, rng):
    assert not inside_lasso(rng.random((50, 2)), corners).any()


def test_range_of_a_circle_runs_through_its_end():
    states = np.array([0.05, 0.2, 0.5, 0.95])
    np.testing.assert_array_equal(inside_range(states, 0.1, 0.6), [False, True, True, False])
    np.testing.assert_array_equal(inside_range(states, 0.9, 0.1), [True, False, False, True])


def test_classes():
    axis = StateAxis("tau1", "lobe", "class", 4)
    states = (np.array([0, 1, 2, 3, 3]) + 0.5) / 4
    np.testing.assert_array_equal(
        of_classes(states, axis, {1, 4}), [True, False, False, True, True]
    )


def test_changes():
    old, new = np.array([True, True, False]), np.array([False, True, True])
    np.testing.assert_array_equal(changed(old, new, "replace"), new)
    np.testing.assert_array_equal(changed(old, new, "add"), [True] * 3)
    np.testing.assert_array_equal(changed(old, new, "subtract"), [True, False, False])
    np.testing.assert_array_equal(changed(None, new, "add"), new)
    assert changed(None, new, "subtract") is None
    with pytest.raises(ShapeError):
        changed(old, new[:2], "add")

"""States along a drawn path."""

import numpy as np
import pytest

from napari_hypermol.errors import HypermolError
from napari_hypermol.runs.state_paths import nearest_on_path, path_length, states_along

CORNER = [(0.0, 0.0), (0.6, 0.0), (0.6, 0.8)]


def test_even_along_a_corner():
    assert path_length(CORNER) == pytest.approx(1.4)
    found = states_along(CORNER, 8)
    steps = 0.2 * np.arange(8)
    expected = np.stack([np.minimum(steps, 0.6), np.maximum(steps - 0.6, 0)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_ends_stay_and_box_is_kept():
    found = states_along([(-0.2, 0.5), (1.3, 0.5)], 3)
    np.testing.assert_allclose(found, [(0, 0.5), (0.5, 0.5), (1, 0.5)])


def test_equal_numbers_of_particles(rng):
    """Density 2 t along the line: quantiles are square roots."""
    along = np.sqrt(rng.random(20_000))
    states = np.stack([along, 0.5 + 0.02 * rng.standard_normal(20_000)], axis=1)
    far = np.stack([0.05 * rng.random(5000), np.full(5000, 0.9)], axis=1)  # not of this path
    line = [(0.0, 0.5), (1.0, 0.5)]
    found = states_along(line, 5, "particles", np.concatenate([states, far]))
    np.testing.assert_allclose(found[:, 0], np.sqrt([0, 0.25, 0.5, 0.75, 1]), atol=0.01)
    counts, _ = np.histogram(along, found[:, 0])
    assert np.ptp(counts) < 0.05 * 5000


def test_one_coordinate():
    found = states_along([[0.2], [0.8]], 4)
    np.testing.assert_allclose(found[:, 0], [0.2, 0.4, 0.6, 0.8])


def test_nearest(rng):
    at, distance = nearest_on_path(CORNER, np.array([(0.3, 0.1), (0.9, 0.4), (0.6, 0.0)]))
    np.testing.assert_allclose(at, [0.3, 1.0, 0.6])
    np.testing.assert_allclose(distance, [0.1, 0.3, 0.0], atol=1e-12)


def test_refuses_points_and_emptiness():
    with pytest.raises(HypermolError, match="draw a longer one"):
        states_along([(0.5, 0.5)], 5)
    with pytest.raises(HypermolError, match="too few"):
        states_along(CORNER, 5, "particles", np.full((100, 2), 0.99) * [0, 1])

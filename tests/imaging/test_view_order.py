import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_hypermol.imaging.view_order import view_order


def between_planes(rotations):
    """Angles between the planes of one particle and the next [degrees]."""
    views = rotations[:, 2]
    cosines = abs(np.einsum("ij,ij->i", views[1:], views[:-1]))
    return np.degrees(np.arccos(np.clip(cosines, 0, 1)))


@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_every_particle_once(rng, n):
    rotations = Rotation.random(n, rng=rng).as_matrix().reshape(n, 3, 3)
    order = view_order(rotations)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


def test_neighbours_look_alike(rng):
    """About as near as n planes can be: n squares cover half a sphere, and by chance 5 % of all
    steps along a band are longer than three of their edges."""
    n = 4000
    rotations = Rotation.random(n, rng=rng).as_matrix()
    assert between_planes(rotations).mean() > 50
    edge = np.degrees(np.sqrt(2 * np.pi / n))
    ordered = between_planes(rotations[view_order(rotations)])
    assert ordered.mean() < 1.2 * edge
    assert (ordered < 3 * edge).mean() > 0.93


def test_opposite_views_are_one_plane(rng):
    rotations = Rotation.random(30, rng=rng).as_matrix()
    turned = Rotation.from_euler("x", 180, degrees=True).as_matrix() @ rotations
    np.testing.assert_array_equal(view_order(rotations), view_order(turned))


def test_windows_are_kept(rng):
    order = view_order(Rotation.random(35, rng=rng).as_matrix(), window=10)
    np.testing.assert_array_equal(np.sort(order // 10), np.arange(35) // 10)
    assert (order != np.arange(35)).any()


def test_poles_are_no_trouble():
    axes = np.array([[0, 0, 1], [0, 0, -1], [1, 0, 0], [0, 1, 0]], dtype=np.float32)
    rotations = np.zeros((4, 3, 3), dtype=np.float32)
    rotations[:, 2] = axes * np.float32(1 + 1e-6)
    np.testing.assert_array_equal(np.sort(view_order(rotations)), np.arange(4))

import numpy as np
import pytest

from napari_hypermol.errors import MaskError
from napari_hypermol.molecules.support import Ball, Mask, Trimmed


def along_x(*distances):
    return np.array([[d, 0.0, 0.0] for d in distances])


def test_ball_edge_in_numbers():
    ball = Ball((0, 0, 0), radius=3, soft_edge=2)
    values = ball.values(along_x(0, 3, 3.5, 4, 4.5, 5, 9), spacing=1)
    quarter = 0.5 + 0.5 * np.cos(np.pi / 4)
    np.testing.assert_allclose(values, [1, 1, quarter, 0.5, 1 - quarter, 0, 0], atol=1e-6)
    assert values.dtype == np.float32


def test_ball_edge_is_never_steeper_than_the_voxels():
    values = Ball((0, 0, 0), 3, soft_edge=1).values(along_x(3, 5, 7), spacing=4)
    np.testing.assert_allclose(values, [1, 0.5, 0], atol=1e-6)


def test_ball_off_the_voxels():
    ball = Ball((1.4, -2.6, 0.0), radius=3, soft_edge=1)
    np.testing.assert_array_equal(ball.centre(), [1, -3, 0])
    assert ball.values(np.array([[1.4, -2.6, 3.0]]), 1)[0] == 1


@pytest.mark.parametrize("position", [(0, 0, 0), (1.4, -2.6, 0.5)])
@pytest.mark.parametrize("radius", [2.0, 5.5])
def test_the_cube_holds_the_ball(position, radius):
    ball = Ball(position, radius, 2)
    edge = ball.edge()
    assert edge % 2 == 0
    axis = np.arange(edge) - edge // 2
    grid = np.stack(np.meshgrid(axis, axis, axis), axis=-1) + ball.centre()
    values = ball.values(grid, 1)
    for face in (
        values[0],
        values[-1],
        values[:, 0],
        values[:, -1],
        values[..., 0],
        values[..., -1],
    ):
        assert not face.any()


@pytest.fixture
def painted():
    """A binary block of 3 x 2 x 1 (x, y, z) voxels, off the centre, in a box of 16."""
    array = np.zeros((16, 16, 16), dtype=np.float32)
    array[5, 8:10, 9:12] = 1
    return array


def test_painted_masks_get_a_soft_edge_in_numbers(painted):
    mask = Mask(painted, soft_edge=2)
    values = mask.values(np.array([[2, 0, -3], [2, 0, -2], [2, 0, -1], [2, 0, 0]]), 1)
    # one, two, three voxels from the mask, of 2 + 1
    expected = [1, 0.5 + 0.5 * np.cos(np.pi / 3), 0.5 + 0.5 * np.cos(2 * np.pi / 3), 0]
    np.testing.assert_allclose(values, expected, atol=1e-6)


def test_mask_bounds_count_the_edge(painted):
    mask = Mask(painted, soft_edge=1)  # one voxel around it has half weight
    np.testing.assert_array_equal(mask.centre(), [2, 0, -3])
    assert mask.edge() >= 3 + 2 + 2
    assert mask.edge() % 2 == 0
    np.testing.assert_allclose(mask.values(np.array([[4.0, 0, -3]]), 1), 0.5)


@pytest.mark.parametrize("soft_edge", [0.0, 2.0])
def test_the_cube_holds_the_mask(painted, soft_edge):
    mask = Mask(painted, soft_edge)
    axis = np.arange(mask.edge()) - mask.edge() // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    inside = mask.values(np.stack([x, y, z], axis=-1) + mask.centre(), 1)
    everywhere = np.arange(16) - 8
    z, y, x = np.meshgrid(everywhere, everywhere, everywhere, indexing="ij")
    whole = mask.values(np.stack([x, y, z], axis=-1), 1)
    np.testing.assert_allclose(inside.sum(), whole.sum())


def test_soft_masks_stay_as_they_are(painted):
    painted *= 0.7
    mask = Mask(painted, soft_edge=5)
    assert mask.values(np.array([[2, 0, -3]]), 1)[0] == pytest.approx(0.7)
    assert mask.values(np.array([[2, 0, -2]]), 1)[0] == 0


def test_masks_interpolate_linearly(painted):
    mask = Mask(0.8 * painted, soft_edge=0)
    np.testing.assert_allclose(mask.values(np.array([[3.5, 0, -3]]), 1), 0.4, atol=1e-6)


def test_coarse_voxels_see_the_mean(painted):
    fine, coarse = (Mask(painted, 0).values(np.array([[4.0, 0, -3]]), s)[0] for s in (1, 3))
    assert fine == 0
    assert 0 < coarse < 0.5


def test_an_empty_mask_is_refused():
    with pytest.raises(MaskError, match="zero everywhere"):
        Mask(np.zeros((8, 8, 8), dtype=np.float32)).edge()


@pytest.fixture
def halved():
    """A ball off the centre of which the half at greater x is cut off, along two voxels."""
    ball = Ball((3.0, -2.0, 0.0), 4.0)
    x = np.arange(ball.edge()) - ball.edge() // 2
    cut = np.clip(255 * (1 - x / 2), 0, 255).astype(np.uint8)
    return ball, Trimmed(ball, np.broadcast_to(cut, (ball.edge(),) * 3))


def test_trimmed_supports_are_the_whole_times_the_cut(halved):
    ball, half = halved
    places = np.array([[0.0, -2, 0], [3.0, -2, 0], [4.0, -2, 0], [4.5, -2, 0], [6.0, -2, 0]])
    expected = ball.values(places, 1) * np.array([1, 1, 127 / 255, 63.5 / 255, 0])
    np.testing.assert_allclose(half.values(places, 1), expected, atol=1e-6)
    np.testing.assert_array_equal(half.centre(), ball.centre())
    assert half.edge() == ball.edge()


def test_coarse_voxels_see_the_mean_of_a_cut(halved):
    _, half = halved
    values = half.values(np.array([[1.0, -2, 0], [4.0, -2, 0], [7.0, -2, 0]]), 3.0)
    assert 0.9 < values[0] <= 1
    assert 0.4 < values[1] < 0.6
    assert values[2] < 0.1


def test_volume_of_a_trimmed_support(halved):
    ball, half = halved
    size = ball.edge()
    assert 0.5 < half.volume(size, 1.0) / ball.volume(size, 1.0) < 0.7

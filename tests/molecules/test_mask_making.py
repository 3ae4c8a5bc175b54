import numpy as np
import pytest

from napari_hypermol.coordinates.grids import voxel_positions
from napari_hypermol.errors import MaskError
from napari_hypermol.molecules.mask_making import (
    dilated,
    low_passed,
    map_labels,
    pieces,
    resampled,
    soft_mask,
    thresholded,
)

SIZE, RADIUS = 40, 8.0
DISTANCE = np.linalg.norm(voxel_positions(SIZE), axis=-1)
BALL = DISTANCE <= RADIUS


@pytest.mark.parametrize(("dilate", "edge"), [(0.0, 5.0), (4.0, 0.0), (3.0, 6.0)])
def test_a_ball_grows_into_the_analytic_ball(dilate, edge):
    """Distances to voxel centres of a digital ball are the true ones to less than a voxel."""
    mask = soft_mask(BALL, dilate, edge)
    depth = (DISTANCE - RADIUS - dilate) / (edge + 1)
    # the nearest voxel of a digital ball lies less than one voxel inside the true surface
    for off, is_below in ((0.0, True), (1.0 / (edge + 1), False)):
        exact = 0.5 + 0.5 * np.cos(np.pi * np.clip(depth + off, 0, 1))
        assert (mask <= exact + 1e-6).all() if is_below else (mask >= exact - 1e-6).all()
    assert (mask[RADIUS + dilate - 1 >= DISTANCE] == 1).all()
    assert not mask[RADIUS + dilate + edge + 1 <= DISTANCE].any()


def test_dilation_in_numbers():
    point = np.zeros((9, 9, 9), dtype=bool)
    point[4, 4, 4] = True
    assert dilated(point, 1.0).sum() == 7
    assert dilated(point, 1.5).sum() == 19
    assert not dilated(np.zeros_like(point), 3.0).any()


def test_low_pass_halves_a_wave_of_its_resolution():
    x = np.arange(64)
    wave = np.cos(2 * np.pi * x / 8)[None, None, :] * np.ones((64, 64, 1))
    smooth = low_passed(wave.astype(np.float32), 8.0)
    middle = (32, 32, slice(24, 40))
    np.testing.assert_allclose(smooth[middle], 0.5 * wave[middle], atol=0.01)


def test_threshold():
    volume = np.where(BALL, 2.0, 0.0).astype(np.float32)
    np.testing.assert_array_equal(thresholded(volume, 1.0), BALL)
    assert thresholded(volume, 1.0, 6.0).sum() < BALL.sum()
    with pytest.raises(MaskError, match="highest is 2"):
        thresholded(volume, 3.0)


def test_pieces_by_falling_volume():
    inside = np.zeros((12, 12, 12), dtype=bool)
    inside[1, 1, 1] = inside[3:5, 3:5, 3:5] = inside[7:10, 7:10, 7:10] = True
    found = pieces(inside)
    assert [int((found == i).sum()) for i in (1, 2, 3)] == [27, 8, 1]
    assert pieces(inside, 5).max() == 2
    assert not pieces(np.zeros_like(inside)).any()


@pytest.mark.parametrize(("box", "pixel"), [(20, 2.0), (41, 1.0), (80, 0.5), (24, 1.0)])
def test_resampled_ball_is_the_same_ball(box, pixel):
    mask = (0.5 + 0.5 * np.cos(np.pi * np.clip((DISTANCE - RADIUS) / 5, 0, 1))).astype("f4")
    there = resampled(mask, 1.0, box, pixel)
    distance = np.linalg.norm(voxel_positions(box), axis=-1) * pixel
    expected = 0.5 + 0.5 * np.cos(np.pi * np.clip((distance - RADIUS) / 5, 0, 1))
    assert np.abs(there - expected).max() < 0.2  # the widest voxels are two fifths of the edge
    volume = float(there.sum() * pixel**3)
    assert volume == pytest.approx(float(expected.sum() * pixel**3), rel=0.06)


def test_a_label_for_every_piece_of_a_map():
    volume = np.zeros((20, 20, 20), dtype=np.float32)
    volume[3:6, 3:6, 3:6] = 1.0
    volume[12:17, 12:17, 12:17] = 2.0
    volume[10, 2, 2] = 3.0
    labels = map_labels(volume, 0.5, dilate=1.0, least_volume=8)
    assert labels.max() == 2
    assert ((labels == 1).sum(), (labels == 2).sum()) == (125 + 6 * 25, 27 + 6 * 9)
    np.testing.assert_array_equal(map_labels(volume, 0.5) == 1, volume > 0.5)

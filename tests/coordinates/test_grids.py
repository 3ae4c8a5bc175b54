import numpy as np
import pytest

from napari_hypermol.coordinates.fourier import half_plane_weights, image_to_half_plane
from napari_hypermol.coordinates.grids import fourier_samples, voxel_positions


@pytest.mark.parametrize("box_size", [7, 8])
def test_samples_point_into_the_half_plane(box_size):
    samples = fourier_samples(box_size, 3)
    rows = np.where(samples.ky < 0, samples.ky + box_size, samples.ky)
    np.testing.assert_array_equal(samples.rows, rows)
    np.testing.assert_array_equal(samples.columns, samples.kx)
    assert (np.hypot(samples.kx, samples.ky) <= 3).all()
    assert (samples.kx >= 0).all()
    expected = half_plane_weights((box_size, box_size))[samples.rows, samples.columns]
    np.testing.assert_array_equal(samples.weights, expected)


def test_samples_of_a_small_disc_in_numbers():
    samples = fourier_samples(8, 1)
    assert sorted(zip(samples.kx, samples.ky, strict=True)) == [(0, -1), (0, 0), (0, 1), (1, 0)]
    np.testing.assert_array_equal(np.sort(samples.shells), [0, 1, 1, 1])


def test_weighted_samples_are_the_whole_disc(rng):
    image = rng.normal(size=(9, 9))
    samples = fourier_samples(9, 100)  # everything: an odd box has no Nyquist
    values = image_to_half_plane(image)[samples.rows, samples.columns]
    np.testing.assert_allclose((samples.weights * abs(values) ** 2).sum(), (image**2).sum())


@pytest.mark.parametrize(("box_size", "limit"), [(8, 3), (9, 4)])
def test_nyquist_is_left_out(box_size, limit):
    samples = fourier_samples(box_size, box_size)
    assert samples.kx.max() == samples.ky.max() == -samples.ky.min() == limit


@pytest.mark.parametrize("size", [4, 5])
def test_voxel_positions_are_vectors_at_indices(size):
    positions = voxel_positions(size)
    assert positions.shape == (size, size, size, 3)
    np.testing.assert_array_equal(positions[size // 2, size // 2, size // 2], 0)
    z, y, x = 0, 1, 3
    np.testing.assert_array_equal(positions[z, y, x], np.array([x, y, z]) - size // 2)

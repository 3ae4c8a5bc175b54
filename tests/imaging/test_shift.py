import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hypermol.backend import as_numpy
from napari_hypermol.coordinates.fourier import half_plane_to_image, image_to_half_plane
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.imaging.shift import shift_phases


@pytest.mark.parametrize("pixel_size", [1.0, 1.7])
def test_whole_pixels_roll_the_image(rng, pixel_size):
    size = 9
    image = rng.normal(size=(size, size))
    samples = fourier_samples(size, 100)
    phases = shift_phases(np.array([[2.0, -3.0]]) * pixel_size, samples, pixel_size)
    half = image_to_half_plane(image)
    half[samples.rows, samples.columns] *= phases[0]
    moved = half_plane_to_image(half, (size, size))
    # +s moves to larger x (columns) and, here, to smaller y (rows)
    np.testing.assert_allclose(moved, np.roll(image, (-3, 2), axis=(0, 1)), atol=1e-5)


@given(st.tuples(st.floats(-20, 20), st.floats(-20, 20)))
def test_there_and_back_is_the_identity(shift):
    samples = fourier_samples(12, 5)
    there = shift_phases(np.array([shift]), samples, 1.3)
    back = shift_phases(-np.array([shift]), samples, 1.3)
    np.testing.assert_allclose(there * back, 1, atol=1e-5)
    assert there.dtype == np.complex64


def test_shifts_add():
    samples = fourier_samples(12, 5)
    a, b = np.array([[1.0, 2.0]]), np.array([[-0.5, 0.7]])
    both = shift_phases(a, samples, 2.0) * shift_phases(b, samples, 2.0)
    np.testing.assert_allclose(shift_phases(a + b, samples, 2.0), both, atol=1e-6)


def test_on_a_device(cupy, rng):
    samples, shifts = fourier_samples(12, 5), rng.normal(size=(3, 2))
    found = shift_phases(cupy.asarray(shifts), samples, 1.3)
    assert isinstance(found, cupy.ndarray)
    np.testing.assert_allclose(as_numpy(found), shift_phases(shifts, samples, 1.3), atol=1e-6)

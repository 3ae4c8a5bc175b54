import numpy as np
import pytest

from napari_hypermol import backend
from napari_hypermol.bases import stored_grid
from napari_hypermol.bases.stored_grid import half_of_stored, stored_of_half, stored_shape
from napari_hypermol.coordinates.fourier import padded_to_half_space
from oracles.stored_grid import stored_entries

SIZES = [2, 4, 6, 10]  # padded to 4 times odd and even numbers


def complex_noise(rng, shape):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("n_q", [1, 3])
def test_entries_are_the_transform_at_their_frequencies(rng, size, n_q):
    cubes = rng.normal(size=(n_q, size, size, size)).astype(np.float32)
    stored = stored_of_half(padded_to_half_space(cubes, 2 * size))
    assert stored.shape == (*stored_shape(2 * size), n_q)
    expected = stored_entries(cubes)
    np.testing.assert_allclose(stored, expected, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("size", SIZES)
def test_adjoint(rng, size):
    """<stored, A half> = <A* stored, half>, inner columns of the second counted twice."""
    half = padded_to_half_space(rng.normal(size=(2, size, size, size)).astype(np.float32), 2 * size)
    stored = complex_noise(rng, (*stored_shape(2 * size), 2))
    twice = np.full(size + 1, 2.0)
    twice[[0, -1]] = 1
    left = np.vdot(stored, stored_of_half(half).astype(np.complex128)).real
    right = (np.conj(half_of_stored(stored)).astype(np.complex128) * half * twice).sum().real
    assert left == pytest.approx(right, rel=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_loops_do_what_the_arrays_do(rng, size):
    half = complex_noise(rng, (3, 2 * size, 2 * size, size + 1))
    stored = complex_noise(rng, (*stored_shape(2 * size), 3))
    np.testing.assert_array_equal(stored_of_half(half), stored_grid._stored_by_parts(half))
    np.testing.assert_allclose(
        half_of_stored(stored), stored_grid._half_by_parts(stored), atol=2e-6 * 8
    )


@pytest.mark.parametrize("size", SIZES[:3])
def test_on_a_device(cupy, rng, size):
    half = complex_noise(rng, (3, 2 * size, 2 * size, size + 1))
    stored = complex_noise(rng, (*stored_shape(2 * size), 3))
    for call, value in ((stored_of_half, half), (half_of_stored, stored)):
        found = call(cupy.asarray(value))
        assert isinstance(found, cupy.ndarray)
        np.testing.assert_allclose(backend.as_numpy(found), call(value), atol=2e-6 * 8)


def test_arrays_that_are_views_are_read_right(rng):
    half = complex_noise(rng, (8, 8, 5, 2))
    turned = np.moveaxis(half, -1, 0)
    np.testing.assert_array_equal(stored_of_half(turned), stored_of_half(turned.copy()))
    stored = complex_noise(rng, (2, *stored_shape(8)))
    turned = np.moveaxis(stored, 0, -1)
    np.testing.assert_array_equal(half_of_stored(turned), half_of_stored(turned.copy()))

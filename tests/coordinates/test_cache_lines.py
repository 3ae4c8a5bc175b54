import numpy as np
import pytest

from napari_hypermol.coordinates.cache_lines import (
    empty_array,
    offsets_of,
    one_after_other,
    zeros_for_threads,
)


def is_at_a_line(array):
    return array.ctypes.data % 64 == 0


@pytest.mark.parametrize("shape", [(1,), (3, 5), (41, 41, 22, 3)])
@pytest.mark.parametrize("kind", [np.complex64, np.float32, np.float64])
def test_arrays_begin_at_a_line(shape, kind):
    array = empty_array(shape, kind)
    assert is_at_a_line(array)
    assert array.shape == shape
    assert array.dtype == kind
    assert array.flags.c_contiguous
    array[:] = 1  # all of it is ours


@pytest.mark.parametrize("length", [1, 16, 1000])
def test_every_thread_has_zeros_from_a_line_on(length):
    zeros = zeros_for_threads(3, length)
    assert zeros.shape[1] >= length
    assert all(is_at_a_line(row) for row in zeros)
    assert not zeros.any()
    assert zeros.flags.c_contiguous


def test_arrays_one_after_other(rng):
    pieces = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 5), (16,), (7,), (2, 2))]
    offsets, total = offsets_of([piece.size for piece in pieces])
    assert (offsets % 16 == 0).all()
    assert offsets[0] == 0
    values = one_after_other(pieces)
    assert is_at_a_line(values)
    assert len(values) == total == offsets[-1] + 4
    for offset, piece in zip(offsets, pieces, strict=True):
        np.testing.assert_array_equal(values[offset : offset + piece.size], piece.ravel())
        values[offset : offset + piece.size] = 0
    assert not values.any()  # between them, too


def test_a_single_array_is_not_copied(rng):
    piece = rng.normal(size=(3, 5)).astype(np.float32)
    assert np.shares_memory(one_after_other([piece]), piece)


def test_arrays_of_a_device_stay_there(cupy):
    values = one_after_other([cupy.ones(3, np.float32), 4 * cupy.ones(2, np.float32)])
    assert isinstance(values, cupy.ndarray)
    np.testing.assert_array_equal(cupy.asnumpy(values), [1, 1, 1, *[0] * 13, 4, 4])

"""Arrays that begin where a cache line does.

A vector of eight numbers that lies across two lines costs a processor two reads. NumPy's large
arrays begin 16 bytes behind a line, so that every other vector does.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_hypermol.backend import array_module

__all__ = ["empty_array", "offsets_of", "one_after_other", "zeros_for_threads"]

_LINE = 64  # [bytes]


def _at_a_line(buffer: NDArray[np.uint8], n_bytes: int) -> NDArray[np.uint8]:
    first = -buffer.ctypes.data % _LINE
    return buffer[first : first + n_bytes]


def empty_array(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """As `numpy.empty`."""
    kind = np.dtype(dtype)
    n_bytes = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    buffer = np.empty(n_bytes + _LINE, dtype=np.uint8)
    return _at_a_line(buffer, n_bytes).view(kind).reshape(shape)


def zeros_for_threads(n_threads: int, length: int) -> NDArray[np.float32]:
    """Zeros (threads, `length` or a few more) for every thread to add to, each row at a line."""
    width = -(-length // (_LINE // 4)) * (_LINE // 4)
    n_bytes = 4 * n_threads * width
    buffer = np.zeros(n_bytes + _LINE, dtype=np.uint8)  # pages are cleared as they are touched
    return _at_a_line(buffer, n_bytes).view(np.float32).reshape(n_threads, width)


def offsets_of(lengths: Sequence[int]) -> tuple[NDArray[np.int64], int]:
    """Where arrays of so many float32 begin if each does at a line; how many that are in all."""
    offsets, total = np.empty(len(lengths), dtype=np.int64), 0
    for i, length in enumerate(lengths):
        offsets[i] = -(-total // (_LINE // 4)) * (_LINE // 4)
        total = int(offsets[i]) + int(length)
    return offsets, total


def one_after_other(pieces: Sequence[Any]) -> Any:
    """Arrays of float32 in one, at `offsets_of` their sizes, zeros between; where they are."""
    if len(pieces) == 1:
        return pieces[0].reshape(-1)
    offsets, total = offsets_of([piece.size for piece in pieces])
    xp = array_module(pieces[0])
    values = xp.empty(total, np.float32) if xp is not np else empty_array((total,), np.float32)
    end = 0
    for offset, piece in zip(offsets, pieces, strict=True):
        values[end:offset] = 0
        end = offset + piece.size
        values[offset:end] = piece.reshape(-1)
    return values

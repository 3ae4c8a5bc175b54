"""The least time that slicing and comparing can take: bytes that must move, over measured rates.

Bytes of one particle with Q functions and K samples:

- D (2 K) and W (K) in float32, read once: from memory, at the rate of a long stream;
- 27 taps of Q complex float32 for every sample: at the rate at which an array of the grid's size is
  read again and again, from whichever cache holds it;
- b and G written: nothing beside these.

What stays in the first cache is not counted. The second count takes each cache line of the grid
that a slice meets once, whatever the number of taps on it; no order of reading could do with less.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples

__all__ = ["Floor", "best_of", "floor_of", "read_rate"]

_STREAM = 256 * 2**20  # bytes: eight times the last cache of any machine seen so far
_LINE = 64  # bytes of a cache line
_PARTS = 8  # independent sums, so that additions do not wait for one another


class Floor(NamedTuple):
    """Least seconds for one particle, by the two counts."""

    every_tap: float
    every_line: float
    stream_rate: float  # [bytes / s]
    grid_rate: float  # [bytes / s]
    grid_bytes: int


@numba.njit(parallel=True, fastmath=True, cache=True)
def _read(values: Any, repeats: Any, parts: Any, out: Any) -> None:
    n = values.shape[0]
    for part in numba.prange(parts):
        total = np.float32(0)
        start, stop = part * n // parts, (part + 1) * n // parts
        for _ in range(repeats):
            for i in range(start, stop):
                total += values[i]
            total *= np.float32(0.5)  # or the compiler would read once and multiply
        out[part] = total


@numba.njit(parallel=True, fastmath=True, cache=True)
def _read_all(values: Any, repeats: Any, threads: Any, out: Any) -> None:
    """Every thread reads all of it, as every thread reads all of the grid."""
    for thread in numba.prange(threads):
        total = np.float32(0)
        for _ in range(repeats):
            for i in range(values.shape[0]):
                total += values[i]
            total *= np.float32(0.5)
        out[thread] = total


def best_of(call: Callable[[], object], at_least: float = 0.3) -> float:
    """Least seconds of calls that go on for `at_least`, or three; the first may compile."""
    call()
    seconds: list[float] = []
    while len(seconds) < 3 or (sum(seconds) < at_least and len(seconds) < 50):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def read_rate(n_bytes: int, is_shared: bool) -> float:
    """Bytes a second, all threads together, of reading an array again and again.

    Parameters
    ----------
    n_bytes : int
    is_shared : bool
        Every thread reads all of it; else each its own part.
    """
    values = np.ones(n_bytes // 4, np.float32)
    threads = numba.get_num_threads()
    repeats = max(1, int(2e8 / n_bytes))
    out = np.empty(threads, np.float32)
    read = _read_all if is_shared else _read
    seconds = best_of(lambda: read(values, repeats, threads, out))
    return n_bytes * repeats * (threads if is_shared else 1) / seconds


def lines_of_a_slice(
    rotation: NDArray[np.float32], grids: FourierGrids, samples: FourierSamples
) -> int:
    """Cache lines of the first grid that the taps of one slice meet."""
    rows = rotation[:2].astype(np.float64) * float(grids.scales[0])
    k = np.stack([samples.kx, samples.ky], axis=1).astype(np.float64) @ rows  # (x, y, z)
    k *= np.where(k[:, :1] >= 0, 1, -1)
    nearest = np.rint(k).astype(np.int64)
    point = 8 * int(grids.n_functions[0])  # bytes
    taps = np.stack(np.meshgrid(*3 * [np.arange(3)], indexing="ij"), axis=-1).reshape(-1, 3)
    origin = int(grids.origins[0]) - 1
    at = nearest[:, None] + taps  # column 0 of x is at index 1 of the grid, as the first tap
    _, size_y, size_x = (int(v) for v in grids.sizes[0])
    address = ((at[..., 2] + origin) * size_y + at[..., 1] + origin) * size_x + at[..., 0]
    first = address.ravel() * point // _LINE
    last = (address.ravel() * point + point - 1) // _LINE
    met = [first + step for step in range(int((last - first).max()) + 1)]
    lines = np.concatenate([line[line <= last] for line in met])
    return len(np.unique(lines))


def floor_of(grids: FourierGrids, samples: FourierSamples, rotations: NDArray[np.float32]) -> Floor:
    """Least seconds a particle, all threads at work."""
    k, q = len(samples.kx), int(grids.n_functions[0])
    stream = read_rate(_STREAM, is_shared=False)
    grid_bytes = grids.values.nbytes
    grid = read_rate(grid_bytes, is_shared=True)
    images = 3 * k * 4 / stream
    lines = np.mean([lines_of_a_slice(r, grids, samples) for r in rotations[:8]])
    return Floor(
        images + 27 * 8 * q * k / grid, images + lines * _LINE / grid, stream, grid, grid_bytes
    )

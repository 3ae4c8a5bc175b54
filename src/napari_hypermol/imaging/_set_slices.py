"""Slices of one placed coefficient set for one particle, and their adjoint: a shared loop.

Everything that slices calls it, by its address: it is compiled once.
"""

from typing import Any

import numba
import numpy as np

from napari_hypermol.imaging._tap_table import BLOCK, TABLE_ROWS, fill_table, first_tap
from napari_hypermol.imaging._taps import MOST, gather, prefetch, scatter
from napari_hypermol.loops import Shared, inlined, scratch_floats, scratch_integers

__all__ = ["SLICE_SET"]

# Grids that the caches near a core do not hold, in floats, are asked for some samples ahead; lines
# of few functions are nearer to one another than asking is worth.
_FAR, _MANY, _AHEAD = 2**20, 4, 3
_CACHE_LINE = 16  # floats
_TABLE, _STEPS = TABLE_ROWS * BLOCK, 3 * BLOCK  # numbers


@inlined()
def _prefetch_taps(grid: Any, row: Any, count: Any, y_step: Any, z_step: Any) -> None:
    """Ask for the taps of a sample to come."""
    for iz in range(3):
        for iy in range(3):
            line = row + iz * z_step + iy * y_step
            for at in range(line, line + 6 * count, _CACHE_LINE):
                prefetch(grid, at)


@inlined(fastmath=True)
def _phases(rows: Any, centre: Any, box_size: Any, along_x: Any, along_y: Any) -> None:
    """exp(-2 pi i k.(R c) / N) for every kx and ky apart; they multiply."""
    limit = along_x.shape[0] - 1
    turn = -2.0 * np.pi / box_size
    x = rows[0, 0] * centre[0] + rows[0, 1] * centre[1] + rows[0, 2] * centre[2]
    y = rows[1, 0] * centre[0] + rows[1, 1] * centre[1] + rows[1, 2] * centre[2]
    for i in range(limit + 1):
        along_x[i] = np.complex64(complex(np.cos(turn * x * i), np.sin(turn * x * i)))
    for i in range(2 * limit + 1):
        angle = turn * y * (i - limit)
        along_y[i] = np.complex64(complex(np.cos(angle), np.sin(angle)))


@inlined(fastmath=True)
def _turn(values: Any, start: Any, stop: Any, re: Any, im: Any) -> None:
    """Multiply complex numbers lying side by side by one of modulus 1."""
    for j in range(start, stop, 2):
        x, y = values[j], values[j + 1]
        values[j], values[j + 1] = re * x - im * y, re * y + im * x


def _slice_set(
    values_at: Any, grid_at: Any, rows_at: Any, centre_at: Any, scales_at: Any, kx_at: Any,
    ky_at: Any, columns: Any, start: Any, count: Any, s: Any, offset: Any, size_z: Any,
    size_y: Any, size_x: Any, origin: Any, n_samples: Any, box_size: Any, is_adjoint: Any,
) -> None:  # fmt: skip
    """Slices of grid s into columns (n_samples, `columns`) from `start` on, or these added to it.

    `rows_at` (2, 3) are those of the rotation, from image frequencies to the set's own frame.
    """
    values = numba.carray(values_at, (n_samples * columns,))
    grid = numba.carray(grid_at, (offset + size_z * size_y * size_x * 2 * count,))
    rows, centre = numba.carray(rows_at, (2, 3)), numba.carray(centre_at, (3,))
    kx, ky = numba.carray(kx_at, (n_samples,)), numba.carray(ky_at, (n_samples,))
    scale = numba.carray(scales_at, (s + 1,))[s]
    limit = box_size // 2
    is_centred = centre[0] == 0 and centre[1] == 0 and centre[2] == 0
    phases = np.empty(1 if is_centred else 3 * limit + 2, dtype=np.complex64)
    if not is_centred:
        _phases(rows, centre, box_size, phases[: limit + 1], phases[limit + 1 :])
    table = numba.carray(scratch_floats(_TABLE), (TABLE_ROWS, BLOCK))
    steps = numba.carray(scratch_integers(_STEPS), (3, BLOCK))
    x_step = 2 * count
    y_step = size_x * x_step
    z_step = size_y * y_step
    is_far = count >= _MANY and size_z * z_step > _FAR
    re, im = np.float32(1), np.float32(0)
    for first in range(0, n_samples, BLOCK):
        n_here = min(BLOCK, n_samples - first)
        fill_table(rows, scale, kx, ky, first, n_here, table, steps)
        for k in range(n_here):
            if is_far and k + _AHEAD < n_here:
                ahead = first_tap(steps, k + _AHEAD, origin, x_step, y_step, z_step)
                _prefetch_taps(grid, offset + ahead, count, y_step, z_step)
            at = (first + k) * columns + start
            if not is_centred:
                x, y = int(kx[first + k]), int(ky[first + k])
                phase = phases[x] * phases[y + 2 * limit + 1]
                re, im = phase.real, phase.imag
                if is_adjoint:
                    _turn(values, at, at + x_step, re, -im)
            row = offset + first_tap(steps, k, origin, x_step, y_step, z_step)
            for q in range(0, count, MOST):
                n, value, tap = min(MOST, count - q), at + 2 * q, row + 2 * q
                if is_adjoint:
                    scatter(values, value, n, grid, tap, y_step, z_step, x_step, table, k)
                else:
                    gather(values, value, n, grid, tap, y_step, z_step, x_step, table, k)
            if not is_centred and not is_adjoint:
                _turn(values, at, at + x_step, re, im)


SLICE_SET = Shared(_slice_set, n_arrays=7, n_numbers=12)

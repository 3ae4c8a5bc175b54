"""Where the taps of a block of samples lie, and what they weigh.

The part of slicing that is the same for every function of a component, done for a block of samples
at once so that it runs in vector units; `_taps` reads the table it leaves, sample by sample.
"""

from typing import Any

import numba
import numpy as np

from napari_hypermol.coordinates.gridding import KERNEL_POLYNOMIALS
from napari_hypermol.loops import inlined

__all__ = ["ALONG_X", "BLOCK", "SIGN", "TABLE_ROWS", "fill_table", "first_tap"]

BLOCK = 64  # samples of a table: with the taps' lines of a few samples it stays in the first cache
# Rows of a table: weights of the nine lines of taps, z before y; of the three taps of a line;
# and -1 where the sample was reflected into the half space x >= 0, so is to be conjugated.
ALONG_X = 9
SIGN = 12
TABLE_ROWS = 13

_LEFT = tuple(np.float32(c) for c in KERNEL_POLYNOMIALS[0])
_MIDDLE = tuple(np.float32(c) for c in KERNEL_POLYNOMIALS[1])
_ROUND = 4096  # makes truncation round down; no grid has that many steps
_RAISED = np.float32(_ROUND + 0.5)
_LOWERED = np.float32(_ROUND)


@numba.njit(fastmath=True, inline="always")  # type: ignore[untyped-decorator]
def _outer_tap(t: Any) -> Any:
    c = _LEFT
    return (((((c[6] * t + c[5]) * t + c[4]) * t + c[3]) * t + c[2]) * t + c[1]) * t + c[0]


@numba.njit(fastmath=True, inline="always")  # type: ignore[untyped-decorator]
def _middle_tap(t: Any) -> Any:
    c, s = _MIDDLE, t * t
    return ((c[6] * s + c[4]) * s + c[2]) * s + c[0]


@inlined(fastmath={"contract", "nsz"})
def fill_table(
    rows: Any, scale: Any, kx: Any, ky: Any, first: Any, count: Any, table: Any, steps: Any
) -> None:
    """Fill the table (TABLE_ROWS, BLOCK) of `count` <= BLOCK samples from `first` on.

    `rows` (2, 3) times `scale` take image frequencies to grid steps. The nearest grid points are
    left in `steps` (3, BLOCK) int32, in x, y, z, as `first_tap` reads them.
    """
    # Plain indices, for a view of an array would be counted, one atomic operation each; integers
    # of one width, and two loops, so that both are found to be vectors.
    ax, ay, az = scale * rows[0, 0], scale * rows[0, 1], scale * rows[0, 2]
    bx, by, bz = scale * rows[1, 0], scale * rows[1, 1], scale * rows[1, 2]
    for k in range(count):
        x = ax * kx[first + k] + bx * ky[first + k]
        sign = np.float32(1) if x >= 0 else np.float32(-1)
        table[SIGN, k] = sign
        # where the sample is; its place is taken by weights in the end
        table[ALONG_X, k] = sign * x
        table[ALONG_X + 1, k] = sign * (ay * kx[first + k] + by * ky[first + k])
        table[ALONG_X + 2, k] = sign * (az * kx[first + k] + bz * ky[first + k])
    for k in range(count):
        x, y, z = table[ALONG_X, k], table[ALONG_X + 1, k], table[ALONG_X + 2, k]
        near_x, near_y, near_z = np.int32(x + _RAISED), np.int32(y + _RAISED), np.int32(z + _RAISED)
        steps[0, k], steps[1, k], steps[2, k] = near_x, near_y, near_z
        x -= np.float32(near_x) - _LOWERED
        y -= np.float32(near_y) - _LOWERED
        z -= np.float32(near_z) - _LOWERED
        y0, y1, y2 = _outer_tap(y), _middle_tap(y), _outer_tap(-y)
        z0, z1, z2 = _outer_tap(z), _middle_tap(z), _outer_tap(-z)
        table[0, k], table[1, k], table[2, k] = z0 * y0, z0 * y1, z0 * y2
        table[3, k], table[4, k], table[5, k] = z1 * y0, z1 * y1, z1 * y2
        table[6, k], table[7, k], table[8, k] = z2 * y0, z2 * y1, z2 * y2
        table[ALONG_X, k] = _outer_tap(x)
        table[ALONG_X + 1, k], table[ALONG_X + 2, k] = _middle_tap(x), _outer_tap(-x)


@inlined()
def first_tap(steps: Any, k: Any, origin: Any, x_step: Any, y_step: Any, z_step: Any) -> Any:
    """Offset of the first of a sample's 27 taps from the start of its grid.

    `origin` is the index of zero frequency along y and z; along x it is 1.
    """
    x, y, z = np.int64(steps[0, k]), np.int64(steps[1, k]), np.int64(steps[2, k])
    lowest = origin - 1 - _ROUND
    return (x - _ROUND) * x_step + (y + lowest) * y_step + (z + lowest) * z_step

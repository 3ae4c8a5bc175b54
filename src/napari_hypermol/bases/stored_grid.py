"""Half spaces of padded cubes as slices read them: functions innermost, repeated beyond the edges.

Taps reach `HALO` entries beyond the half space; stored there is what periodicity and
F(-k) = conj F(k) say, so that nobody who slices has to ask. On the way the cube's centre is brought
from index n / 2, where it lies in front of its padding, to the origin: a factor i^(kx + ky + kz),
that is a quarter turn, which rounds nothing.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module
from napari_hypermol.coordinates.cache_lines import empty_array
from napari_hypermol.coordinates.gridding import HALO, OVERSAMPLING
from napari_hypermol.loops import compiled

__all__ = ["half_of_stored", "stored_of_half", "stored_shape"]

Complex64 = NDArray[np.complex64]
assert OVERSAMPLING == 2  # of the quarter turns
_COS = np.array([1, 0, -1, 0], dtype=np.float32)
_SIN = np.array([0, 1, 0, -1], dtype=np.float32)


def stored_shape(padded: int) -> tuple[int, int, int]:
    """Stored (z, y, x) of cubes of `padded` voxels; zero frequency is at (p/2 + HALO, same, 1)."""
    return (padded + 2 * HALO + 1, padded + 2 * HALO + 1, padded // 2 + 2 * HALO)


def stored_of_half(half: Complex64) -> Complex64:
    """What slices read of transforms of padded cubes.

    Parameters
    ----------
    half : (q, p, p, p // 2 + 1) complex64 array
        `coordinates.fourier.padded_to_half_space` of cubes of p / 2 voxels, p a multiple of 4.

    Returns
    -------
    (z, y, x, q) complex64 array
        `stored_shape`, centre of the cubes at the origin; where `half` is.
    """
    xp, padded = array_module(half), half.shape[1]
    if xp is not np:
        return _stored_by_parts(half)
    stored: Complex64 = empty_array((*stored_shape(padded), len(half)), np.complex64)
    _store(np.ascontiguousarray(half).view(np.float32), _COS, _SIN, stored.view(np.float32))
    return stored


def half_of_stored(stored: Complex64) -> Complex64:
    """Adjoint of `stored_of_half`, for the product Re sum conj(a) b over stored entries.

    Parameters
    ----------
    stored : (z, y, x, q) complex64 array

    Returns
    -------
    (q, p, p, p // 2 + 1) complex64 array
        For the product over the whole space: inner columns along x, which stand for two, halved.
    """
    padded = stored.shape[0] - 2 * HALO - 1
    if array_module(stored) is not np:
        return _half_by_parts(stored)
    half = np.empty((stored.shape[3], padded, padded, padded // 2 + 1), dtype=np.complex64)
    _fold(np.ascontiguousarray(stored).view(np.float32), _COS, _SIN, half.view(np.float32))
    return half


# ---- in main memory --------------------------------------------------------------------------


@compiled(parallel=True)
def _store(half: Any, cos: Any, sin: Any, stored: Any) -> None:
    """Re and im side by side: (q, p, p, 2 (p // 2 + 1)) -> (z, y, x, 2 q)."""
    n_q, padded = half.shape[0], half.shape[1]
    n_z, n_y, n_x = stored.shape[0], stored.shape[1], stored.shape[2]
    origin, nyquist = padded // 2 + HALO, padded // 2
    for i_z in numba.prange(n_z):
        for i_y in range(n_y):
            k_z, k_y = i_z - origin, i_y - origin
            row = stored[i_z, i_y]
            for q in range(n_q):
                direct = half[q, k_z % padded, k_y % padded]
                for x in range(nyquist + 1):
                    turn = (k_z + k_y + x) & 3
                    re, im = direct[2 * x], direct[2 * x + 1]
                    row[x + 1, 2 * q] = cos[turn] * re - sin[turn] * im
                    row[x + 1, 2 * q + 1] = sin[turn] * re + cos[turn] * im
                mirrored = half[q, -k_z % padded, -k_y % padded]
                for i_x in range(n_x):
                    k_x = i_x - 1
                    if 0 <= k_x <= nyquist:
                        continue
                    x, turn = -k_x % padded, (k_z + k_y + k_x) & 3
                    re, im = mirrored[2 * x], -mirrored[2 * x + 1]
                    row[i_x, 2 * q] = cos[turn] * re - sin[turn] * im
                    row[i_x, 2 * q + 1] = sin[turn] * re + cos[turn] * im


@compiled(parallel=True)
def _fold(stored: Any, cos: Any, sin: Any, half: Any) -> None:
    """Every entry of the half space gathers what was stored of it; as in `_store`."""
    n_q, padded = half.shape[0], half.shape[1]
    n_z, n_y, n_x = stored.shape[0], stored.shape[1], stored.shape[2]
    origin, nyquist = padded // 2 + HALO, padded // 2
    for z in numba.prange(padded):
        sums = np.empty((nyquist + 1, 2 * n_q), dtype=np.float32)
        for y in range(padded):
            sums[:] = 0
            for i_z in range((z + origin) % padded, n_z, padded):
                for i_y in range((y + origin) % padded, n_y, padded):
                    row = stored[i_z, i_y]
                    for x in range(nyquist + 1):
                        for part in range(2 * n_q):
                            sums[x, part] += row[x + 1, part]
            for i_z in range((origin - z) % padded, n_z, padded):
                for i_y in range((origin - y) % padded, n_y, padded):
                    row = stored[i_z, i_y]
                    for i_x in range(n_x):
                        k_x = i_x - 1
                        if 0 <= k_x <= nyquist:
                            continue
                        x = -k_x % padded
                        for q in range(n_q):
                            sums[x, 2 * q] += row[i_x, 2 * q]
                            sums[x, 2 * q + 1] -= row[i_x, 2 * q + 1]
            for q in range(n_q):
                own = half[q, z, y]
                for x in range(nyquist + 1):
                    turn = (z + y + x) & 3
                    share = np.float32(1 if x in (0, nyquist) else 0.5)
                    re, im = share * sums[x, 2 * q], share * sums[x, 2 * q + 1]
                    own[2 * x] = cos[turn] * re + sin[turn] * im
                    own[2 * x + 1] = cos[turn] * im - sin[turn] * re


# ---- anywhere, by functions of arrays --------------------------------------------------------


def _columns(padded: int) -> tuple[NDArray[np.int64], slice, list[int]]:
    """Frequencies along stored z and y; columns that the half space has, and those beyond it."""
    n_z, _, n_x = stored_shape(padded)
    beyond = [0, *range(padded // 2 + 2, n_x)]
    return np.arange(n_z) - padded // 2 - HALO, slice(1, padded // 2 + 2), beyond


def _turned(half: Complex64, sign: int) -> Complex64:
    """Times i^(sign (kx + ky + kz)); (q, p, p, p // 2 + 1)."""
    xp, powers = array_module(half), np.array([1, 1j, -1, -1j], dtype=np.complex64)
    z, y, x = (xp.asarray(powers[sign * np.arange(n) % 4]) for n in half.shape[1:])
    turned: Complex64 = half * z[:, None, None]
    turned *= y[:, None]
    turned *= x
    return turned


def _stored_by_parts(half: Complex64) -> Complex64:
    xp, padded = array_module(half), half.shape[1]
    k, direct, beyond = _columns(padded)
    half = xp.moveaxis(_turned(half, 1), 0, -1)
    stored: Any = xp.empty((*stored_shape(padded), half.shape[-1]), dtype=np.complex64)
    along, mirrored = xp.asarray(k % padded), xp.asarray(-k % padded)
    columns = xp.asarray(np.arange(padded // 2 + 1))
    stored[:, :, direct] = half[xp.ix_(along, along, columns)]
    # Beyond x = 0 and x = Nyquist: F(-k) = conj F(k), and F is periodic.
    for column in beyond:
        source = half[:, :, (1 - column) % padded]
        stored[:, :, column] = xp.conj(source[xp.ix_(mirrored, mirrored)])
    return stored  # type: ignore[no-any-return]


def _half_by_parts(stored: Complex64) -> Complex64:
    xp, padded = array_module(stored), stored.shape[0] - 2 * HALO - 1
    k, direct, beyond = _columns(padded)
    half = _folded(stored[:, :, direct], k % padded, padded)
    for column in beyond:
        folded = _folded(stored[:, :, column], -k % padded, padded)
        half[:, :, (1 - column) % padded] += xp.conj(folded)
    half[:, :, 1:-1] *= np.float32(0.5)
    return _turned(xp.moveaxis(half, -1, 0), -1)


def _folded(stored: Any, source: NDArray[np.int64], padded: int) -> Any:
    """Add every stored (z, y) entry to the frequency it repeats."""
    xp = array_module(stored)
    for axis in (0, 1):
        sums = xp.zeros((*stored.shape[:axis], padded, *stored.shape[axis + 1 :]), np.complex64)
        whole = (slice(None),) * axis
        # no frequency is met twice by a stretch of `padded` entries
        for start in range(0, len(source), padded):
            part = slice(start, min(start + padded, len(source)))
            sums[(*whole, xp.asarray(source[part]))] += stored[(*whole, part)]
        stored = sums
    return stored

"""Weights of samples spread over a periodic Fourier grid: the loop of `posterior.gridded_weights`.

Every sample adds to the eight grid points around it. Two points that are neighbours along x lie
side by side, so a sample has four runs of numbers to add, all the same but for a factor.
"""

from typing import Any

import numba
import numpy as np

from napari_hypermol.imaging._taps import prefetch
from napari_hypermol.loops import compiled

__all__ = ["spread_weights"]

_ROUND = 4096.0  # makes truncation round down; no grid has that many steps
_BLOCK = 64  # samples whose places are found before any of them is added to
# Grids that the caches near a core do not hold, in floats, are asked for some samples ahead.
_FAR, _AHEAD = 2**20, 6
_CACHE_LINE = 16  # floats


@compiled(parallel=True, fastmath=True)
def spread_weights(
    weights: Any, moments: Any, rotations: Any, placed: Any, scale: Any, kx: Any, ky: Any,
    order: Any, targets: Any,
) -> None:  # fmt: skip
    """Add the weights of every sample, times moments, to the eight grid points around it.

    Parameters
    ----------
    weights : (n, k) float32 ndarray
    moments : (n, r) float32 ndarray
        In r directions; particles without any are passed over.
    rotations : (n, 3, 3) float32 ndarray
        Molecule to image frame.
    placed : (3, 3) float32 ndarray
        Grid to molecule frame.
    scale : float32
        Grid steps per frequency index of the image.
    kx, ky : (k,) float32 ndarray
        Frequency indices, within the grid: nobody looks here.
    order : (n,) int64 ndarray
        In which particles are taken, as by `view_order`.
    targets : (threads, z, y, x, r) float32 ndarray
        Added to, half a weight at k or -k, whichever has x >= 0; their sum counts. One column
        more along x than the half space has, whose weight is zero.
    """
    n, parts, edge, width, rank = (
        weights.shape[0], targets.shape[0], targets.shape[1], targets.shape[3], targets.shape[4]
    )  # fmt: skip
    one = np.float32(1)
    # unsigned: an index that cannot be negative lets the compiler add vectors
    n_near, n_both = np.uint64(rank), np.uint64(2 * rank)
    for part in numba.prange(parts):
        target = targets[part].reshape(-1)
        is_far = len(target) > _FAR
        rows = np.empty((2, 3), dtype=np.float32)
        run = np.empty(2 * rank, dtype=np.float32)
        own = np.empty(rank, dtype=np.float32)
        starts = np.empty((4, _BLOCK), dtype=np.int64)
        shares = np.empty((4, _BLOCK), dtype=np.float32)
        beyond = np.empty(_BLOCK, dtype=np.float32)  # what goes to the far one of two neighbours
        for i in order[part * n // parts : (part + 1) * n // parts]:
            strongest = np.float32(0)
            for r in range(rank):
                own[r] = np.float32(0.5) * moments[i, r]
                strongest = max(strongest, abs(own[r]))
            if strongest == 0:
                continue
            for a in range(2):
                for b in range(3):
                    total = np.float32(0)
                    for c in range(3):
                        total += rotations[i, a, c] * placed[c, b]
                    rows[a, b] = total * scale
            for first in range(0, len(kx), _BLOCK):
                n_here = min(_BLOCK, len(kx) - first)
                for j in range(n_here):
                    k = first + j
                    ux = rows[0, 0] * kx[k] + rows[1, 0] * ky[k]
                    uy = rows[0, 1] * kx[k] + rows[1, 1] * ky[k]
                    uz = rows[0, 2] * kx[k] + rows[1, 2] * ky[k]
                    if ux < 0:
                        ux, uy, uz = -ux, -uy, -uz
                    ix = int(ux)
                    iy = int(uy + np.float32(_ROUND)) - int(_ROUND)
                    iz = int(uz + np.float32(_ROUND)) - int(_ROUND)
                    dx, dy, dz = ux - np.float32(ix), uy - np.float32(iy), uz - np.float32(iz)
                    beyond[j] = dx
                    for z in range(2):
                        at_z = iz + z if iz + z >= 0 else iz + z + edge
                        for y in range(2):
                            at_y = iy + y if iy + y >= 0 else iy + y + edge
                            starts[2 * z + y, j] = ((at_z * edge + at_y) * width + ix) * rank
                            share = (dz if z else one - dz) * (dy if y else one - dy)
                            shares[2 * z + y, j] = share
                for j in range(n_here):
                    if is_far and j + _AHEAD < n_here:
                        for corner in range(4):
                            begin = starts[corner, j + _AHEAD]
                            end = begin + 2 * rank
                            for at in range(begin, end, _CACHE_LINE):
                                prefetch(target, at)
                            prefetch(target, end - 1)  # runs begin anywhere in a line
                    far = weights[i, first + j] * beyond[j]
                    near = weights[i, first + j] - far
                    for r in range(n_near):
                        run[r] = near * own[r]
                    for r in range(n_near):
                        run[n_near + r] = far * own[r]
                    for corner in range(4):
                        start, share = np.uint64(starts[corner, j]), shares[corner, j]
                        for r in range(n_both):
                            target[start + r] += share * run[r]

"""What the likelihood does with every particle: a slice, its products, and what is sent back.

Rows are a particle's slices, a sample's functions side by side; they live in cache only, and
nothing of size (n, k, q) is ever stored. Columns whose moments are zero for a particle, such as
positions it is not in, are neither sliced nor scattered: the others lie side by side.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.imaging.projector import Placements, scatter_particle, slice_particle
from napari_hypermol.loops import compiled, inlined
from napari_hypermol.posterior._row_products import (
    MOST,
    SLACK,
    TILE,
    tile_mixture,
    tile_products,
    tile_residual,
)

__all__ = ["fill_products", "image_adjoint_loop", "overlaps_loop", "sent_back_loop", "tiles_of"]


def tiles_of(pairs: NDArray[np.bool_]) -> NDArray[np.int64]:
    """What `tile_products` is asked for, so that all wanted pairs (q, q) of functions are found.

    Returns
    -------
    (tiles, 3) int64 ndarray
        q, p, count; of every q one with p = q, for b.
    """
    found, n_q = [], len(pairs)
    for q in range(0, n_q, TILE):
        part = -(-(n_q - q) // -(-(n_q - q) // MOST))  # as even as can be
        for p in range(q, n_q, part):
            wanted = np.flatnonzero(pairs[p : p + part, q : q + TILE].any(axis=1))
            count = wanted[-1] + 1 if len(wanted) else int(p == q)
            if count:
                found.append((q, p, count))
    return np.array(found, dtype=np.int64)


@inlined()
def fill_products(
    rows: Any, n_q: Any, weights: Any, data: Any, i: Any, tiles: Any, sums: Any, entry: Any,
    b: Any, g: Any,
) -> None:  # fmt: skip
    """Fills an entry of b and G from the rows of particle i; `sums` (MOST + 1, 4) is scratch.

    b (n, q) and G (n, q, q) are flat: fewer indices to check. Rows have `SLACK` behind them.
    """
    own, whole = entry * n_q, entry * n_q * n_q
    for t in range(len(tiles)):
        q, p, count = tiles[t, 0], tiles[t, 1], tiles[t, 2]
        width = min(TILE, n_q - q)
        tile_products(rows, 2 * n_q, q, p, count, i, weights, data, weights.shape[1], sums)
        if p == q:
            for j in range(width):
                b[own + q + j] = sums[count, j]
        for other in range(count):
            row, column = whole + (p + other) * n_q + q, whole + q * n_q + p + other
            for j in range(width):
                g[row + j] = sums[other, j]
                g[column + j * n_q] = sums[other, j]


@compiled(parallel=True)
def overlaps_loop(
    data: Any, weights: Any, rotations: Any, grids: Any, placements: Any, samples: Any,
    tiles: Any, n_q: Any, order: Any, parts: Any, b: Any, g: Any,
) -> None:  # fmt: skip
    """Fills b (n q) and G (n q q), which are flat, with what `tiles` say."""
    n, n_samples = weights.shape
    for part in numba.prange(parts):
        flat = np.zeros(n_samples * 2 * n_q + SLACK, dtype=np.float32)
        rows = flat[: n_samples * 2 * n_q].reshape(n_samples, 2 * n_q)
        sums = np.empty((MOST + 1, TILE), dtype=np.float32)
        everything = np.ones(placements.grids.shape[0], dtype=np.bool_)
        for i in order[part * n // parts : (part + 1) * n // parts]:
            slice_particle(rows, rotations[i], grids, placements, samples, everything)
            fill_products(flat, n_q, weights, data, i, tiles, sums, i, b, g)


# ---- of columns with a moment, side by side ------------------------------------------------------


@inlined()
def _used_columns(
    moments: Any, grids: Any, placements: Any, used: Any, active: Any, at: Any
) -> Any:
    """Marks the placements with a moment that is not zero; lists their columns; their number.

    `at` says where each placement's columns begin among those.
    """
    count = 0
    for m in range(placements.grids.shape[0]):
        start = placements.starts[m]
        stop = start + grids.n_functions[placements.grids[m]]
        active[m], at[m] = False, count
        for q in range(start, stop):
            active[m] |= moments[q] != 0
        if active[m]:
            for q in range(start, stop):
                used[count] = q
                count += 1
    return count


@compiled(parallel=True, fastmath=True)
def image_adjoint_loop(
    data: Any, first: Any, rotations: Any, grids: Any, placements: Any, samples: Any, order: Any,
    targets: Any,
) -> None:  # fmt: skip
    """Adds D E[a c], sent back, to `targets` (threads, total)."""
    n, n_samples, n_q = first.shape[0], data.shape[2], first.shape[1]
    parts = targets.shape[0]
    for part in numba.prange(parts):
        flat = np.empty(n_samples * 2 * n_q, dtype=np.float32)
        used, at = np.empty(n_q, dtype=np.int64), np.empty_like(placements.starts)
        active = np.empty(placements.grids.shape[0], dtype=np.bool_)
        packed = Placements(placements.grids, placements.rotations, placements.centres, at)
        target = targets[part]
        for i in order[part * n // parts : (part + 1) * n // parts]:
            n_used = _used_columns(first[i], grids, placements, used, active, at)
            rows = flat[: n_samples * 2 * n_used].reshape(n_samples, 2 * n_used)
            for k in range(n_samples):
                for u in range(n_used):
                    rows[k, 2 * u] = data[i, 0, k] * first[i, used[u]]
                    rows[k, 2 * u + 1] = data[i, 1, k] * first[i, used[u]]
            scatter_particle(rows, rotations[i], grids, packed, samples, active, target)


@inlined()
def _fill_factors(first: Any, second: Any, used: Any, factors: Any, matrix: Any) -> None:
    """Moments of used columns, each number twice, for re and im; zeros behind them."""
    n_used, width = len(used), matrix.shape[1]
    for j in range(width // 2):
        value = first[used[j]] if j < n_used else np.float32(0)
        factors[2 * j], factors[2 * j + 1] = value, value
    for p in range(n_used):
        for j in range(width // 2):
            value = second[used[p], used[j]] if j < n_used else np.float32(0)
            matrix[p, 2 * j], matrix[p, 2 * j + 1] = value, value


@compiled(parallel=True)
def sent_back_loop(
    images: Any, first: Any, second: Any, noise: Any, grids: Any, placements: Any, samples: Any,
    order: Any, parts: Any, is_residual: Any, targets: Any, power: Any,
) -> None:  # fmt: skip
    """Adds W E[a^2 c c^T] A theta, sent back, or D E[a c] less that, to `targets` if there are any.

    Particles are those of `order`, and rows of `power` in that order; if there are any, sigma^2
    (2 Re conj(A) D E[a c] - W conj(A) E[a^2 c c^T] A) of every shell is added to them.
    """
    n, n_samples, n_q = len(order), samples.kx.shape[0], second.shape[1]
    for part in numba.prange(parts):
        flat = np.zeros(n_samples * 2 * n_q + SLACK, dtype=np.float32)
        sent = np.zeros(n_samples * 2 * n_q + SLACK, dtype=np.float32)
        width = 2 * TILE * ((n_q + TILE - 1) // TILE)
        factors = np.empty(width, dtype=np.float32)
        matrix = np.empty((n_q, width), dtype=np.float32)
        terms = np.empty(n_samples, dtype=np.float32)
        used, at = np.empty(n_q, dtype=np.int64), np.empty_like(placements.starts)
        active = np.empty(placements.grids.shape[0], dtype=np.bool_)
        packed = Placements(placements.grids, placements.rotations, placements.centres, at)
        for j in range(part * n // parts, (part + 1) * n // parts):
            i = order[j]
            n_used = _used_columns(np.diag(second[i]), grids, placements, used, active, at)
            if n_used == 0:
                continue
            rows = flat[: n_samples * 2 * n_used].reshape(n_samples, 2 * n_used)
            slice_particle(rows, images.rotations[i], grids, packed, samples, active)
            _fill_factors(first[i], second[i], used[:n_used], factors, matrix)
            terms[:] = 0
            # the last tile first: it reaches into the next row, which then is written
            for q in range((n_used - 1) // TILE * TILE, -1, -TILE):
                if is_residual:
                    tile_residual(
                        flat, 2 * n_used, q, matrix, width, n_used, i, images.weights, n_samples,
                        sent, images.data, factors, terms,
                    )  # fmt: skip
                else:
                    tile_mixture(
                        flat, 2 * n_used, q, matrix, width, n_used, i, images.weights, n_samples,
                        sent,
                    )  # fmt: skip
            if len(targets) > 0:
                rows = sent[: n_samples * 2 * n_used].reshape(n_samples, 2 * n_used)
                scatter_particle(
                    rows, images.rotations[i], grids, packed, samples, active, targets[part]
                )
            if len(power) > 0:
                for k in range(n_samples):
                    sigma_square = noise[images.groups[i], samples.shells[k]]
                    value = sigma_square * terms[k]
                    if images.is_premultiplied[i]:  # the model of the image has H once more
                        value *= images.weights[i, k] * sigma_square / samples.weights[k]
                    power[j, samples.shells[k]] += value

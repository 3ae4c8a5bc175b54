"""Everything the likelihood needs from the images, particle by particle, through the Q slices.

For one particle with slices A_q, D = w H conj(S) Y / sigma^2 and W = w H^2 / sigma^2,

    b_q = sum_k Re conj(A_q) D,      G_qq' = sum_k W Re conj(A_q) A_q',
    -2 log L = |Y|^2_sigma - 2 a c.b + a^2 c.G c      (Eq. 10 with the expansion 21),

so contrast and states cost O(Q^2) whatever the box. The same D and W carry the normal equations of
the coefficients given the moments E[a c], E[a^2 c c^T] of the particles' posteriors, and the noise
re-estimate. Slices live in cache only; nothing of size (n, k, q) is ever stored. Columns whose
moments are zero for a particle, such as positions it is not in, are neither sliced nor scattered.
CuPy arrays are handed on to `likelihood_cuda`.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.imaging.projector import (
    Placements,
    ready_to_slice,
    scatter_particle,
    slice_particle,
    summed,
)
from napari_hypermol.imaging.view_order import view_order
from napari_hypermol.loops import compiled, inlined
from napari_hypermol.posterior import likelihood_cuda

__all__ = [
    "WhitenedImages",
    "explained_power",
    "image_adjoint",
    "normal_operator",
    "overlaps",
    "particle_order",
    "residual_adjoint",
]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
_MAPPED = 2**26  # [bytes] of mapped images that are taken in another order than they come
_BLOCK = 128  # samples mixed at once: all functions' values of a block stay in the first cache


class WhitenedImages(NamedTuple):
    """What the data say at the samples of one band limit, for n particles.

    Attributes
    ----------
    data : (n, 2, k) float32 ndarray
        D, real and imaginary part; shifts already undone.
    weights : (n, k) float32 ndarray
        W.
    power : (n, shells) float32 ndarray
        Sum of w |Y|^2 in each shell, not divided by the noise.
    fill : (n, shells) float32 ndarray
        Sum of w (times H^2 for premultiplied images) in each shell: the noise's share of `power`.
    is_premultiplied : (n,) bool ndarray
    groups : (n,) int64 ndarray
        Optics group of each particle.
    rotations : (n, 3, 3) float32 ndarray
    """

    data: Float32
    weights: Float32
    power: Float32
    fill: Float32
    is_premultiplied: NDArray[np.bool_]
    groups: NDArray[np.int64]
    rotations: Float32


def particle_order(images: WhitenedImages) -> NDArray[np.int64]:
    """The order in which particles are sliced, `view_order`; (n,).

    Images that are mapped from a file are gone through from its beginning to its end: only some
    megabytes of them are in another order.
    """
    window = None
    if isinstance(images.data, np.memmap):
        n_bytes = images.data.nbytes + images.weights.nbytes
        window = max(_MAPPED * len(images.weights) // max(n_bytes, 1), 1)
    return view_order(images.rotations, window)


@inlined(fastmath=True)
def _transpose(rows: Any, columns: Any) -> None:
    """(k, 2 q) -> (2 q, k), so that sums over samples run along memory."""
    for k in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            columns[j, k] = rows[k, j]


@inlined()
def _used_columns(moments: Any, grids: Any, placements: Any, used: Any, active: Any) -> Any:
    """Marks the placements with a moment that is not zero, lists their columns; their number."""
    count = 0
    for m in range(placements.grids.shape[0]):
        start = placements.starts[m]
        stop = start + grids.n_functions[placements.grids[m]]
        active[m] = False
        for q in range(start, stop):
            active[m] |= moments[q] != 0
        if active[m]:
            for q in range(start, stop):
                used[count] = q
                count += 1
    return count


@compiled(parallel=True, fastmath=True)
def _overlaps(
    data: Any, weights: Any, rotations: Any, grids: Any, placements: Any, samples: Any,
    pairs: Any, order: Any, parts: Any, b: Any, g: Any,
) -> None:  # fmt: skip
    n, n_samples, n_q = b.shape[0], weights.shape[1], b.shape[1]
    for part in numba.prange(parts):
        rows = np.empty((n_samples, 2 * n_q), dtype=np.float32)
        columns = np.empty((2 * n_q, n_samples), dtype=np.float32)
        everything = np.ones(placements.grids.shape[0], dtype=np.bool_)
        for i in order[part * n // parts : (part + 1) * n // parts]:
            slice_particle(rows, rotations[i], grids, placements, samples, everything)
            _transpose(rows, columns)
            for q in range(n_q):
                total = np.float32(0)
                for k in range(n_samples):
                    total += (
                        columns[2 * q, k] * data[i, 0, k] + columns[2 * q + 1, k] * data[i, 1, k]
                    )
                b[i, q] = total
            for q in range(n_q):
                scratch = rows.reshape(-1)
                weighted_re, weighted_im = scratch[:n_samples], scratch[n_samples:]
                for k in range(n_samples):
                    weighted_re[k] = weights[i, k] * columns[2 * q, k]
                    weighted_im[k] = weights[i, k] * columns[2 * q + 1, k]
                for p in range(q + 1):
                    if not pairs[q, p]:
                        g[i, q, p] = 0
                        g[i, p, q] = 0
                        continue
                    total = np.float32(0)
                    for k in range(n_samples):
                        total += (
                            weighted_re[k] * columns[2 * p, k]
                            + weighted_im[k] * columns[2 * p + 1, k]
                        )
                    g[i, q, p] = total
                    g[i, p, q] = total


@compiled(parallel=True, fastmath=True)
def _image_adjoint(
    data: Any, first: Any, rotations: Any, grids: Any, placements: Any, samples: Any, order: Any,
    targets: Any,
) -> None:  # fmt: skip
    n, n_samples, n_q = first.shape[0], data.shape[2], first.shape[1]
    parts = targets.shape[0]
    for part in numba.prange(parts):
        rows = np.empty((n_samples, 2 * n_q), dtype=np.float32)
        used = np.empty(n_q, dtype=np.int64)
        active = np.empty(placements.grids.shape[0], dtype=np.bool_)
        target = targets[part]
        for i in order[part * n // parts : (part + 1) * n // parts]:
            n_used = _used_columns(first[i], grids, placements, used, active)
            for k in range(n_samples):
                for u in range(n_used):
                    q = used[u]
                    rows[k, 2 * q] = data[i, 0, k] * first[i, q]
                    rows[k, 2 * q + 1] = data[i, 1, k] * first[i, q]
            scatter_particle(rows, rotations[i], grids, placements, samples, active, target)


@inlined(fastmath=True)
def _mix(columns: Any, second: Any, used: Any, mixed: Any) -> None:
    """mixed_q = sum_p E[a^2 c c^T]_qp A_p over used columns, re and im alike; both (2 q, k)."""
    n_samples = columns.shape[1]
    for start in range(0, n_samples, _BLOCK):
        stop = min(start + _BLOCK, n_samples)
        for q in used:
            for part in range(2):
                target = mixed[2 * q + part, start:stop]
                factor, source = second[q, used[0]], columns[2 * used[0] + part, start:stop]
                for k in range(stop - start):
                    target[k] = factor * source[k]
                for p in used[1:]:
                    factor, source = second[q, p], columns[2 * p + part, start:stop]
                    if factor != 0:
                        for k in range(stop - start):
                            target[k] += factor * source[k]


@compiled(parallel=True, fastmath=True)
def _normal_operator(
    weights: Any, second: Any, rotations: Any, grids: Any, placements: Any, samples: Any,
    order: Any, targets: Any, data: Any, first: Any,
) -> None:  # fmt: skip
    """Adds W E[a^2 c c^T] A theta, sent back, or D E[a c] less that where there is any D."""
    n, n_samples, n_q = weights.shape[0], weights.shape[1], second.shape[1]
    parts = targets.shape[0]
    for part in numba.prange(parts):
        rows = np.empty((n_samples, 2 * n_q), dtype=np.float32)
        columns = np.empty((2 * n_q, n_samples), dtype=np.float32)
        mixed = np.zeros((2 * n_q, n_samples), dtype=np.float32)
        used = np.empty(n_q, dtype=np.int64)
        active = np.empty(placements.grids.shape[0], dtype=np.bool_)
        target = targets[part]
        for i in order[part * n // parts : (part + 1) * n // parts]:
            n_used = _used_columns(np.diag(second[i]), grids, placements, used, active)
            if n_used == 0:
                continue
            slice_particle(rows, rotations[i], grids, placements, samples, active)
            _transpose(rows, columns)
            _mix(columns, second[i], used[:n_used], mixed)
            for k in range(n_samples):
                for u in range(n_used):
                    j = 2 * used[u]
                    rows[k, j] = mixed[j, k] * weights[i, k]
                    rows[k, j + 1] = mixed[j + 1, k] * weights[i, k]
            if len(data) > 0:
                for k in range(n_samples):
                    for u in range(n_used):
                        j, mean = 2 * used[u], first[i, used[u]]
                        rows[k, j] = data[i, 0, k] * mean - rows[k, j]
                        rows[k, j + 1] = data[i, 1, k] * mean - rows[k, j + 1]
            scatter_particle(rows, rotations[i], grids, placements, samples, active, target)


@compiled(parallel=True, fastmath=True)
def _explained_power(
    images: Any, first: Any, second: Any, noise: Any, grids: Any, placements: Any, samples: Any,
    order: Any, parts: Any, out: Any,
) -> None:  # fmt: skip
    n, n_samples, n_q = first.shape[0], samples.kx.shape[0], first.shape[1]
    for part in numba.prange(parts):
        rows = np.empty((n_samples, 2 * n_q), dtype=np.float32)
        columns = np.empty((2 * n_q, n_samples), dtype=np.float32)
        mixed = np.zeros((2 * n_q, n_samples), dtype=np.float32)
        used = np.empty(n_q, dtype=np.int64)
        active = np.empty(placements.grids.shape[0], dtype=np.bool_)
        re, im = np.empty(n_samples, dtype=np.float32), np.empty(n_samples, dtype=np.float32)
        square = np.empty(n_samples, dtype=np.float32)
        for i in order[part * n // parts : (part + 1) * n // parts]:
            n_used = _used_columns(np.diag(second[i]), grids, placements, used, active)
            if n_used == 0:
                continue
            slice_particle(rows, images.rotations[i], grids, placements, samples, active)
            _transpose(rows, columns)
            _mix(columns, second[i], used[:n_used], mixed)
            re[:] = 0
            im[:] = 0
            square[:] = 0
            for q in used[:n_used]:
                for k in range(n_samples):
                    re[k] += first[i, q] * columns[2 * q, k]
                    im[k] += first[i, q] * columns[2 * q + 1, k]
                    square[k] += (
                        columns[2 * q, k] * mixed[2 * q, k]
                        + columns[2 * q + 1, k] * mixed[2 * q + 1, k]
                    )
            group = images.groups[i]
            for k in range(n_samples):
                sigma_square, weight = noise[group, samples.shells[k]], images.weights[i, k]
                explained = re[k] * images.data[i, 0, k] + im[k] * images.data[i, 1, k]
                value = sigma_square * (2 * explained - weight * square[k])
                if images.is_premultiplied[i]:  # the model of the image has H once more
                    value *= weight * sigma_square / samples.weights[k]
                out[i, samples.shells[k]] += value


def overlaps(
    images: WhitenedImages,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
    pairs: NDArray[np.bool_] | None = None,
) -> tuple[Float32, Float32]:
    """The overlaps b and G of every particle.

    Parameters
    ----------
    images : WhitenedImages
    grids : FourierGrids
    placements : Placements
    samples : FourierSamples
    pairs : (q, q) bool ndarray or None
        Entries of G that are wanted, symmetric; the others are left zero. None: all.

    Returns
    -------
    b : (n, q) float32 ndarray
    G : (n, q, q) float32 ndarray
        Symmetric.
    """
    if array_module(images.data) is not np:
        return likelihood_cuda.overlaps(images, grids, placements, samples, pairs)
    ready_to_slice(grids, samples)
    n, n_q = len(images.weights), int(grids.n_functions[placements.grids].sum())
    b = np.empty((n, n_q), dtype=np.float32)
    g = np.empty((n, n_q, n_q), dtype=np.float32)
    parts = numba.get_num_threads()  # asked out here: compiled code that asks cannot be cached
    data, weights, rotations = images.data, images.weights, images.rotations
    wanted = np.ones((n_q, n_q), dtype=np.bool_) if pairs is None else pairs
    order = particle_order(images)
    _overlaps(data, weights, rotations, grids, placements, samples, wanted, order, parts, b, g)
    return b, g


def image_adjoint(
    images: WhitenedImages,
    first_moments: Float32,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
) -> Float32:
    """Right-hand side of the coefficients' normal equations, on the Fourier grids.

    Parameters
    ----------
    images : WhitenedImages
    first_moments : (n, q) float32 ndarray
        E[a c].

    Returns
    -------
    (total,) float32 ndarray
        Adjoint slices of D, laid out as ``grids.values``.
    """
    if array_module(images.data) is not np:
        values: Float32 = likelihood_cuda.image_adjoint(
            images, first_moments, grids, placements, samples
        )
        return values
    ready_to_slice(grids, samples)
    targets = np.zeros((numba.get_num_threads(), len(grids.values)), dtype=np.float32)
    first = np.ascontiguousarray(first_moments, dtype=np.float32)
    rotations, order = images.rotations, particle_order(images)
    _image_adjoint(images.data, first, rotations, grids, placements, samples, order, targets)
    return summed(targets)


def normal_operator(
    images: WhitenedImages,
    second_moments: Float32,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
) -> Float32:
    """The normal operator of the coefficients applied to ``grids``, on the Fourier grids.

    Parameters
    ----------
    images : WhitenedImages
    second_moments : (n, q, q) float32 ndarray
        E[a^2 c c^T].

    Returns
    -------
    (total,) float32 ndarray
        Laid out as ``grids.values``.
    """
    if array_module(images.data) is not np:
        values: Float32 = likelihood_cuda.normal_operator(
            images, second_moments, grids, placements, samples
        )
        return values
    second = np.ascontiguousarray(second_moments, dtype=np.float32)
    # no D: what the moments make of the grids, sent back
    data, first = images.data[:0], second[:0, 0]
    return _sent_back(images, data, first, second, grids, placements, samples)


def _sent_back(
    images: WhitenedImages, data: Float32, first: Float32, second: Float32,
    grids: FourierGrids, placements: Placements, samples: FourierSamples,
) -> Float32:  # fmt: skip
    ready_to_slice(grids, samples)
    targets = np.zeros((numba.get_num_threads(), len(grids.values)), dtype=np.float32)
    order = particle_order(images)
    _normal_operator(
        images.weights, second, images.rotations, grids, placements, samples, order, targets, data,
        first,
    )  # fmt: skip
    return summed(targets)


def residual_adjoint(
    images: WhitenedImages,
    first_moments: Float32,
    second_moments: Float32,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
) -> Float32:
    """`image_adjoint` less `normal_operator`, in one pass: the gradient of the log likelihood.

    Parameters
    ----------
    images : WhitenedImages
    first_moments : (n, q) float32 ndarray
        E[a c]; zero where `second_moments` are.
    second_moments : (n, q, q) float32 ndarray
        E[a^2 c c^T].
    grids : FourierGrids
    placements : Placements
    samples : FourierSamples

    Returns
    -------
    (total,) float32 ndarray
        Laid out as ``grids.values``.
    """
    if array_module(images.data) is not np:
        values: Float32 = likelihood_cuda.image_adjoint(
            images, first_moments, grids, placements, samples
        )
        values -= likelihood_cuda.normal_operator(
            images, second_moments, grids, placements, samples
        )
        return values
    first = np.ascontiguousarray(first_moments, dtype=np.float32)
    second = np.ascontiguousarray(second_moments, dtype=np.float32)
    return _sent_back(images, images.data, first, second, grids, placements, samples)


def explained_power(
    images: WhitenedImages,
    first_moments: Float32,
    second_moments: Float32,
    noise: Float32,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
) -> Float64:
    """How much of each image's power the model explains, in expectation.

    Parameters
    ----------
    noise : (groups, shells) float32 ndarray
        The spectra the images were whitened with.

    Returns
    -------
    (n, shells) float64 ndarray
        Sum over each shell of w (|Y|^2 - E|Y - a H S A c|^2); `WhitenedImages.power` less this is
        the expected residual power, that is sigma^2 times `WhitenedImages.fill`.
    """
    if array_module(images.data) is not np:
        power: Float64 = likelihood_cuda.explained_power(
            images, first_moments, second_moments, noise, grids, placements, samples
        )
        return power
    ready_to_slice(grids, samples)
    out = np.zeros((len(images.weights), noise.shape[1]), dtype=np.float64)
    first = np.ascontiguousarray(first_moments, dtype=np.float32)
    second = np.ascontiguousarray(second_moments, dtype=np.float32)
    noise = np.ascontiguousarray(noise, dtype=np.float32)
    parts = numba.get_num_threads()
    # not looked at: whatever arrays those are, the code is compiled once
    images = images._replace(power=noise[:0], fill=noise[:0])
    order = particle_order(images)
    _explained_power(images, first, second, noise, grids, placements, samples, order, parts, out)
    return out

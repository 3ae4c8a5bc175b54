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
from napari_hypermol.coordinates.cache_lines import zeros_for_threads
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.imaging.projector import Placements, ready_to_slice, summed
from napari_hypermol.imaging.view_order import view_order
from napari_hypermol.posterior import likelihood_cuda
from napari_hypermol.posterior._particle_loops import (
    image_adjoint_loop,
    overlaps_loop,
    sent_back_loop,
    tiles_of,
)

__all__ = [
    "WhitenedImages",
    "by_group",
    "explained_power",
    "image_adjoint",
    "normal_operator",
    "overlaps",
    "particle_order",
    "residual_adjoint",
    "residual_and_power",
]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
_MAPPED = 2**26  # [bytes] of mapped images that are taken in another order than they come
_CHUNK = 16384  # particles whose power is kept at once
_NOTHING: Float32 = np.zeros((0, 0), np.float32)


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
    b, g = np.zeros(n * n_q, np.float32), np.zeros(n * n_q * n_q, np.float32)
    parts = numba.get_num_threads()  # asked out here: compiled code that asks cannot be cached
    data, weights, rotations = *_in_order(images.data, images.weights), images.rotations
    tiles = tiles_of(np.ones((n_q, n_q), dtype=np.bool_) if pairs is None else pairs)
    order = particle_order(images)
    overlaps_loop(
        data, weights, rotations, grids, placements, samples, tiles, n_q, order, parts, b, g
    )
    gram = g.reshape(n, n_q, n_q)
    if pairs is not None and not pairs.all():
        gram *= pairs  # tiles have some that nobody asked for
    return b.reshape(n, n_q), gram


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
    targets = _targets(grids)
    first = np.ascontiguousarray(first_moments, dtype=np.float32)
    rotations, order = images.rotations, particle_order(images)
    image_adjoint_loop(images.data, first, rotations, grids, placements, samples, order, targets)
    return _total(targets, grids)


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
    targets = _targets(grids)
    first = np.zeros(second_moments.shape[:2], np.float32)  # D is not asked for
    where = grids, placements, samples
    _pass(images, first, second_moments, _NOTHING, where, particle_order(images), targets, _NOTHING)
    return _total(targets, grids)


def _targets(grids: FourierGrids) -> Float32:
    """Zeros for every thread to add to."""
    return zeros_for_threads(numba.get_num_threads(), len(grids.values))


def _total(targets: Float32, grids: FourierGrids) -> Float32:
    return summed(targets)[: len(grids.values)]


def _in_order(*arrays: Any) -> tuple[Float32, ...]:
    return tuple(np.ascontiguousarray(a, dtype=np.float32) for a in arrays)


def _pass(
    images: WhitenedImages, first: Float32, second: Float32, noise: Float32,
    where: tuple[FourierGrids, Placements, FourierSamples], order: NDArray[np.int64],
    targets: Float32, power: NDArray[Any], is_residual: bool = False,
) -> None:  # fmt: skip
    """`sent_back_loop` on arrays of the types that it is compiled for."""
    grids, placements, samples = where
    ready_to_slice(grids, samples)
    first, second, noise = _in_order(first, second, noise)
    data, weights = _in_order(images.data, images.weights)
    # not looked at: whatever arrays those are, the code is compiled once
    images = images._replace(data=data, weights=weights, power=_NOTHING, fill=_NOTHING)
    sent_back_loop(
        images, first, second, noise, grids, placements, samples, order, numba.get_num_threads(),
        is_residual, targets, np.asarray(power, dtype=np.float64),
    )  # fmt: skip


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
    targets, where = _targets(grids), (grids, placements, samples)
    order = particle_order(images)
    _pass(images, first_moments, second_moments, _NOTHING, where, order, targets, _NOTHING, True)
    return _total(targets, grids)


def residual_and_power(
    images: WhitenedImages,
    first_moments: Float32,
    second_moments: Float32,
    noise: Float32,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
) -> tuple[Float32, Float64]:
    """`residual_adjoint`, and `explained_power` of every optics group, in one pass.

    Parameters
    ----------
    images : WhitenedImages
    first_moments : (n, q) float32 ndarray
        E[a c]; zero where `second_moments` are.
    second_moments : (n, q, q) float32 ndarray
        E[a^2 c c^T].
    noise : (groups, shells) float32 ndarray
        The spectra the images were whitened with.
    grids : FourierGrids
    placements : Placements
    samples : FourierSamples

    Returns
    -------
    residual : (total,) float32 ndarray
        Laid out as ``grids.values``.
    explained : (groups, shells) float64 ndarray
    """
    if array_module(images.data) is not np:
        moments = first_moments, second_moments
        residual = residual_adjoint(images, *moments, grids, placements, samples)
        power = explained_power(images, *moments, noise, grids, placements, samples)
        return residual, by_group(power, images.groups, len(noise))
    targets, where = _targets(grids), (grids, placements, samples)
    order, explained = particle_order(images), np.zeros(noise.shape)
    for start in range(0, len(order), _CHUNK):
        rows = order[start : start + _CHUNK]
        power = np.zeros((len(rows), noise.shape[1]))
        _pass(images, first_moments, second_moments, noise, where, rows, targets, power, True)
        explained += by_group(power, images.groups[rows], len(noise))
    return _total(targets, grids), explained


def by_group(values: Any, groups: Any, n_groups: int) -> Any:
    """Sums of values (n, shells) over the particles of each optics group; (groups, shells)."""
    xp = array_module(values)
    sums = xp.zeros((n_groups, values.shape[1]))
    for group in range(n_groups):
        sums[group] = values[groups == group].sum(axis=0, dtype=np.float64)
    return sums


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
    order, where = particle_order(images), (grids, placements, samples)
    power, out = np.zeros((2, len(order), noise.shape[1]))
    _pass(images, first_moments, second_moments, noise, where, order, _NOTHING, power, True)
    out[order] = power
    return out

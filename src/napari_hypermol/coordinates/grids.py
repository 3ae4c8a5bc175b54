"""Voxel grids, Fourier samples, and the one place where index order meets vector order.

Arrays are indexed (z, y, x), vectors are (x, y, z). Positions are in voxels of the box with the
origin at index ``size // 2``; frequencies are integer indices of the box's Fourier transform,
that is cycles per box edge. Conversions to Å happen at the border.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FourierGrids",
    "FourierSamples",
    "fourier_samples",
    "voxel_positions",
]

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


class FourierSamples(NamedTuple):
    """The K half-plane samples of an image of `box_size` pixels inside a band limit.

    Attributes
    ----------
    box_size : int
    max_radius : float
        Band limit [cycles per box edge].
    kx, ky : (K,) float32 ndarray
        Frequency indices, kx >= 0.
    weights : (K,) float32 ndarray
        Half-plane weights.
    shells : (K,) int64 ndarray
        |k| rounded.
    rows, columns : (K,) int64 ndarray
        Where the samples lie in the unshifted half plane.
    """

    box_size: int
    max_radius: float
    kx: Float32
    ky: Float32
    weights: Float32
    shells: Int64
    rows: Int64
    columns: Int64


class FourierGrids(NamedTuple):
    """Oversampled Fourier grids of several components' coefficient volumes, ready for slicing.

    Grid s holds Q_s functions, innermost, on the half space x >= 0 with halos on every side, z and
    y shifted so that neighbours in frequency are neighbours in memory.

    Attributes
    ----------
    values : (total,) float32 ndarray
        All grids one after the other; (z, y, x, q, re/im), C order.
    offsets : (s,) int64 ndarray
        Where grid s starts in `values`.
    sizes : (s, 3) int64 ndarray
        Stored z, y, x extent, halos included.
    origins : (s,) int64 ndarray
        Index of zero frequency along z and y; along x it is 1.
    n_functions : (s,) int64 ndarray
        Q_s.
    scales : (s,) float32 ndarray
        Grid steps per image frequency index.
    """

    values: Float32
    offsets: Int64
    sizes: Int64
    origins: Int64
    n_functions: Int64
    scales: Float32


def fourier_samples(box_size: int, max_radius: float) -> FourierSamples:
    """Half-plane samples with |k| <= `max_radius`, Nyquist excluded.

    Parameters
    ----------
    box_size : int
        Pixels along an edge.
    max_radius : float
        [cycles per box edge]; at Nyquist the sign of a frequency is ambiguous, so samples with an
        index of exactly ``box_size / 2`` are left out.

    Returns
    -------
    FourierSamples
    """
    limit = (box_size - 1) // 2
    ky, kx = np.mgrid[-limit : limit + 1, 0 : limit + 1].reshape(2, -1)
    inside = kx**2 + ky**2 <= max_radius**2
    kx, ky = kx[inside], ky[inside]
    return FourierSamples(
        box_size=box_size,
        max_radius=float(max_radius),
        kx=kx.astype(np.float32),
        ky=ky.astype(np.float32),
        weights=np.where(kx == 0, 1.0, 2.0).astype(np.float32),
        shells=np.rint(np.hypot(kx, ky)).astype(np.int64),
        rows=(ky % box_size).astype(np.int64),
        columns=kx.astype(np.int64),
    )


def voxel_positions(size: int) -> NDArray[np.float64]:
    """Positions of all voxels of a cube.

    Parameters
    ----------
    size : int

    Returns
    -------
    (size, size, size, 3) float64 ndarray
        Indexed (z, y, x), each entry the vector (x, y, z) in voxels from the origin.
    """
    axis = np.arange(size) - size // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    return np.stack([x, y, z], axis=-1).astype(np.float64)

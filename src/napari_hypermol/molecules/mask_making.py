"""Masks out of maps and of painted regions, Section 3.5 of the paper: where, how wide, how soft.

Lengths in voxels; one distance transform gives the dilation and the soft edge.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_hypermol.errors import MaskError

__all__ = ["dilated", "low_passed", "map_labels", "pieces", "resampled", "soft_mask", "thresholded"]

Bools = NDArray[np.bool_]
Float32 = NDArray[np.float32]

_HALF_AMPLITUDE = np.sqrt(np.log(2) / 2) / np.pi  # sigma of a Gaussian that halves 1 / resolution


def soft_mask(inside: Bools, dilate: float, soft_edge: float) -> Float32:
    """1 inside and up to `dilate` outside of it, then falling to 0 along a raised cosine.

    Parameters
    ----------
    inside : (z, y, x) bool ndarray
    dilate, soft_edge : float
        [voxels]; the first voxel outside is one voxel away.

    Returns
    -------
    (z, y, x) float32 ndarray
        In [0, 1].
    """
    if not inside.any():  # nothing has no distance to grow from
        return np.zeros(inside.shape, dtype=np.float32)
    distance = ndimage.distance_transform_edt(~inside) - dilate
    depth = np.clip(distance / (soft_edge + 1), 0.0, 1.0)
    return np.where(depth < 1, 0.5 + 0.5 * np.cos(np.pi * depth), 0.0).astype(np.float32)


def dilated(inside: Bools, by: float) -> Bools:
    """All voxels within `by` [voxels] of a region."""
    return soft_mask(inside, by, 0.0) >= 1


def low_passed(volume: Float32, resolution: float) -> Float32:
    """A map without detail finer than `resolution` [voxels], where half the amplitude is left."""
    smooth: Float32 = ndimage.gaussian_filter(volume, _HALF_AMPLITUDE * resolution)
    return smooth


def thresholded(volume: Float32, threshold: float, resolution: float = 0.0) -> Bools:
    """Where a map, low-passed to `resolution` [voxels] if that is not 0, exceeds a threshold.

    Raises
    ------
    MaskError
        If it does so nowhere.
    """
    inside: Bools = (low_passed(volume, resolution) if resolution else volume) > threshold
    if not inside.any():
        raise MaskError(
            f"no density above {threshold:.3g}; the highest is "
            f"{float(volume.max()):.3g}, so choose a lower threshold"
        )
    return inside


def pieces(inside: Bools, least_volume: float = 0.0) -> NDArray[np.uint8]:
    """Connected pieces of a region, numbered from 1 by falling volume.

    Parameters
    ----------
    inside : (z, y, x) bool ndarray
    least_volume : float
        Smaller ones are left out [voxels].

    Returns
    -------
    (z, y, x) uint8 ndarray
        0 outside; 255 pieces at most.
    """
    numbered, n = ndimage.label(inside, np.ones((3, 3, 3)))
    volumes = np.bincount(numbered.ravel(), minlength=n + 1)[1:]
    order = np.argsort(-volumes, kind="stable")
    kept = order[volumes[order] >= max(least_volume, 1)][:255]
    number_of = np.zeros(n + 1, dtype=np.uint8)
    number_of[kept + 1] = np.arange(1, len(kept) + 1)
    return number_of[numbered]


def map_labels(
    volume: Float32,
    threshold: float,
    resolution: float = 0.0,
    dilate: float = 0.0,
    least_volume: float | None = None,
) -> NDArray[np.uint8]:
    """A map's molecule, thresholded and dilated, as labels from 1; lengths in voxels.

    Parameters
    ----------
    volume : (z, y, x) float32 ndarray
    threshold, resolution
        See `thresholded`.
    dilate : float
    least_volume : float or None
        Every connected piece of at least this volume has its own label; None: all have label 1.
    """
    inside = thresholded(volume, threshold, resolution)
    if least_volume is None:
        return dilated(inside, dilate).astype(np.uint8)
    labels = np.zeros(inside.shape, dtype=np.uint8)
    numbered = pieces(inside, least_volume)
    for number in range(int(numbered.max()), 0, -1):  # the largest last, on top
        labels[dilated(numbered == number, dilate)] = number
    return labels


def resampled(mask: Float32, voxel_size: float, box_size: int, pixel_size: float) -> Float32:
    """A mask on another grid, centre on centre.

    Parameters
    ----------
    mask : (z, y, x) float32 ndarray
    voxel_size, pixel_size : float
        Edges of its voxels, and of those wanted, in the same unit.
    box_size : int
        Voxels wanted along an edge.
    """
    step = pixel_size / voxel_size
    axes = [(np.arange(box_size) - box_size // 2) * step + n // 2 for n in mask.shape]
    if step > 1:  # a coarse voxel sees the mean of the fine ones it covers
        mask = ndimage.gaussian_filter(mask, 0.35 * step)
    values = ndimage.map_coordinates(mask, np.meshgrid(*axes, indexing="ij"), order=1)
    return np.asarray(values, dtype=np.float32)

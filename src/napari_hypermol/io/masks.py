"""Masks: MRC volumes of weights in [0, 1] on the grid of the particles' box.

Not here: painting them (`plugin`) or what a support does with them (`molecules`).
"""

import os

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import MaskError
from napari_hypermol.io.mrc import read_volume

__all__ = ["read_mask"]

SLACK = 1e-3  # soft edges computed in float16 or by interpolation leave [0, 1] by this much
UNKNOWN_EDGES = (None, 1.0)  # what programs write that do not know the size of a voxel
EDGE_TOLERANCE = 0.01  # headers are rounded; 1 % of a box of 128 is about a voxel


def read_mask(
    path: str | os.PathLike[str], box_size: int, pixel_size: float
) -> NDArray[np.float32]:
    """Read a mask made for particles of this box.

    Parameters
    ----------
    path : path
        MRC volume.
    box_size : int
        Pixels along one edge of the particles.
    pixel_size : float
        Edge of a pixel of the particles [Å].

    Returns
    -------
    mask : (z, y, x) float32 ndarray
        In [0, 1].

    Raises
    ------
    MaskError
        If the shape or voxel size differ from the particles', a value lies outside [0, 1], all
        are zero, or the file is not a volume.
    """
    values, voxel_size, _ = read_volume(path, MaskError)
    expected = (box_size,) * 3
    if values.shape != expected:
        raise MaskError(
            f"{path}: mask of shape {values.shape}, expected {expected} as the particles; resample "
            "it to their box"
        )
    is_known = voxel_size not in UNKNOWN_EDGES
    if is_known and abs(voxel_size / pixel_size - 1) > EDGE_TOLERANCE:  # type: ignore[operator]
        raise MaskError(
            f"{path}: mask with voxels of {voxel_size:.4g} Å, expected {pixel_size:.4g} Å as the "
            "particles; resample it or correct its header"
        )
    low, high = float(values.min()), float(values.max())
    if low < -SLACK or high > 1 + SLACK:
        raise MaskError(
            f"{path}: mask values from {low:.4g} to {high:.4g}, expected 0 to 1; threshold or "
            "rescale it"
        )
    if high <= 0:
        raise MaskError(f"{path}: mask is zero everywhere, expected a region of ones; paint one")
    return np.clip(values, 0.0, 1.0)

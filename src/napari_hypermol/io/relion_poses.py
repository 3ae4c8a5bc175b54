"""Poses and half sets from RELION's columns and back; degrees and pixels end here.

Not here: the Euler convention itself (`coordinates.euler`).
"""

import numpy as np
from numpy.typing import ArrayLike

from napari_hypermol.coordinates.euler import (
    relion_angles_from_rotations,
    rotations_from_relion_angles,
)
from napari_hypermol.io.relion_columns import RelionColumns
from napari_hypermol.io.star import numeric
from napari_hypermol.particles import FloatArray, IntArray

__all__ = ["half_sets_of", "pose_columns", "rotations_of", "shifts_of"]

ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
ORIGINS = ("rlnOriginXAngst", "rlnOriginYAngst")
ORIGINS_IN_PIXELS = ("rlnOriginX", "rlnOriginY")


def rotations_of(columns: RelionColumns) -> FloatArray | None:
    """(n, 3, 3) rotations, molecule to image, or None when the file has no angles."""
    if not all(name in columns.particles for name in ANGLES):
        return None
    angles = [numeric(columns.particles, name, columns.path) for name in ANGLES]
    return rotations_from_relion_angles(np.column_stack(angles))


def shifts_of(columns: RelionColumns, pixel_size: float) -> FloatArray:
    """(n, 2) shifts [Å], zero where the file has no origins.

    Notes
    -----
    The image is the centred one rolled by minus RELION's origin: the particle lies at -origin.
    """
    table, path = columns.particles, columns.path
    shifts = np.zeros((len(table), 2))
    for j, (angstrom, pixels) in enumerate(zip(ORIGINS, ORIGINS_IN_PIXELS, strict=True)):
        if angstrom in table:
            shifts[:, j] = -numeric(table, angstrom, path)
        elif pixels in table:
            shifts[:, j] = -numeric(table, pixels, path) * pixel_size
    return shifts + 0.0  # -0.0 would be written as "-0.000000"


def half_sets_of(columns: RelionColumns) -> IntArray | None:
    """rlnRandomSubset, (n,) of 1 and 2, or None."""
    if "rlnRandomSubset" not in columns.particles:
        return None
    return numeric(columns.particles, "rlnRandomSubset", columns.path).astype(np.int64)


def pose_columns(
    rotations: ArrayLike, shifts: ArrayLike, pixel_size: float | None = None
) -> dict[str, FloatArray]:
    """RELION columns of poses, for `ParticleFile.write`.

    Parameters
    ----------
    rotations : (n, 3, 3) array_like
        Molecule to image frame.
    shifts : (n, 2) array_like
        (x, y) [Å].
    pixel_size : float, optional
        When given, origins are written in pixels [of this size in Å], as before RELION 3.1.

    Returns
    -------
    columns : dict of str to (n,) float ndarray
    """
    angles = relion_angles_from_rotations(rotations)
    origins = -np.asarray(shifts, dtype=np.float64).reshape(-1, 2) + 0.0
    names = ORIGINS if pixel_size is None else ORIGINS_IN_PIXELS
    origins = origins if pixel_size is None else origins / pixel_size
    columns = {name: angles[:, j] for j, name in enumerate(ANGLES)}
    return columns | {name: origins[:, j] for j, name in enumerate(names)}

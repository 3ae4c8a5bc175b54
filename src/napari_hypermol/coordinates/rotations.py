"""Grids over all rotations, small turns, and how far apart rotations are.

A rotation changes by a tangent vector omega [rad] in the image frame: R -> exp([omega]_x) R.
"""

from typing import Any

import numpy as np
from astropy_healpix import HEALPix
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

__all__ = ["angles_between", "grid_spacing", "rotation_grid", "turned"]

Float64 = NDArray[np.float64]


def grid_spacing(order: int) -> float:
    """Spacing of `rotation_grid`, along axes and in the plane [rad]."""
    return float(np.radians(60.0 / 2**order))


def rotation_grid(order: int) -> Float64:
    """Rotations evenly over SO(3): HEALPix viewing directions times turns in the plane.

    Parameters
    ----------
    order : int
        60 / 2^order degrees apart; 72 x 8^order rotations.

    Returns
    -------
    (r, 3, 3) float64 ndarray
        Molecule to image frame; all turns of one viewing direction stand together.
    """
    pixels = HEALPix(2**order, order="ring")
    longitude, latitude = pixels.healpix_to_lonlat(np.arange(pixels.npix))
    azimuth, tilt = np.asarray(longitude.rad), np.pi / 2 - np.asarray(latitude.rad)
    n_turns = 6 * 2**order
    turns = 2 * np.pi * np.arange(n_turns) / n_turns
    angles = np.stack(
        [
            # less the azimuth, so that a turn means the same all over the sphere
            np.tile(turns, len(azimuth)) - np.repeat(azimuth, n_turns),
            -np.repeat(tilt, n_turns),
            -np.repeat(azimuth, n_turns),
        ],
        axis=-1,
    )
    # extrinsic: turn the axis to z first, then about z
    return np.asarray(Rotation.from_euler("ZYZ", angles[:, [0, 1, 2]]).as_matrix())


def turned(rotations: NDArray[np.floating[Any]], omega: NDArray[np.floating[Any]]) -> Float64:
    """exp([omega]_x) R; rotations (..., 3, 3) and omega (..., 3) [rad] are broadcast."""
    shape = np.broadcast_shapes(rotations.shape[:-2], omega.shape[:-1])
    vectors = np.array(np.broadcast_to(omega, (*shape, 3))).reshape(-1, 3)
    turns = np.asarray(Rotation.from_rotvec(vectors).as_matrix()).reshape(*shape, 3, 3)
    return np.asarray(turns @ rotations)


def angles_between(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> Float64:
    """Angle of the rotation from one to the other [rad]; (..., 3, 3) twice -> (...)."""
    # from the norm of the difference: exact near 0, where the arc cosine of the trace is not
    gap = np.linalg.norm(np.asarray(first, dtype=np.float64) - second, axis=(-2, -1))
    return np.asarray(2 * np.arcsin(np.clip(gap / np.sqrt(8.0), 0.0, 1.0)))

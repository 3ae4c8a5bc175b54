"""Grids over all rotations, small turns, and how far apart rotations are.

A rotation changes by a tangent vector omega [rad] in the image frame: R -> exp([omega]_x) R.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_hypermol.coordinates.healpix import pixel_centres

__all__ = ["angles_between", "grid_spacing", "rotation_grid", "turn_between", "turned"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]
_SMALL = 1e-12  # twice the sine of a turn that has no axis to speak of
_NEAR_HALF = 0.1  # [rad] from a half turn, whose sine tells no axis either


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
    azimuth, tilt = pixel_centres(2**order)
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
    # the last angle acts first: the axis goes to z, and then turns about it
    return np.asarray(Rotation.from_euler("ZYZ", angles).as_matrix())


def turned(rotations: Float, omega: Float) -> Float64:
    """exp([omega]_x) R; rotations (..., 3, 3) and omega (..., 3) [rad] are broadcast.

    Rodrigues' formula, 1 + sinc(t) [omega]_x + sinc(t / 2)^2 / 2 [omega]_x^2.
    """
    omega = np.asarray(omega, dtype=np.float64)
    angle = np.linalg.norm(omega, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(omega, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1)
    cross = cross.reshape(*omega.shape, 3)
    first, second = np.sinc(angle / np.pi), 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return np.asarray((np.eye(3) + first * cross + second * (cross @ cross)) @ rotations)


def turn_between(first: Float, second: Float) -> Float64:
    """omega, of which exp([omega]_x) first = second; (n, 3, 3) twice -> (n, 3) [rad]."""
    turn = np.asarray(second, dtype=np.float64) @ np.swapaxes(first, -1, -2)
    axis, sine, cosine = _axis_of(turn)
    angle = np.arctan2(sine, cosine)
    scale = np.where(sine > _SMALL, angle / np.maximum(sine, _SMALL), 0.5)
    omega = axis * scale[..., None]
    is_half = angle > np.pi - _NEAR_HALF
    if is_half.any():
        omega[is_half] = Rotation.from_matrix(turn[is_half]).as_rotvec()
    return np.asarray(omega)


def angles_between(first: Float, second: Float) -> Float64:
    """Angle of the rotation from one to the other, in [0, pi] [rad]; (..., 3, 3) twice -> (...).

    From its sine and its cosine, so that it is exact near 0 and near pi alike.
    """
    _, sine, cosine = _axis_of(np.asarray(first, dtype=np.float64) @ np.swapaxes(second, -1, -2))
    return np.asarray(np.arctan2(sine, cosine))


def _axis_of(turn: Float64) -> tuple[Float64, Float64, Float64]:
    """2 sin(t) n of rotations by t about n, 2 sin(t) and 2 cos(t)."""
    axis = np.stack(
        [
            turn[..., 2, 1] - turn[..., 1, 2],
            turn[..., 0, 2] - turn[..., 2, 0],
            turn[..., 1, 0] - turn[..., 0, 1],
        ],
        axis=-1,
    )
    return axis, np.linalg.norm(axis, axis=-1), np.trace(turn, axis1=-2, axis2=-1) - 1

"""Poses as another program might have found them: the true ones with errors."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

__all__ = ["with_errors"]

Float64 = NDArray[np.float64]


def with_errors(
    rotations: Float64,
    pose_error: float,
    shifts: Float64,
    shift_error: float,
    rng: np.random.Generator,
) -> tuple[Float64, Float64]:
    """Rotations exp([w]x) R and shifts s + e.

    Parameters
    ----------
    rotations : (n, 3, 3) float64 ndarray
        R, molecule to image.
    pose_error : float
        Root mean square of the angle |w| [degrees]: the three components of w are normal with a
        standard deviation of pose_error / sqrt(3), so its axis has any direction. The median of
        |w| is 0.89 of it.
    shifts : (n, 2) float64 ndarray
    shift_error : float
        Standard deviation of each coordinate of e, in the unit of the shifts.
    rng : Generator

    Returns
    -------
    rotations, shifts
        The very same numbers where an error is 0.
    """
    vectors = rng.normal(scale=np.radians(pose_error) / np.sqrt(3), size=(len(rotations), 3))
    errors = rng.normal(scale=shift_error, size=shifts.shape)
    if pose_error:
        rotations = np.asarray(Rotation.from_rotvec(vectors).as_matrix() @ rotations)
    return rotations, shifts + errors

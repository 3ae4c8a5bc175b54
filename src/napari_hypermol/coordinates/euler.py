"""RELION and cryoSPARC angles to rotation matrices and back; nothing else knows Euler angles.

RELION: intrinsic ZYZ (rot, tilt, psi) in degrees; the matrix takes molecule to image frame and
acts on (x, y, z) columns. cryoSPARC: the rotation vector of the inverse rotation, in radians.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

__all__ = [
    "relion_angles_from_rotations",
    "rotations_from_cryosparc_vectors",
    "rotations_from_relion_angles",
]

Array = NDArray[np.floating[Any]]


def rotations_from_relion_angles(angles: ArrayLike) -> Array:
    """Rotation matrices of RELION's Euler angles.

    Parameters
    ----------
    angles : (n, 3) array_like
        rlnAngleRot, rlnAngleTilt, rlnAnglePsi [degrees].

    Returns
    -------
    rotations : (n, 3, 3) float64 ndarray
        Rz(psi) Ry(tilt) Rz(rot), passive: molecule to image frame.
    """
    angles = np.asarray(angles, dtype=np.float64).reshape(-1, 3)
    # Written out: SciPy's loop stops all other threads, half a second for 100,000 particles.
    (a, b, c), (d, e, f) = np.cos(np.radians(angles)).T, np.sin(np.radians(angles)).T
    rows = (
        (c * b * a - f * d, c * b * d + f * a, -c * e),
        (-f * b * a - c * d, -f * b * d + c * a, f * e),
        (e * a, e * d, b),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def relion_angles_from_rotations(rotations: ArrayLike) -> Array:
    """RELION's Euler angles of rotation matrices; inverse of `rotations_from_relion_angles`.

    Parameters
    ----------
    rotations : (n, 3, 3) array_like
        Molecule to image frame.

    Returns
    -------
    angles : (n, 3) float64 ndarray
        rot, tilt, psi [degrees], tilt in [0, 180]; psi is 0 where tilt is 0 or 180.
    """
    r = np.asarray(rotations, dtype=np.float64).reshape(-1, 3, 3)
    tilt = np.arctan2(np.hypot(r[:, 2, 0], r[:, 2, 1]), r[:, 2, 2])
    is_regular = np.sin(tilt) > 1e-7  # below, only rot + psi (or rot - psi) is determined
    rot = np.where(
        is_regular,
        np.arctan2(r[:, 2, 1], r[:, 2, 0]),
        np.arctan2(np.sign(r[:, 2, 2]) * r[:, 0, 1], np.sign(r[:, 2, 2]) * r[:, 0, 0]),
    )
    psi = np.where(is_regular, np.arctan2(r[:, 1, 2], -r[:, 0, 2]), 0.0)
    return np.asarray(np.degrees(np.stack([rot, tilt, psi], axis=1)))


def rotations_from_cryosparc_vectors(vectors: ArrayLike) -> Array:
    """Rotation matrices of cryoSPARC's ``alignments3D/pose``.

    Parameters
    ----------
    vectors : (n, 3) array_like
        Rotation vectors [rad].

    Returns
    -------
    rotations : (n, 3, 3) float64 ndarray
        expm(pose) transposed: molecule to image frame.
    """
    vectors = np.asarray(vectors, dtype=np.float64).reshape(-1, 3)
    matrices = Rotation.from_rotvec(vectors).as_matrix()
    return np.ascontiguousarray(np.swapaxes(matrices, -1, -2))

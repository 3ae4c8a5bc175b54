"""Random steps between rotations: normal tangent vectors, and the density they carry.

A tangent vector omega (x, y, z) [rad] turns in the image frame: R -> exp([omega]_x) R. Densities
are with respect to the uniform (Haar) measure of total mass 1, which in rotation vectors x of
length t < pi is (2 - 2 cos t) / (8 pi^2 t^2) d^3x.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammainc, gammaincinv

__all__ = [
    "log_tangent_normal",
    "random_rotations",
    "tangent_normal",
]

Float64 = NDArray[np.float64]


def random_rotations(rng: np.random.Generator, n: int) -> Float64:
    """Uniform rotations, from uniform unit quaternions; (n, 3, 3)."""
    q = rng.standard_normal((n, 4))
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.ascontiguousarray(np.moveaxis(np.array(rows), -1, 0))


def tangent_normal(rng: np.random.Generator, std: ArrayLike, n: int) -> Float64:
    """Tangent vectors, normal with standard deviation `std` in every direction, shorter than pi.

    Parameters
    ----------
    rng : Generator
    std : float or (n,) array_like
        [rad]; the truncation at pi is felt from about 0.8 on.
    n : int

    Returns
    -------
    (n, 3) float64 ndarray
        [rad]; the rotations about any centre have the density `log_tangent_normal`.
    """
    std = np.broadcast_to(np.asarray(std, dtype=np.float64), (n,))
    direction = rng.standard_normal((n, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    # squared length / (2 std^2) is gamma distributed with shape 3/2: inverted, so none is redrawn
    mass = gammainc(1.5, 0.5 * (np.pi / std) ** 2)
    length = std * np.sqrt(2 * gammaincinv(1.5, rng.random(n) * mass))
    return np.asarray(length[:, None] * direction)


def log_tangent_normal(angle: ArrayLike, std: ArrayLike) -> Float64:
    """Log density of a rotation at `angle` from the centre of a `tangent_normal` step.

    Parameters
    ----------
    angle, std : array_like
        [rad], shapes that broadcast.

    Returns
    -------
    float64 ndarray
        With respect to the uniform measure of mass 1, normalised; depends on the angle alone, so
        it is the same for the step back.
    """
    angle, std = np.asarray(angle, dtype=np.float64), np.asarray(std, dtype=np.float64)
    normal = -0.5 * (angle / std) ** 2 - 1.5 * np.log(2 * np.pi) - 3 * np.log(std)
    inside = np.log(gammainc(1.5, 0.5 * (np.pi / std) ** 2))
    # 2 - 2 cos t = t^2 sinc(t / 2 pi)^2
    volume = 2 * np.log(np.sinc(angle / (2 * np.pi))) - np.log(8 * np.pi**2)
    return np.asarray(normal - inside - volume)

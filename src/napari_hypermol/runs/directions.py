"""From where the particles are seen, and whether their states depend on it.

The sphere is cut into parts of one size, even in longitude and in z, fewer for fewer particles.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["direction_density", "direction_means", "direction_share", "mollweide"]

Float64 = NDArray[np.float64]
_SEEN_PER_PART = 20  # viewing directions, of half a part of the sphere
_FEW = 3  # particles of a part whose mean is shown


def _parts(rotations: NDArray[np.floating]) -> tuple[NDArray[np.int64], int]:
    """Part of the sphere that each particle is seen from, longitude first, and k of (2 k, k)."""
    k = int(np.clip(np.sqrt(len(rotations) / _SEEN_PER_PART), 4, 18))
    x, y, z = rotations[:, 2, :].T.astype(np.float64)
    longitude = (np.arctan2(y, x) + np.pi) / (2 * np.pi)
    column = np.minimum((longitude * 2 * k).astype(np.int64), 2 * k - 1)
    row = np.minimum(((np.clip(z, -1, 1) + 1) / 2 * k).astype(np.int64), k - 1)
    return column * k + row, k


def direction_density(rotations: NDArray[np.floating]) -> Float64:
    """Density of viewing directions in equal parts of the sphere, 1 where uniform.

    Parameters
    ----------
    rotations : (n, 3, 3) float ndarray
        R takes the molecule to the image, along whose z it is seen: in the molecule that is row 2.

    Returns
    -------
    (2 k, k) float64 ndarray
        Even in longitude, and in z, so that all parts are of one size.
    """
    part, k = _parts(rotations)
    counts = np.bincount(part, minlength=2 * k * k).reshape(2 * k, k)
    return np.asarray(counts * counts.size / max(len(rotations), 1), dtype=np.float64)


def direction_means(
    rotations: NDArray[np.floating], values: NDArray[np.floating]
) -> tuple[Float64, Float64]:
    """Mean and standard deviation of a number in each part of the sphere.

    Parameters
    ----------
    rotations : (n, 3, 3) float ndarray
    values : (n,) float ndarray
        Such as states.

    Returns
    -------
    mean, std : (2 k, k) float64 ndarray
        NaN where fewer than three particles are seen from.
    """
    part, k = _parts(rotations)
    values = np.asarray(values, dtype=np.float64)
    count, total, square = (
        np.bincount(part, weights, minlength=2 * k * k) for weights in (None, values, values**2)
    )
    known = np.where(count < _FEW, np.nan, count)
    mean = total / known
    std = np.sqrt(np.maximum(square / known - mean**2, 0))
    return mean.reshape(2 * k, k), std.reshape(2 * k, k)


def direction_share(rotations: NDArray[np.floating], values: NDArray[np.floating]) -> float:
    """Share of the variance of a number that the viewing direction explains, less that by chance.

    Returns
    -------
    float
        Adjusted for the number of parts: 0 on average where the two have nothing to do with one
        another, 1 where the direction says all.
    """
    part, _ = _parts(rotations)
    values = np.asarray(values, dtype=np.float64)
    count, total = np.bincount(part), np.bincount(part, values)
    means = total / np.maximum(count, 1)
    inside, whole = ((values - means[part]) ** 2).sum(), ((values - values.mean()) ** 2).sum()
    n, used = len(values), int((count > 0).sum())
    if whole <= 0 or n <= used:
        return 0.0
    return float(np.clip(1 - inside / whole * (n - 1) / (n - used), 0, 1))


def mollweide(parts: Float64, width: int = 360) -> Float64:
    """Mollweide's picture of a number in equal parts of the sphere; areas are kept.

    Parameters
    ----------
    parts : (2 k, k) float64 ndarray
    width : int
        Pixels.

    Returns
    -------
    (width // 2, width) float64 ndarray
        Row 0 is the south, NaN outside the ellipse.
    """
    height = width // 2
    x = 2 * (np.arange(width) + 0.5) / width - 1
    y = 2 * (np.arange(height) + 0.5) / height - 1
    angle = np.arcsin(y)[:, None]
    z = (2 * angle + np.sin(2 * angle)) / np.pi
    longitude = x[None] / np.cos(angle)
    column = np.clip((longitude + 1) / 2 * parts.shape[0], 0, parts.shape[0] - 1).astype(int)
    row = np.clip((z + 1) / 2 * parts.shape[1], 0, parts.shape[1] - 1).astype(int)
    picture = parts[column, np.broadcast_to(row, column.shape)].astype(np.float64)
    return np.where(np.abs(longitude) <= 1, picture, np.nan)

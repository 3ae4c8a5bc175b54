"""Integrals over a ball by a product rule, and the Fourier integral of a density in it.

Real spherical harmonics come from SciPy; nothing is shared with the code that is judged.
"""

import numpy as np
from scipy.special import sph_harm_y


def ball_rule(radius: float, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (v, 3) as x, y, z and weights (v,), exact for polynomials of `degree` and below."""
    n = degree // 2 + 2
    nodes, weights = np.polynomial.legendre.leggauss(n)
    r, wr = 0.5 * radius * (nodes + 1), 0.5 * radius * weights
    phi = 2 * np.pi * np.arange(degree + 1) / (degree + 1)
    points, masses = [], []
    for radial, wr_ in zip(r, wr, strict=True):
        for cosine, wc in zip(nodes, weights, strict=True):
            sine = np.sqrt(1 - cosine**2)
            shell = np.stack([sine * np.cos(phi), sine * np.sin(phi), 0 * phi + cosine], axis=1)
            points.append(radial * shell)
            masses.append(np.full(len(phi), wr_ * radial**2 * wc * 2 * np.pi / len(phi)))
    return np.concatenate(points), np.concatenate(masses)


def real_harmonics(order: int, points: np.ndarray) -> np.ndarray:
    """Y_lm of one l at points (v, 3): m = 0, 1..l cosines, 1..l sines; (v, 2 l + 1)."""
    x, y, z = np.asarray(points, dtype=np.float64).T
    polar, azimuth = np.arctan2(np.hypot(x, y), z), np.arctan2(y, x)
    columns = [sph_harm_y(order, 0, polar, azimuth).real]
    for part in ("real", "imag"):
        for m in range(1, order + 1):
            value = getattr(sph_harm_y(order, m, polar, azimuth), part)
            columns.append(np.sqrt(2) * (-1) ** m * value)  # undoes the Condon-Shortley phase
    return np.stack(columns, axis=1)

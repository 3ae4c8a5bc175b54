"""Density of an image under a molecule with states, pixel by pixel: covariance, then loops."""

import numpy as np
from scipy.stats import multivariate_normal


def phases(size: int, kx: float, ky: float) -> np.ndarray:
    """2 pi k . r at every pixel, flattened (y, x), origin at size // 2."""
    angles = []
    for y in range(size):
        for x in range(size):
            angles.append(2 * np.pi * (kx * (x - size // 2) + ky * (y - size // 2)) / size)
    return np.array(angles)


def picture(size, frequencies, weights, slice_ft) -> np.ndarray:
    """Real image of half-plane coefficients of a unitary transform."""
    total = np.zeros(size * size)
    for (kx, ky), w, value in zip(frequencies, weights, slice_ft, strict=True):
        total += w * (value * np.exp(1j * phases(size, kx, ky))).real / size
    return total


def covariance(size, frequencies, weights, variances) -> np.ndarray:
    """Of pixels, of noise that has these frequencies only."""
    total = np.zeros((size * size, size * size))
    for (kx, ky), w, variance in zip(frequencies, weights, variances, strict=True):
        angle = phases(size, kx, ky)
        total += w * variance * np.cos(angle[:, None] - angle) / size**2
    return total


def log_density(image, cov, pictures, contrast_std, n_contrasts=401) -> float:
    """Log of the mean over equally likely pictures and over contrasts normal about 1, above 0."""
    normal = multivariate_normal(np.zeros(len(cov)), cov, allow_singular=True)
    if contrast_std == 0:
        contrasts, prior = np.ones(1), np.ones(1)
    else:
        contrasts = np.linspace(0, 1 + 8 * contrast_std, n_contrasts)
        prior = np.exp(-0.5 * ((contrasts - 1) / contrast_std) ** 2)
    logs, shares = [], []
    for shown in pictures:
        for contrast, share in zip(contrasts, prior, strict=True):
            logs.append(normal.logpdf(image - contrast * shown))
            shares.append(share / prior.sum() / len(pictures))
    logs = np.array(logs)
    return float(logs.max() + np.log((shares * np.exp(logs - logs.max())).sum()))

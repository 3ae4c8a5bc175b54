"""Prior precision of a stationary Gaussian field on some voxels of a cube, entry by entry."""

import itertools

import numpy as np


def stationary_precision(size: int, inside, spectrum) -> np.ndarray:
    """Sum over the cube's Fourier modes of exp(2 pi i k (r - r') / n) / S(|k|) / n^3.

    `inside` are flat indices of the (z, y, x) cube; `spectrum` has one value for each rounded |k|,
    the last for all beyond it.
    """
    places = np.array(np.unravel_index(inside, (size,) * 3)).T
    matrix = np.zeros((len(places), len(places)))
    for k in itertools.product(range(-(size // 2), (size + 1) // 2), repeat=3):
        shell = min(round(float(np.linalg.norm(k))), len(spectrum) - 1)
        phase = 2 * np.pi * (places @ np.array(k)) / size
        cosines, sines = np.cos(phase), np.sin(phase)
        wave = np.outer(cosines, cosines) + np.outer(sines, sines)
        matrix += wave / (spectrum[shell] * size**3)
    return matrix

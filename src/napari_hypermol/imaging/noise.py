"""Noise spectra sigma^2(|w|), one per optics group, estimated from the images (Eq. 9)."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["initial_noise"]

Float64 = NDArray[np.float64]


def initial_noise(
    power: NDArray[np.floating], fill: Float64, groups: NDArray[np.int64], n_groups: int
) -> Float64:
    """Mean power of the images of every optics group, shell by shell.

    Parameters
    ----------
    power : (n, shells) float ndarray
        Sum of w |Y|^2 in each shell.
    fill : (shells,) float64 ndarray
        Sum of w in each shell.
    groups : (n,) int64 ndarray
    n_groups : int

    Returns
    -------
    noise : (n_groups, shells) float64 ndarray
        An upper bound, for it holds the signal too; the residuals replace it after a first map.
        Shells without samples take the value of the nearest one that has some.
    """
    spectra = np.empty((n_groups, power.shape[1]))
    for group in range(n_groups):
        rows = groups == group
        rows = rows if rows.any() else np.ones(len(groups), dtype=bool)
        spectra[group] = power[rows].mean(axis=0, dtype=np.float64) / np.maximum(fill, 1e-12)
    index = np.arange(power.shape[1])
    seen = index[fill > 0]
    nearest = seen[np.abs(index[:, None] - seen).argmin(axis=1)]
    spectra = spectra[:, nearest]
    # a shell of zeros (an image normalised to mean 0) must not get infinite weight
    return np.asarray(np.maximum(spectra, 1e-3 * np.median(spectra, axis=1, keepdims=True)))

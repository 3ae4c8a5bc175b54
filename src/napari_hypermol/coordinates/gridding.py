"""The interpolation kernel between a uniform Fourier grid and arbitrary frequencies.

Kaiser-Bessel over three grid steps, tuned for two-fold oversampling [1]_ and stored as one
polynomial per tap, so that weights and derivatives cost a few multiplications. Before the
transform a volume is divided by `kernel_transform`, which undoes the kernel's own window.

References
----------
.. [1] Beatty, Nishimura and Pauly (2005), doi:10.1109/TMI.2005.848376
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import i0

__all__ = [
    "HALO",
    "KERNEL_POLYNOMIALS",
    "OVERSAMPLING",
    "compensation_taps",
    "kernel_transform",
    "kernel_value",
]

OVERSAMPLING = 2
WIDTH = 3
# Stored grid steps beyond the band limit on each side: one tap and one step of rounding.
HALO = 2
_DEGREE = 6  # polynomial error 4e-6, well below the kernel's own aliasing of 7e-3
_BETA = np.pi * np.sqrt((WIDTH / OVERSAMPLING) ** 2 * (OVERSAMPLING - 0.5) ** 2 - 0.8)


def _kaiser_bessel(distance: ArrayLike) -> NDArray[np.float64]:
    """The kernel itself; distance in grid steps."""
    inside = np.clip(1 - (2 * np.asarray(distance, dtype=np.float64) / WIDTH) ** 2, 0, None)
    return np.asarray(i0(_BETA * np.sqrt(inside)) / i0(_BETA))


def _fit_taps() -> NDArray[np.float64]:
    """Polynomials of the taps left of and at the nearest grid point; the right one mirrors."""
    nodes = 0.5 * np.cos(np.pi * (np.arange(64) + 0.5) / 64)
    left = np.polynomial.polynomial.polyfit(nodes, _kaiser_bessel(nodes + 1), _DEGREE)
    middle = np.polynomial.polynomial.polyfit(nodes, _kaiser_bessel(nodes), _DEGREE)
    middle[1::2] = 0.0  # even
    return np.stack([left, middle])


# (2, 7): coefficients of t^0..t^6, t = frequency - nearest grid point, for the left and middle tap.
KERNEL_POLYNOMIALS = _fit_taps()


def kernel_value(distance: ArrayLike) -> NDArray[np.float64]:
    """The kernel as it is used: the piecewise polynomial, [grid steps] -> weight."""
    distance = np.abs(np.asarray(distance, dtype=np.float64))
    near = np.polynomial.polynomial.polyval(np.minimum(distance, 0.5), KERNEL_POLYNOMIALS[1])
    far = np.polynomial.polynomial.polyval(np.clip(distance - 1, -0.5, 0.5), KERNEL_POLYNOMIALS[0])
    return np.where(distance <= 0.5, near, np.where(distance <= 1.5, far, 0.0))


def kernel_transform(frequencies: ArrayLike) -> NDArray[np.float64]:
    """Fourier transform of the kernel.

    Parameters
    ----------
    frequencies : array_like
        Voxel position / padded size, so |f| <= 1 / (2 OVERSAMPLING).

    Returns
    -------
    ndarray
        Integral of kernel(x) cos(2 pi f x) dx, by Gauss-Legendre on each polynomial piece.
    """
    nodes, weights = np.polynomial.legendre.leggauss(24)
    x = np.concatenate([0.5 * nodes, 1 + 0.5 * nodes])
    # the middle piece once, the outer piece twice (left and right)
    w = np.concatenate([0.5 * weights, 2 * 0.5 * weights]) * kernel_value(x)
    return np.asarray(np.cos(2 * np.pi * np.multiply.outer(np.asarray(frequencies), x)) @ w)


def compensation_taps(reach: float) -> NDArray[np.float64]:
    """Division by `kernel_transform` as a short symmetric filter along each axis of the grid.

    For transforms that are known on the grid directly and never pass through voxels.

    Parameters
    ----------
    reach : float
        Largest position / padded size, at most 1 / (2 OVERSAMPLING).

    Returns
    -------
    (p + 1,) float64 ndarray
        d such that (d_0 + 2 sum_p d_p cos(2 pi p f)) kernel_transform(f) is 1 to 1e-4, seventy
        times below the kernel's own aliasing, for |f| <= `reach`.
    """
    nodes = reach * np.cos(np.pi * (np.arange(200) + 0.5) / 400)  # denser at the edge: minimax
    window = kernel_transform(nodes)
    for n_taps in range(1, 12):
        waves = window[:, None] * np.cos(2 * np.pi * np.multiply.outer(nodes, np.arange(n_taps)))
        taps = np.linalg.lstsq(waves, np.ones_like(nodes))[0]
        if np.abs(waves @ taps - 1).max() < 1e-4:
            break
    taps[1:] /= 2
    return np.asarray(taps)

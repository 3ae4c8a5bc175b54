"""The scale that molecule and contrasts share: only their product is seen.

Coefficients given contrasts, and contrasts given coefficients, hold each other's scale fast, so a
Gibbs sampler alone would find it by a slow random walk. Here it is drawn at once.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

__all__ = ["scale_draw"]

Float64 = NDArray[np.float64]
_REACH, _POINTS = 8.0, 801  # [standard deviations] either side of the mode, and entries
_WIDEST = 2.0  # of the logarithm; a chain is never further from the scale of its prior


def scale_draw(
    rng: np.random.Generator,
    quadratic: float,
    n_coefficients: int,
    contrasts: Float64,
    contrast_std: float,
) -> float:
    """A factor s for the coefficients; the contrasts are divided by it.

    Parameters
    ----------
    rng : Generator
    quadratic : float
        theta . P theta of the coefficients' normal prior.
    n_coefficients : int
    contrasts : (n,) float64 ndarray
    contrast_std : float
        Of their normal prior about 1, truncated at 0.

    Returns
    -------
    float

    Notes
    -----
    A Gibbs step along the group of scalings (Liu and Sabatti 2000): theta -> s theta, a -> a / s
    leaves the likelihood alone, so with the group's measure ds / s and the volume s^(k - n) by
    which the step stretches, log s has the log density

        (k - n) log s - s^2 theta . P theta / 2 - sum_i (a_i / s - 1)^2 / (2 std^2),

    drawn from a table of 801 entries about its mode.
    """
    n, total, squares = len(contrasts), float(contrasts.sum()), float((contrasts**2).sum())

    def log_density(u: Float64) -> Float64:
        s = np.exp(u)
        away = squares / s**2 - 2 * total / s + n
        return np.asarray(
            (n_coefficients - n) * u - 0.5 * quadratic * s**2 - 0.5 * away / contrast_std**2
        )

    found = minimize_scalar(
        lambda u: -float(log_density(np.asarray(u))), bounds=(-_WIDEST, _WIDEST), method="bounded",
        options={"xatol": 1e-6},
    )  # fmt: skip
    mode, step = float(found.x), 1e-3
    curve = log_density(mode + step * np.array([-1.0, 0.0, 1.0]))
    curvature = max(float(2 * curve[1] - curve[0] - curve[2]) / step**2, 1.0)
    table = mode + np.linspace(-_REACH, _REACH, _POINTS) / np.sqrt(curvature)
    density = np.exp(log_density(table) - float(log_density(np.asarray(mode))))
    sums = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    return float(np.exp(np.interp(rng.random() * sums[-1], sums, table)))

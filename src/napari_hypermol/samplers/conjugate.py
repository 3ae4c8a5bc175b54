"""Draws that need no proposal: tables, truncated normal contrasts, noise spectra, contrast spread.

All are exact but the spread of contrasts, whose conditional is conjugate up to the mass that the
truncation at zero removes; one Metropolis-Hastings decision makes up for it.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtri_exp

from napari_hypermol.errors import DensityError
from napari_hypermol.samplers.metropolis import Chain, Info, update

__all__ = ["categorical", "contrast_spread", "contrasts", "noise_spectra", "spread_start"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]
# [standard deviations] below zero from which the contrast is exponential to 1e-8, and differences
# of normal quantiles would lose as much
_FAR_TAIL = -1e4


def categorical(uniforms: Float, log_table: Float) -> NDArray[np.int64]:
    """Entries of tables, by inverting their sums.

    Parameters
    ----------
    uniforms : (n,) float ndarray
        In [0, 1).
    log_table : (n, t) float ndarray
        Log probabilities up to a constant of each row; -inf is never drawn.

    Returns
    -------
    (n,) int64 ndarray
    """
    log_table = np.asarray(log_table, dtype=np.float64)
    best = log_table.max(axis=1, keepdims=True)
    if not np.isfinite(best).all():
        row = int(np.flatnonzero(~np.isfinite(best[:, 0]))[0])
        raise DensityError(
            f"table {row} of {len(best)} has no largest log probability: {best[row, 0]}; at least "
            "one entry must be finite and none NaN"
        )
    sums = np.cumsum(np.exp(log_table - best), axis=1)
    # rounding could put u * total on the total itself: stay a hair below
    targets = np.minimum(uniforms * sums[:, -1], np.nextafter(sums[:, -1], 0))
    return np.asarray((sums <= targets[:, None]).sum(axis=1), dtype=np.int64)


def contrasts(uniforms: Float, linear: Float, square: Float, std: float) -> Float64:
    """Contrasts from their conditional, a normal truncated at 0.

    Parameters
    ----------
    uniforms : (n,) float ndarray
        In [0, 1).
    linear, square : (n,) float ndarray
        c.b and c.G c at the particles' states, as in `posterior.states.contrast_moments`.
    std : float
        Of the normal prior about 1, truncated at 0; zero fixes the contrast at 1.

    Returns
    -------
    (n,) float64 ndarray
        Larger for smaller uniforms.
    """
    if std == 0:
        return np.ones(len(uniforms))
    prior = 1 / std**2
    precision = np.asarray(square, dtype=np.float64) + prior
    root = np.sqrt(precision)
    centre = (np.asarray(linear, dtype=np.float64) + prior) / precision * root
    log_u = np.log1p(-np.asarray(uniforms, dtype=np.float64))  # in (0, 1]
    inside = np.maximum(centre, _FAR_TAIL)
    normal = centre - ndtri_exp(np.minimum(log_u + log_ndtr(inside), -1e-300))
    exponential = log_u / np.minimum(centre, -1.0)
    return np.asarray(np.maximum(np.where(centre > _FAR_TAIL, normal, exponential), 0.0) / root)


def noise_spectra(
    rng: np.random.Generator,
    residual_power: Float,
    degrees: Float,
    prior_variance: ArrayLike = 1.0,
    prior_degrees: float = 0.0,
) -> Float64:
    """Noise variances sigma^2 from their conditional, a scaled inverse chi-square.

    Parameters
    ----------
    rng : Generator
    residual_power : (g, shells) float ndarray
        Sum over the group's particles of w |Y - a H S A c|^2, w the half-plane weights.
    degrees : (g, shells) float ndarray
        Real numbers behind each sum: the sum of w, as E|noise|^2 is sigma^2 (Eq. 10).
    prior_variance : float or (g, shells) array_like
    prior_degrees : float
        Scaled inverse chi-square prior worth so many numbers of `prior_variance`; 0 is the prior
        1 / sigma^2.

    Returns
    -------
    (g, shells) float64 ndarray
    """
    freedom = np.asarray(degrees, dtype=np.float64) + prior_degrees
    power = np.asarray(residual_power, dtype=np.float64) + prior_degrees * np.asarray(
        prior_variance, dtype=np.float64
    )
    wrong = np.argwhere(~((freedom > 0) & (power > 0)))
    if len(wrong):
        group, shell = wrong[0]
        raise DensityError(
            f"noise of group {group}, shell {shell}: residual power {power[group, shell]:.4g} of "
            f"{freedom[group, shell]:.4g} numbers, expected both above 0; give a prior, or leave "
            "the shell out"
        )
    return np.asarray(power / rng.chisquare(freedom))


def spread_start(std: float, values: Float) -> Chain:
    """A chain (1,) of the standard deviation of contrasts `values` (n,)."""
    return Chain(np.array([float(std)]), _log_missing_mass(np.array([float(std)]), len(values)))


def contrast_spread(
    rng: np.random.Generator,
    chain: Chain,
    values: Float,
    prior_std: float = 0.2,
    prior_degrees: float = 1.0,
) -> tuple[Chain, Info]:
    """A draw of the contrasts' standard deviation given the contrasts.

    Parameters
    ----------
    rng : Generator
    chain : Chain
        Of one value (1,), from `spread_start`.
    values : (n,) float ndarray
        Contrasts: normal about 1, truncated at 0.
    prior_std, prior_degrees : float
        Scaled inverse chi-square prior of the variance, worth so many contrasts.

    Returns
    -------
    chain : Chain
    info : Info

    Notes
    -----
    Without the truncation the conditional of the variance is scaled inverse chi-square. That is the
    proposal, and what is left for Eq. (15) is Phi(1 / std)^-n.
    """
    squares = float(((np.asarray(values, dtype=np.float64) - 1) ** 2).sum())
    scale = squares + prior_degrees * prior_std**2
    proposed = np.sqrt(scale / rng.chisquare(len(values) + prior_degrees, size=1))
    # contrasts may have changed since the last call, their number too
    current = Chain(chain.value, _log_missing_mass(chain.value, len(values)))
    return update(rng, current, proposed, lambda std: _log_missing_mass(std, len(values)))


def _log_missing_mass(std: Float64, n: int) -> Float64:
    """Log of Phi(1 / std)^-n: how the truncation raises the density of n contrasts."""
    return np.asarray(-n * log_ndtr(1 / std))

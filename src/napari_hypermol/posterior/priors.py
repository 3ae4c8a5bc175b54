"""Priors of the coefficients: signal spectra estimated from the data, as in regularised likelihood.

Each state function of each coefficient set is a stationary Gaussian field seen through its
support; its spectral density S_q(|k|) is re-estimated from the coefficients and their posterior
variance. A quadratic prior contributes its normal operator, here a matrix between state functions
in every shell.
"""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.protocols import SpatialBasis

__all__ = [
    "data_precision",
    "posterior_covariance",
    "precision_of",
    "signal_precision",
    "updated_spectrum",
    "weighted_moments",
]

Float64 = NDArray[np.float64]


def data_precision(
    mean_weights: Float64, second: NDArray[np.floating], basis: SpatialBasis
) -> Float64:
    """Shell average of the likelihood's precision of the coefficients.

    Parameters
    ----------
    mean_weights : (n, shells) float64 ndarray
        Mean of W / w over the samples of each image shell; zero beyond the band limit.
    second : (n, q, q) float ndarray
        E[a^2 c c^T] of the set's columns.
    basis : SpatialBasis

    Returns
    -------
    precision : (n_shells, q, q) float64 ndarray
        The normal operator as if views were uniform and the support filled its cube.
    """
    return precision_of(weighted_moments(mean_weights, second), basis)


def weighted_moments(mean_weights: Float64, second: NDArray[np.floating]) -> Float64:
    """Sum over particles of mean weight times second moments; (shells, q, q)."""
    n, n_q = second.shape[:2]
    products: Float64 = mean_weights.T @ second.reshape(n, n_q * n_q).astype(np.float64)
    return products.reshape(-1, n_q, n_q)


def precision_of(products: Float64, basis: SpatialBasis) -> Float64:
    """`data_precision` from what `weighted_moments` gives."""
    n_q = products.shape[1]
    products = products.reshape(len(products), -1)
    index = np.arange(len(products))
    radii = np.minimum(basis.shell_radii, index[-1])
    at_shell = np.stack([np.interp(radii, index, column) for column in products.T], axis=1)
    return np.asarray((at_shell * basis.shell_coverage[:, None]).reshape(-1, n_q, n_q))


def signal_precision(
    spectrum: Float64, ridge: float = 1.0, penalty: Float64 | None = None
) -> Float64:
    """Prior precision of the coefficients, ridge (1 / S_q + penalty / S_0) in every shell.

    Parameters
    ----------
    spectrum : (q, n_shells) float64 ndarray
        S_q.
    ridge : float
        Factor on everything.
    penalty : (q, q) float64 ndarray or None
        Between state functions, such as their roughness (Eq. 24), in units of the mean's.

    Returns
    -------
    (n_shells, q, q) float64 ndarray
    """
    precision = np.zeros((spectrum.shape[1], len(spectrum), len(spectrum)))
    index = np.arange(len(spectrum))
    precision[:, index, index] = 1.0 / spectrum.T
    if penalty is not None:
        precision += penalty / spectrum[0][:, None, None]
    return np.asarray(ridge * precision)


def posterior_covariance(precision: Float64, prior: Float64) -> Float64:
    """(precision + prior)^-1 in every shell; all (n_shells, q, q)."""
    return np.asarray(np.linalg.inv(precision + prior), dtype=np.float64)


def updated_spectrum(
    coefficients: NDArray[np.floating], precision: Float64, prior: Float64, basis: SpatialBasis
) -> Float64:
    """Signal spectra that fit the coefficients and what is uncertain about them.

    Parameters
    ----------
    coefficients : (q, k) float ndarray
        MAP estimate under `prior`.
    precision : (n_shells, q, q) float64 ndarray
        The data's.
    prior : (n_shells, q, q) float64 ndarray
    basis : SpatialBasis

    Returns
    -------
    (q, n_shells) float64 ndarray

    Notes
    -----
    MacKay's fixed point S = E|theta-hat|^2 / gamma, gamma = 1 - C_qq / S the share of the mode
    that the data determine. It has the same fixed points as expectation maximisation and reaches
    them in far fewer rounds; gamma is kept above 0.05 and the change within a factor 10 a round.
    """
    covariance = posterior_covariance(precision, prior)
    variance = np.einsum("sqq->qs", covariance)
    spectrum = 1.0 / np.einsum("sqq->qs", prior)
    determined = np.clip(1 - variance / spectrum, 0.05, 1.0)
    estimate = _smooth(basis.power(coefficients) / basis.fill, basis.shell_counts)
    new = np.clip(estimate / determined, 0.1 * spectrum, 10.0 * spectrum)
    # Beyond the band limit nothing is seen but leakage through the support's edge.
    seen = np.einsum("sqq->qs", precision)
    last = np.array([np.flatnonzero(row >= 1e-2 * row.max())[-1] for row in seen])
    for row, shell in zip(new, last, strict=True):
        row[shell + 1 :] = row[shell]
    floor = 1e-8 * new.max()
    return np.asarray(np.maximum(new, floor))


def _smooth(power: Float64, counts: Float64) -> Float64:
    """Average over neighbouring shells, weighted by their number of modes."""
    weights = np.stack([0.5 * np.roll(counts, 1), counts, 0.5 * np.roll(counts, -1)])
    weights[0, 0] = weights[2, -1] = 0.0
    shifted = np.stack([np.roll(power, 1, axis=1), power, np.roll(power, -1, axis=1)])
    return np.asarray((shifted * weights[:, None]).sum(axis=0) / weights.sum(axis=0))

"""Quadratic priors of one coefficient set: ridge, smoothness across states, high state degrees.

None of them looks at the density; those that do are in `density_priors` and `transport`. Signal
spectra estimated from the data are in `priors`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import RecipeError, ShapeError
from napari_hypermol.protocols import SpatialBasis

__all__ = ["DegreePenalty", "QuadraticPrior", "Ridge", "Smoothness", "checked_strength"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]


def checked_strength(name: str, strength: float) -> None:
    """Refuse a strength that would make the log density unbounded."""
    if not 0 <= strength < np.inf:
        raise RecipeError(f"{name} prior: a strength of {strength}; it must be 0 or more")


class QuadraticPrior(ABC):
    """Log density -x . N x / 2; a subclass gives the normal operator N."""

    is_quadratic = True

    @abstractmethod
    def normal_operator(self, coefficients: Float) -> Float:
        """N x, symmetric positive; (q, k) -> (q, k)."""

    def log_density(self, coefficients: Float) -> float:
        """-x . N x / 2."""
        product = coefficients * self.normal_operator(coefficients)
        return -0.5 * float(product.sum(dtype=np.float64))

    def gradient(self, coefficients: Float) -> Float:
        """-N x."""
        return -self.normal_operator(coefficients)

    def curvature(self, coefficients: Float) -> Callable[[Float], Float]:
        """The normal operator, wherever it is asked for."""
        return self.normal_operator


@dataclass(frozen=True)
class Ridge(QuadraticPrior):
    """Independent normal coefficients of one variance.

    Parameters
    ----------
    precision : float
        1 / variance; 1 where coefficients of size 1 are expected.
    """

    precision: float

    def __post_init__(self) -> None:
        checked_strength("ridge", self.precision)

    def normal_operator(self, coefficients: Float) -> Float:
        """Precision times the coefficients."""
        return np.asarray(coefficients * float(self.precision), dtype=coefficients.dtype)


@dataclass(frozen=True, eq=False)
class Smoothness(QuadraticPrior):
    """Neighbouring states have similar densities, Eq. (24).

    Parameters
    ----------
    roughness : (q, q) float ndarray
        Mean of dP_q/dtau . dP_p/dtau over uniform states; symmetric positive.
    precision : float or (n_shells,) float ndarray
        Reference: the precision of a coefficient of the mean, over all space or in every Fourier
        shell of `basis`.
    strength : float
        1: densities are expected to change by their own size over a tenth of the state's range.
    basis : SpatialBasis or None
        Needed where `precision` varies over shells.

    Notes
    -----
    Log density -strength / 200 E|dx/dtau|^2 in units of the mean's variance, the limit of the
    paper's sum over neighbours for a fine grid of states: sum_t |x_t - x_t+1|^2 = E|dx/dtau|^2 / T.
    """

    roughness: Float64
    precision: float | Float64
    strength: float = 1.0
    basis: SpatialBasis | None = None

    def __post_init__(self) -> None:
        checked_strength("smoothness", self.strength)
        shape = np.shape(self.roughness)
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ShapeError(f"smoothness prior: roughness of shape {shape}, expected (q, q)")
        if np.ndim(self.precision) == 1 and self.basis is None:
            raise ShapeError("smoothness prior: a precision for every shell needs a basis")

    def normal_operator(self, coefficients: Float) -> Float:
        """State functions mixed by the roughness, shells weighted by the precision."""
        mixing = self.strength / 100 * np.asarray(self.roughness)
        return _mixed(coefficients, mixing, self.precision, self.basis)


@dataclass(frozen=True, eq=False)
class DegreePenalty(QuadraticPrior):
    """High state degrees are rare.

    Parameters
    ----------
    degrees : (q,) int ndarray
        Of the state functions; in two dimensions the total degree. Degree 0, the mean, is free.
    precision : float or (n_shells,) float ndarray
        Reference, as in `Smoothness`.
    strength : float
        1: degree 1 varies as much as the mean, degree q has the precision q^power times that.
    power : float
    basis : SpatialBasis or None
        Needed where `precision` varies over shells.
    """

    degrees: NDArray[np.integer]
    precision: float | Float64
    strength: float = 1.0
    power: float = 2.0
    basis: SpatialBasis | None = None

    def __post_init__(self) -> None:
        checked_strength("degree", self.strength)
        if np.ndim(self.degrees) != 1 or np.min(self.degrees, initial=0) < 0:
            raise ShapeError("degree prior: degrees must be a list of whole numbers, 0 or more")
        if np.ndim(self.precision) == 1 and self.basis is None:
            raise ShapeError("degree prior: a precision for every shell needs a basis")

    def normal_operator(self, coefficients: Float) -> Float:
        """Every state function by its own precision."""
        degrees = np.asarray(self.degrees, dtype=np.float64)
        factor = np.where(degrees > 0, self.strength * degrees**self.power, 0.0)
        return _mixed(coefficients, np.diag(factor), self.precision, self.basis)


def _mixed(
    coefficients: Float, mixing: Float64, precision: float | Float64, basis: SpatialBasis | None
) -> Float:
    """Functions mixed by a matrix (q, q), times a precision that may vary over shells."""
    if len(mixing) != len(coefficients):
        raise ShapeError(
            f"prior of {len(mixing)} state functions, but the coefficients have {len(coefficients)}"
        )
    if np.ndim(precision) == 0 or basis is None:
        matrix = (mixing * float(precision)).astype(coefficients.dtype)
        return np.asarray(matrix @ coefficients)
    gain = np.multiply.outer(np.asarray(precision), mixing)
    return basis.filter(coefficients, gain)

"""Priors of one particle's rotation, shift and contrast; those of its state are in `state_priors`.

Each gives the log density of n particles and its gradient. A rotation changes by tangent vectors
omega [rad] in the image frame: R -> exp([omega]_x) R.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.special import log_ndtr

from napari_hypermol.errors import RecipeError, ShapeError

__all__ = ["NormalShift", "RotationNear", "TruncatedNormalContrast", "UniformRotation"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]


def _checked_std(name: str, std: float, unit: str) -> None:
    if not 0 < std < np.inf:
        raise RecipeError(f"{name} prior: a standard deviation of {std}{unit}; it must be above 0")


@dataclass(frozen=True)
class UniformRotation:
    """Every rotation alike; log density 0 with respect to the uniform (Haar) measure."""

    def log_density(self, values: Float) -> Float64:
        """Rotations (n, 3, 3), molecule to image -> (n,)."""
        return np.zeros(len(values))

    def gradient(self, values: Float) -> Float64:
        """Tangent vectors; (n, 3)."""
        return np.zeros((len(values), 3))


@dataclass(frozen=True, eq=False)
class RotationNear:
    """Rotations near those of the file, isotropic in the tangent space.

    Parameters
    ----------
    reference : (n, 3, 3) float ndarray
        Molecule to image.
    std : float
        Of each of the three components of the tangent vector [rad].

    Notes
    -----
    Log density -angle^2 / (2 std^2), the angle between R and its reference in [0, pi], up to a
    constant. At pi, far in the tail of any useful std, the gradient is not unique.
    """

    reference: Float
    std: float

    def __post_init__(self) -> None:
        _checked_std("rotation", self.std, " rad")
        if np.shape(self.reference)[1:] != (3, 3):
            shape = np.shape(self.reference)
            raise ShapeError(f"rotation prior: reference of shape {shape}, expected (n, 3, 3)")

    def log_density(self, values: Float) -> Float64:
        """Rotations (n, 3, 3) -> (n,)."""
        return np.asarray(-0.5 * (self._away(values) ** 2).sum(axis=1) / self.std**2)

    def gradient(self, values: Float) -> Float64:
        """Tangent vectors; (n, 3): straight back to the reference."""
        return -self._away(values) / self.std**2

    def _away(self, values: Float) -> Float64:
        """Rotation vectors from the reference, image frame; (n, 3) [rad]."""
        if np.shape(values) != np.shape(self.reference):
            raise ShapeError(
                f"rotation prior: {np.shape(values)} rotations, {np.shape(self.reference)} in the "
                "reference"
            )
        relative = values @ np.swapaxes(self.reference, -1, -2)
        return np.asarray(Rotation.from_matrix(relative).as_rotvec(), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class NormalShift:
    """Shifts normal about zero, or about those of the file.

    Parameters
    ----------
    std : float
        Of each coordinate [Å].
    reference : (n, 2) float ndarray or None
        (x, y) [Å]; None: zero.
    """

    std: float
    reference: Float | None = None

    def __post_init__(self) -> None:
        _checked_std("shift", self.std, " Å")

    def log_density(self, values: Float) -> Float64:
        """Shifts (n, 2) [Å] -> (n,); normalised over the plane."""
        squares = (self._away(values) ** 2).sum(axis=1)
        return np.asarray(-0.5 * squares / self.std**2 - np.log(2 * np.pi * self.std**2))

    def gradient(self, values: Float) -> Float64:
        """(n, 2) [1/Å]."""
        return -self._away(values) / self.std**2

    def _away(self, values: Float) -> Float64:
        values = np.asarray(values, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != 2:
            raise ShapeError(f"shift prior: shifts of shape {values.shape}, expected (n, 2)")
        if self.reference is None:
            return np.asarray(values, dtype=np.float64)
        if np.shape(self.reference) != values.shape:
            raise ShapeError(
                f"shift prior: {len(values)} shifts, {len(self.reference)} in the reference"
            )
        return np.asarray(values - self.reference)


@dataclass(frozen=True)
class TruncatedNormalContrast:
    """Contrasts normal about `mean`, never below zero; `posterior.states` integrates it exactly.

    Parameters
    ----------
    mean, std : float
        Of the normal before it is truncated.
    """

    mean: float
    std: float

    def __post_init__(self) -> None:
        _checked_std("contrast", self.std, "")

    def log_density(self, values: Float) -> Float64:
        """Contrasts (n,) -> (n,); normalised over [0, inf), -inf below."""
        z = (np.asarray(values, dtype=np.float64) - self.mean) / self.std
        log_mass = float(log_ndtr(self.mean / self.std))
        inside = -0.5 * z**2 - np.log(self.std) - 0.5 * np.log(2 * np.pi) - log_mass
        return np.where(np.asarray(values) >= 0, inside, -np.inf)

    def gradient(self, values: Float) -> Float64:
        """(n,); the normal's, also below zero."""
        return np.asarray((self.mean - np.asarray(values, dtype=np.float64)) / self.std**2)

"""Priors of the density at chosen states: flat solvent, non-negative, sparse.

They see a coefficient set only through its density, V = E F x: state functions F at the probe
states, spatial basis E. Densities are measured in units of a typical one inside the molecule, and
summed over the voxels of the box, so strengths have no unit and do not depend on the band limit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import RecipeError, ShapeError
from napari_hypermol.posterior.coefficient_priors import QuadraticPrior, checked_strength
from napari_hypermol.protocols import SpatialBasis

__all__ = ["DensityAtStates", "NonNegativity", "SolventFlatness", "Sparsity", "checked_scale"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]


def checked_scale(name: str, scale: float) -> None:
    """Refuse a typical density that nothing can be measured by."""
    if not 0 < scale < np.inf:
        raise RecipeError(f"{name} prior: a typical density of {scale}; it must be above 0")


@dataclass(frozen=True, eq=False)
class DensityAtStates:
    """The density of one coefficient set at its probe states.

    Parameters
    ----------
    basis : SpatialBasis
    functions : (j, q) float ndarray
        State functions at the j probe states.
    """

    basis: SpatialBasis
    functions: Float64

    def __post_init__(self) -> None:
        if np.ndim(self.functions) != 2 or len(self.functions) == 0:
            shape = np.shape(self.functions)
            raise ShapeError(f"probe states: functions of shape {shape}, expected (j, q), j > 0")

    @property
    def n_states(self) -> int:
        """Number of probe states, j."""
        return len(self.functions)

    def evaluate(self, coefficients: Float) -> Float:
        """(q, k) -> (j, n, n, n)."""
        functions = self.functions.astype(coefficients.dtype)
        if functions.shape[1] != len(coefficients):
            raise ShapeError(
                f"probe states of {functions.shape[1]} state functions, "
                f"but the coefficients have {len(coefficients)}"
            )
        return self.basis.evaluate(functions @ coefficients)

    def evaluate_adjoint(self, cubes: Float) -> Float:
        """Adjoint of `evaluate`; (j, n, n, n) -> (q, k)."""
        functions = self.functions.astype(cubes.dtype)
        return np.asarray(functions.T @ self.basis.evaluate_adjoint(cubes))


@dataclass(frozen=True, eq=False)
class SolventFlatness(QuadraticPrior):
    """No density outside the molecule, at any state; quadratic.

    Parameters
    ----------
    basis : SpatialBasis
    outside : (n, n, n) float ndarray
        In [0, 1], on the voxels of `basis`: 1 in the solvent, 0 in the molecule.
    scale : float
        A typical density inside, such as the root mean square of the mean's.
    strength : float
        1: in the solvent every voxel of the box is normal about 0 with standard deviation `scale`;
        100: with a tenth of it.

    Notes
    -----
    Log density -strength / 2 sum_r outside(r) sum_q V_q(r)^2 / scale^2. For orthonormal state
    functions the sum over q is the mean over all states.
    """

    basis: SpatialBasis
    outside: Float
    scale: float
    strength: float = 1.0

    def __post_init__(self) -> None:
        checked_strength("solvent", self.strength)
        checked_scale("solvent", self.scale)
        if np.min(self.outside) < 0 or np.max(self.outside) > 1:
            raise ShapeError("solvent prior: the mask of the outside has values beyond 0 to 1")

    def normal_operator(self, coefficients: Float) -> Float:
        """E^T outside E x, times the precision of a voxel."""
        weight = self.strength * self.basis.unit_volume / self.scale**2
        weights = (weight * self.outside).astype(coefficients.dtype)
        cubes = self.basis.evaluate(coefficients)
        return np.asarray(self.basis.evaluate_adjoint(cubes * weights), dtype=coefficients.dtype)


class _VoxelwisePrior(ABC):
    """Minus a penalty of every voxel's density, mean over probe states, sum over the box.

    The penalty phi is of v = V / scale; ``phi(v) <= phi(u) + phi'(u) (v - u) + w(u) (v - u)^2 / 2``
    gives the curvature.
    """

    is_quadratic = False
    densities: DensityAtStates
    scale: float
    strength: float

    @abstractmethod
    def _penalty(self, v: Float) -> Float:
        """phi(v)."""

    @abstractmethod
    def _slope(self, v: Float) -> Float:
        """phi'(v)."""

    @abstractmethod
    def _weight(self, v: Float) -> Float:
        """Smallest w(v) of a parabola that touches phi at v and is nowhere below it."""

    @property
    def _voxel(self) -> float:
        """Weight of one voxel of one probe state."""
        return self.strength * self.densities.basis.unit_volume / self.densities.n_states

    def log_density(self, coefficients: Float) -> float:
        """Minus the penalty."""
        v = self.densities.evaluate(coefficients) / self.scale
        return -self._voxel * float(self._penalty(v).sum(dtype=np.float64))

    def gradient(self, coefficients: Float) -> Float:
        """(q, k)."""
        v = self.densities.evaluate(coefficients) / self.scale
        slope = (-self._voxel / self.scale) * self._slope(v)
        return np.asarray(self.densities.evaluate_adjoint(slope), dtype=coefficients.dtype)

    def curvature(self, coefficients: Float) -> Callable[[Float], Float]:
        """Of the parabolas that touch at `coefficients`; they lie below everywhere."""
        v = self.densities.evaluate(coefficients) / self.scale
        weights = (self._voxel / self.scale**2) * self._weight(v)

        def apply(x: Float) -> Float:
            cubes = self.densities.evaluate(x) * weights
            return np.asarray(self.densities.evaluate_adjoint(cubes), dtype=x.dtype)

        return apply


@dataclass(frozen=True, eq=False)
class NonNegativity(_VoxelwisePrior):
    """Densities below zero are improbable; above zero they are free.

    Parameters
    ----------
    densities : DensityAtStates
    scale : float
        A typical density inside the molecule.
    strength : float
        1: a voxel of the box at ``-scale`` is as improbable as one standard deviation.

    Notes
    -----
    Log density -strength / 2 mean_j sum_r min(V, 0)^2 / scale^2. A parabola that is nowhere below
    the penalty has its full curvature also where V > 0, so a strong prior slows the solve down:
    such voxels move by data / (data + prior) of their way at a time.
    """

    densities: DensityAtStates
    scale: float
    strength: float = 1.0

    def __post_init__(self) -> None:
        checked_strength("non-negativity", self.strength)
        checked_scale("non-negativity", self.scale)

    def _penalty(self, v: Float) -> Float:
        return np.asarray(0.5 * np.minimum(v, 0) ** 2)

    def _slope(self, v: Float) -> Float:
        return np.minimum(v, 0)

    def _weight(self, v: Float) -> Float:
        return np.ones_like(v)


@dataclass(frozen=True, eq=False)
class Sparsity(_VoxelwisePrior):
    """Most voxels are empty: a penalty on |V|, rounded near zero (pseudo-Huber).

    Parameters
    ----------
    densities : DensityAtStates
    scale : float
        A typical density inside the molecule.
    strength : float
        1: log density falls by 1 for every voxel of the box that reaches `scale`.
    knee : float
        |V| / scale below which the penalty is a parabola; noise smaller than this is not cut.

    Notes
    -----
    Log density -strength mean_j sum_r (sqrt(v^2 + knee^2) - knee), v = V / scale; the parabolas are
    those of iteratively reweighted least squares, w = 1 / sqrt(v^2 + knee^2).
    """

    densities: DensityAtStates
    scale: float
    strength: float = 1.0
    knee: float = 0.1

    def __post_init__(self) -> None:
        checked_strength("sparsity", self.strength)
        checked_scale("sparsity", self.scale)
        checked_scale("sparsity", self.knee)

    def _penalty(self, v: Float) -> Float:
        return np.asarray(np.hypot(v, self.knee) - self.knee)

    def _slope(self, v: Float) -> Float:
        return np.asarray(v / np.hypot(v, self.knee))

    def _weight(self, v: Float) -> Float:
        return np.asarray(1 / np.hypot(v, self.knee))

"""What the rooms ask of one another, as types: whoever fits may come in.

A new support, spatial basis or state basis needs nothing but these members; `tests/contracts` holds
the laws they must obey.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CoefficientPrior",
    "DensityBasis",
    "Executor",
    "FilterBasis",
    "ParticlePrior",
    "RadialBasis",
    "StateBasis",
    "StatePrior",
    "Support",
]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]


class Executor(Protocol):
    """Works on chunks, here or elsewhere."""

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """``function(item)`` for every item, results in order; both must pickle."""
        ...


class Support(Protocol):
    """A region of space with a soft edge, lengths in voxels of the box."""

    def centre(self) -> NDArray[np.int64]:
        """The voxel its cube is centred on; (3,) x, y, z."""
        ...

    def edge(self) -> int:
        """Even edge of a cube around `centre` that holds the support [voxels]."""
        ...

    def values(self, positions: Float, spacing: float) -> NDArray[np.float32]:
        """The support at `positions` (..., 3) [voxels], sampled every `spacing` voxels."""
        ...


class StateBasis(Protocol):
    """Functions P_q of the state on [0, 1]^d; function 0 is the constant 1."""

    @property
    def dims(self) -> int:
        """State coordinates, d."""
        ...

    @property
    def n_functions(self) -> int:
        """Number of functions, q."""
        ...

    def evaluate(self, states: Float) -> Float64:
        """Values at `states` (n, d); (n, q)."""
        ...


class RadialBasis(Protocol):
    """What a spatial basis must tell about its own Fourier transform."""

    @property
    def edge(self) -> int:
        """Edge of its cube [voxels of the box]."""
        ...

    @property
    def box_size(self) -> int:
        """Edge of the box [voxels]."""
        ...

    @property
    def size(self) -> int:
        """Its own voxels along the edge of its cube."""
        ...

    @property
    def fill(self) -> float:
        """Fraction of the cube's voxels that carry a coefficient."""
        ...

    @property
    def n_shells(self) -> int:
        """Radial bins of its Fourier transform."""
        ...

    @property
    def shell_counts(self) -> Float64:
        """Fourier modes in each bin; (n_shells,)."""
        ...

    def power(self, coefficients: Float) -> Float64:
        """Mean |theta-hat|^2 in each bin, unitary transform; (q, k) -> (q, n_shells)."""
        ...


class DensityBasis(Protocol):
    """What a spatial basis must tell about densities."""

    @property
    def unit_volume(self) -> float:
        """Squared norm of a unit coefficient's density [voxels of the box]."""
        ...

    def evaluate(self, coefficients: Float) -> Float:
        """Density of each function; (q, k) -> (q, n, n, n)."""
        ...

    def evaluate_adjoint(self, cubes: Float) -> Float:
        """Adjoint of `evaluate`; (q, n, n, n) -> (q, k)."""
        ...


class FilterBasis(Protocol):
    """What a spatial basis must offer for precisions that vary over its Fourier shells."""

    def filter(self, coefficients: Float, gain: Float) -> Float:
        """Radial filter mixing functions, (n_shells, q, q); (q, k) -> (q, k)."""
        ...


class CoefficientPrior(Protocol):
    """A prior of one coefficient set (q, k): q state functions of k spatial coefficients.

    With data operator D and right-hand side b, a solve of
    ``(D + C) x = b + C x0 + gradient(x0)``, C = ``curvature(x0)``, never lowers the log density.
    """

    @property
    def is_quadratic(self) -> bool:
        """Whether the log density is -x . C x / 2 with the same C everywhere."""
        ...

    def log_density(self, coefficients: Float) -> float:
        """Up to a constant."""
        ...

    def gradient(self, coefficients: Float) -> Float:
        """Of the log density; (q, k), in the precision of the coefficients."""
        ...

    def curvature(self, coefficients: Float) -> Callable[[Float], Float]:
        """Minus the Hessian where quadratic, else of a quadratic below the log density.

        A symmetric positive operator, (q, k) -> (q, k); the quadratic touches at `coefficients`.
        """
        ...


class ParticlePrior(Protocol):
    """A prior of one of the particles' latents: rotations, shifts, contrasts or states."""

    def log_density(self, values: Float) -> Float64:
        """Of every particle; (n, ...) -> (n,)."""
        ...

    def gradient(self, values: Float) -> Float64:
        """Of the log density; (n, ...), for rotations the tangent vectors (n, 3)."""
        ...


class StatePrior(ParticlePrior, Protocol):
    """A prior of one component's states (n, d) in [0, 1]."""

    def log_prior_on(self, states: Float) -> Float64:
        """Log probabilities of a grid of states, normalised over it; (t, d) -> (t,)."""
        ...

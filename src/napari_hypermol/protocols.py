"""What the rooms ask of one another, as types: whoever fits may come in.

A new support, spatial basis, state basis or whole molecule needs nothing but these members;
`tests/contracts` holds the laws they must obey.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BlackBox",
    "CoefficientPrior",
    "Executor",
    "Kernel",
    "ParticlePrior",
    "SpatialBasis",
    "StateBasis",
    "StateKind",
    "StatePrior",
    "Support",
]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]
Complex = NDArray[np.complexfloating]
StateKind = Literal["interval", "circle", "class"]


class BlackBox(Protocol):
    """A hypermolecule V[theta](r, tau) as the algorithms see it: slices, their adjoint, a prior.

    Sections 3.6 and 4.2, Eq. (29). Lengths are voxels of the box from its centre, vectors
    (x, y, z). A molecule that only knows its density comes in by `runs.density_black_box`.
    """

    @property
    def box_size(self) -> int:
        """Edge of the particle images [pixels]."""
        ...

    @property
    def dims(self) -> int:
        """State coordinates, d; 0 for a molecule that does not move."""
        ...

    @property
    def n_coefficients(self) -> int:
        """Length of theta, p."""
        ...

    def slices(self, theta: Float64, rotations: Float, states: Float, samples: Any) -> Complex:
        """Transforms of projections, without CTF, shift and contrast.

        Parameters
        ----------
        theta : (p,) float64 ndarray
        rotations : (m, 3, 3) float ndarray
            R, molecule to image frame.
        states : (m, d) float ndarray
            In [0, 1]; one for every rotation.
        samples : FourierSamples
            Where: kx, ky (k,) [cycles per box edge], as in `coordinates.grids`.

        Returns
        -------
        (m, k) complex ndarray
            ``1 / N sum_xy p(x, y) exp(-2 pi i (kx x + ky y) / N)`` of p, the density at R^-1 r
            summed over voxels along z: the unitary transform of an image of N x N pixels.
        """
        ...

    def slices_adjoint(
        self, theta: Float64, values: Complex, rotations: Float, states: Float, samples: Any
    ) -> Float64:
        """Gradient over theta of Re sum conj(slices) values, values (m, k) held fixed; (p,)."""
        ...

    def log_prior(self, theta: Float64) -> tuple[float, Float64]:
        """Log P(theta) up to a constant, and its gradient (p,)."""
        ...


class Executor(Protocol):
    """Works on chunks, here or elsewhere."""

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """``function(item)`` for every item, results in order; both must pickle."""
        ...


class Kernel(Protocol):
    """One Markov transition of n independent chains, each with its own log density.

    A pure function: what the next call needs is in the chain, what a caller wants to know in the
    info. Step sizes are arguments and never change in here; `samplers.adaptation` finds them.
    """

    def __call__(
        self, rng: np.random.Generator, chain: Any, log_density: Callable[[Any], Any], *args: Any
    ) -> tuple[Any, Any]:
        """The next chain, and an info with `is_accepted` and `acceptance_rate` (n,).

        `log_density` takes values (n, ...) to (n,); kernels with gradients get (n,) and (n, ...).
        """
        ...


class Support(Protocol):
    """A region of space with a soft edge, lengths in voxels of the box."""

    def centre(self) -> NDArray[np.int64]:
        """The voxel its cube is centred on; (3,) x, y, z."""
        ...

    def edge(self) -> int:
        """Even edge of a cube around `centre` that holds the support [voxels]."""
        ...

    def volume(self, size: int, spacing: float) -> float:
        """Volume [voxels], on a cube of `size` samples every `spacing` voxels around `centre`."""
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
    def kinds(self) -> tuple[StateKind, ...]:
        """What every coordinate is: an interval, a circle (0 and 1 are one state), a class."""
        ...

    @property
    def n_functions(self) -> int:
        """Number of functions, q."""
        ...

    @property
    def degrees(self) -> NDArray[np.int64]:
        """Degree of every function, 0 for the constant; (q,)."""
        ...

    def evaluate(self, states: Float) -> Float64:
        """Values at `states` (n, d); (n, q)."""
        ...

    def derivative(self, states: Float) -> Float64:
        """Derivatives with respect to every coordinate; (n, q, d)."""
        ...

    def capped(self, degree: int) -> "StateBasis":
        """The functions up to a degree; at degree 0 the constant, without a state."""
        ...

    def quadrature(self) -> tuple[Float64, Float64]:
        """States (t, d) and weights (t,) that integrate products of two functions exactly."""
        ...

    def table(self, n_states: int) -> Float64:
        """The states at which posteriors are tabulated, about `n_states` of them; (t, d)."""
        ...


class SpatialBasis(Protocol):
    """Functions psi_k of space, and what must be known of their Fourier transforms."""

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
    def n_coefficients(self) -> int:
        """Number of functions, k."""
        ...

    def is_portable(self, n_functions: int) -> bool:
        """Whether what a solve calls takes coefficients (q, k) of a device, q being so many.

        That is `evaluate`, `filter`, `fourier_grid` and the adjoints.
        """
        ...

    def evaluate(self, coefficients: Float) -> Float:
        """Density on its own voxels; (q, k) -> (q, size, size, size)."""
        ...

    def evaluate_adjoint(self, cubes: Float) -> Float:
        """Adjoint of `evaluate`."""
        ...

    def expand(self, cubes: Float) -> Float:
        """Least-squares coefficients of densities; (q, size, size, size) -> (q, k)."""
        ...

    def evaluate_full(self, coefficients: Float) -> Float:
        """Density on the voxels of the box; (q, k) -> (q, edge, edge, edge)."""
        ...

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """Stored (z, y, x) extent of the Fourier grid."""
        ...

    @property
    def grid_origin(self) -> int:
        """Index of zero frequency along z and y; along x it is 1."""
        ...

    @property
    def grid_scale(self) -> float:
        """Grid steps per frequency index of the image."""
        ...

    def fourier_grid(self, coefficients: Float) -> NDArray[np.complex64]:
        """Fourier grid ready for slicing; (q, k) -> (z, y, x, q)."""
        ...

    def fourier_grid_adjoint(self, stored: NDArray[np.complex64]) -> Float:
        """Adjoint of `fourier_grid`."""
        ...

    # ---- shells: bins of the functions by their frequency --------------------------------------

    @property
    def fill(self) -> float:
        """Coefficients per mode of a shell: 1 where the functions are the modes."""
        ...

    @property
    def unit_volume(self) -> float:
        """Squared norm of a unit coefficient [voxels of the box]."""
        ...

    @property
    def n_shells(self) -> int:
        """Number of shells."""
        ...

    @property
    def shell_radii(self) -> Float64:
        """Frequency of each shell [cycles per box edge]; (n_shells,)."""
        ...

    @property
    def shell_counts(self) -> Float64:
        """Modes in each shell; (n_shells,)."""
        ...

    @property
    def shell_coverage(self) -> Float64:
        """Precision that one image of unit weight adds to a unit coefficient; (n_shells,)."""
        ...

    def power(self, coefficients: Float) -> Float64:
        """Mean square of the modes in each shell; (q, k) -> (q, n_shells)."""
        ...

    def filter(self, coefficients: Float, gain: Float) -> Float:
        """Radial filter; gain (n_shells, q) or (n_shells, q, q)."""
        ...

    def filtered_noise(self, rng: np.random.Generator, gain: Float) -> NDArray[np.float32]:
        """Normal draw with covariance `filter`; gain (n_shells, q, q) -> (q, k)."""
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

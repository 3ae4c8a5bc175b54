"""What the rooms ask of one another, as types: whoever fits may come in.

A new support, spatial basis, state basis or whole molecule needs nothing but these members;
`tests/contracts` holds the laws they must obey.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["BlackBox", "Executor", "RadialBasis", "StateBasis", "Support"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]
Complex = NDArray[np.complexfloating]


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

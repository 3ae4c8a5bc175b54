"""Generalized prolate spheroidal functions on a ball: the paper's spatial basis psi_k(r), Eq. (4).

psi_{lnm}(r) = a^(-3/2) Phi_{l,n}(|r| / a) Y_lm(r / |r|) inside a ball of radius a, zero outside:
of all functions in the ball those with most of their energy below the band limit. There are about
2 c^3 / (9 pi) of them, c = 2 pi a (band limit), far fewer than voxels. Their Fourier transforms
are known, so the grid for slicing is filled without padding or FFT.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.gpswf_radial import (
    RadialOrder,
    radial_orders,
    shannon_number,
    transforms,
)
from napari_hypermol.bases.spherical_harmonics import (
    Lattice,
    n_terms,
    sum_harmonics,
    sum_harmonics_adjoint,
)
from napari_hypermol.coordinates.gridding import HALO, OVERSAMPLING, compensation_taps
from napari_hypermol.errors import ShapeError

__all__ = ["GpswfBasis"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]
Complex128 = NDArray[np.complex128]

_MOST_SHELLS = 32  # the forms of more take memory, and spectra are smooth
_NODES_PER_SHELL = 24
_MAX_STEPS = 200  # of conjugate gradients; about 20 are needed


@dataclass(frozen=True)
class GpswfBasis:
    """Prolate functions of a ball, up to a band limit.

    Parameters
    ----------
    radius : float
        Of the ball [voxels of the box].
    max_radius : float
        Band limit [cycles per box edge].
    box_size : int
        Pixels along an edge of the particle images.
    edge : int
        Even edge of a cube that holds the ball [voxels of the box].
    size : int
        Even number of own voxels along that cube, for `evaluate`.
    min_eigenvalue : float
        Functions with a smaller share of their energy inside the band are left out.
    """

    radius: float
    max_radius: float
    box_size: int
    edge: int
    size: int
    min_eigenvalue: float = 0.5

    def __post_init__(self) -> None:
        if self.edge % 2 or self.size % 2:
            raise ShapeError(
                f"prolate basis: edge {self.edge}, size {self.size}; both must be even"
            )
        if not 0 < 2 * self.radius <= self.edge:
            raise ShapeError(
                f"prolate basis: a ball of radius {self.radius:.4g} in a cube of edge {self.edge}; "
                "it must fit in"
            )
        nyquist = self.size * self.box_size / (2 * self.edge)
        if not 0 < self.max_radius <= nyquist * (1 + 1e-6):
            raise ShapeError(
                f"prolate basis: band limit {self.max_radius:.4g} cycles per box edge, but its "
                f"{self.size} voxels can show 0 to {nyquist:.4g}; give it more"
            )
        if not self._orders:
            raise ShapeError(
                f"prolate basis: no function of a ball of radius {self.radius:.4g} has "
                f"{self.min_eigenvalue:.4g} of its energy below {self.max_radius:.4g} cycles per "
                "box edge; the ball is too small for this band limit"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles as its parameters; the tables come back from the cache."""
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    # ---- sizes -------------------------------------------------------------------------------

    @property
    def bandwidth(self) -> float:
        """Band limit times radius, c = 2 pi a (band limit)."""
        return 2 * np.pi * self.radius * self.max_radius / self.box_size

    @property
    def shannon_number(self) -> float:
        """How many functions the ball can hold at this band limit, 2 c^3 / (9 pi)."""
        return shannon_number(self.bandwidth)

    @property
    def _orders(self) -> tuple[RadialOrder, ...]:
        return _kept_orders(self.bandwidth, self.min_eigenvalue)

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        """Radial functions of each l."""
        return np.array([order.n_functions for order in self._orders], dtype=np.int64)

    @cached_property
    def n_coefficients(self) -> int:
        """Number of spatial functions, k: by l, then n, then m as in `spherical_harmonics`."""
        return n_terms(self._counts)

    @property
    def fill(self) -> float:
        """Every coefficient stands for one function: 1."""
        return 1.0

    @property
    def unit_volume(self) -> float:
        """Squared norm of a unit coefficient [voxels of the box]; the functions are orthonormal."""
        return 1.0

    # ---- coefficients <-> values -------------------------------------------------------------

    def is_portable(self, n_functions: int) -> bool:
        """Its expansions are made in main memory only."""
        return False

    def evaluate(self, coefficients: Float) -> Float:
        """Density on the own voxels; (q, k) -> (q, n, n, n).

        Index i along an axis lies (i - n // 2) edge / n voxels of the box from the centre.
        """
        return self._sample(coefficients, self.size)

    def evaluate_adjoint(self, cubes: Float) -> Float:
        """Adjoint of `evaluate`; (q, n, n, n) -> (q, k)."""
        values = np.moveaxis(cubes.astype(np.float64), 0, -1)[..., None]
        profiles = self._radial_values(self.size)
        found = sum_harmonics_adjoint(profiles, np.ascontiguousarray(values), _cube(self.size))
        return found.astype(cubes.dtype)

    def expand(self, cubes: Float) -> Float:
        """Least-squares coefficients of densities on the own voxels; (q, n, n, n) -> (q, k)."""
        # The functions are orthonormal, so one voxel times the adjoint is close already.
        voxel = (self.edge / self.size) ** 3

        def normal(coefficients: Float) -> Float64:
            return np.asarray(voxel * self.evaluate_adjoint(self.evaluate(coefficients)))

        target = np.asarray(voxel * self.evaluate_adjoint(cubes.astype(np.float64)))
        tolerance = 1e-11 if cubes.dtype == np.float64 else 1e-6
        return _solve(normal, target, tolerance).astype(cubes.dtype)

    def evaluate_full(self, coefficients: Float) -> Float:
        """Density on the voxels of the box; (q, k) -> (q, edge, edge, edge)."""
        return self._sample(coefficients, self.edge)

    def _sample(self, coefficients: Float, size: int) -> Float:
        """Density on `size` voxels along the cube."""
        values = sum_harmonics(
            self._radial_values(size), coefficients.astype(np.float64), _cube(size), split=False
        )
        return np.ascontiguousarray(np.moveaxis(values[..., 0], -1, 0), dtype=coefficients.dtype)

    def _radial_values(self, size: int) -> list[Float64]:
        """a^(-3/2) Phi_{l,n} at 0, 1, sqrt 2, ... voxels of a cube of `size`; list of (r, n)."""
        scale = self.edge / size / self.radius
        tables = _values_at_roots(self.bandwidth, self.min_eigenvalue, scale)
        return [table * self.radius**-1.5 for table in tables]

    # ---- Fourier grid for slices -------------------------------------------------------------

    @property
    def _grid_limit(self) -> int:
        """Grid steps from zero to the band limit, rounded up."""
        return int(np.ceil(self.max_radius * self.grid_scale - 1e-6))

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """Stored (z, y, x) extent of the oversampled half-space grid, halos included."""
        origin = self.grid_origin
        return (2 * origin + 1, 2 * origin + 1, origin + 2)

    @property
    def grid_origin(self) -> int:
        """Index of zero frequency along z and y; along x it is 1."""
        return self._grid_limit + HALO

    @property
    def grid_scale(self) -> float:
        """Grid steps per frequency index of the image."""
        return OVERSAMPLING * self.edge / self.box_size

    @cached_property
    def _taps(self) -> Float64:
        """Filter along each axis in place of the division by the kernel's transform."""
        return compensation_taps(self.radius / (OVERSAMPLING * self.edge))

    @property
    def _grid_lattice(self) -> Lattice:
        """The stored grid and what the filter needs around it."""
        more = len(self._taps) - 1
        z, y, x = self.grid_shape
        origin = self.grid_origin + more
        return Lattice((z + 2 * more, y + 2 * more, x + 2 * more), (origin, origin, 1 + more))

    @property
    def _grid_profiles(self) -> list[Float64]:
        """Transforms at 0, 1, sqrt 2, ... grid steps, in units of a unitary slice; list of (r, n).

        Real part for even l, imaginary part for odd l. Only as far as a tap of a sample inside the
        band limit can reach: beyond, the grid is never read and stays zero.
        """
        reach = self._grid_limit + np.sqrt(3) * (1.5 + len(self._taps) - 1)
        tables = _transforms_at_roots(
            self.bandwidth,
            self.min_eigenvalue,
            1 / (self.grid_scale * self.max_radius),
            int(reach**2) + 1,
        )
        scale = 4 * np.pi * self.radius**1.5 / self.box_size
        return [table * scale for table in tables]

    def fourier_grid(self, coefficients: Float) -> NDArray[np.complex64]:
        """Oversampled Fourier grid of each function, ready for slicing.

        Parameters
        ----------
        coefficients : (q, k) float ndarray

        Returns
        -------
        (z, y, x, q) complex64 ndarray
            `grid_shape`; interpolated with the kernel of `coordinates.gridding` at
            ``grid_scale * R^T k``, |k| up to the band limit, it is the unitary 2-D transform of the
            projection.

        Notes
        -----
        The transform of psi_{lnm} is 4 pi a^(3/2) (-i)^l Y_lm(k) times the spherical Bessel
        transform of Phi_{l,n}: exact, no voxels in between.
        """
        values = sum_harmonics(
            self._grid_profiles, coefficients.astype(np.float64), self._grid_lattice, split=True
        )
        grid = values.view(np.complex128)[..., 0]
        for axis in range(3):
            grid = _filtered(grid, self._taps, axis)
        return grid.astype(np.complex64)

    def fourier_grid_adjoint(self, stored: NDArray[np.complex64]) -> Float:
        """Adjoint of `fourier_grid` for the product Re sum conj(a) b over stored entries.

        Parameters
        ----------
        stored : (z, y, x, q) complex64 ndarray

        Returns
        -------
        (q, k) float32 ndarray
        """
        grid = stored.astype(np.complex128)
        more = len(self._taps) - 1
        for axis in range(3):  # the filter is symmetric: its adjoint is itself, on a padded axis
            width = [(2 * more, 2 * more) if a == axis else (0, 0) for a in range(4)]
            grid = _filtered(np.pad(grid, width), self._taps, axis)
        values = np.ascontiguousarray(grid)[..., None].view(np.float64)
        found = sum_harmonics_adjoint(self._grid_profiles, values, self._grid_lattice)
        return found.astype(np.float32)

    # ---- radial spectra ----------------------------------------------------------------------

    # A function is spread over many frequencies, so a shell is not a set of functions: it is the
    # quadratic form of the energy that coefficients have there, a matrix between the radial
    # functions of each l. The forms add up to the identity.

    @cached_property
    def _shell_edges(self) -> Float64:
        """Of |k| over the band limit, about one frequency of the cube apart; (n_shells + 1,)."""
        frequencies = self.max_radius * self.edge / self.box_size
        n = int(np.clip(round(frequencies - 0.5), 1, _MOST_SHELLS))
        edges = np.linspace(0, 1, n + 2)[1:]  # the two innermost are one: a shell needs modes
        return np.concatenate([[0.0], edges[1:]]) if n > 1 else np.array([0.0, 1.0])

    @cached_property
    def _shell_nodes(self) -> tuple[Float64, Float64]:
        """Nodes x and weights of an integral over each shell; (n_shells, nodes)."""
        nodes, weights = np.polynomial.legendre.leggauss(_NODES_PER_SHELL)
        low, width = self._shell_edges[:-1, None], np.diff(self._shell_edges)[:, None]
        return low + 0.5 * width * (nodes + 1), 0.5 * width * weights

    @cached_property
    def _energies(self) -> list[Float64]:
        """Energy in each shell as a form of the radial functions of each l; (n_shells, n, n)."""
        x, w = self._shell_nodes
        forms = []
        for order in self._orders:
            signed = order.evaluate(x.ravel()) * np.sqrt(order.mu) * np.sign(order.gamma)
            values = signed.reshape(*x.shape, -1)
            form = np.einsum("sr,srn,srp->snp", w * x**2, values, values, optimize=True)
            form[-1] += np.eye(len(order.mu)) - form.sum(axis=0)  # what lies beyond the band
            forms.append(form)
        return forms

    @property
    def n_shells(self) -> int:
        """Bins of |k|, about one per frequency of the cube; the last one holds what is beyond."""
        return len(self._shell_edges) - 1

    @cached_property
    def shell_counts(self) -> Float64:
        """Modes in each shell, of sum k; (n_shells,)."""
        traces = [
            (2 * order + 1) * np.einsum("snn->s", form) for order, form in enumerate(self._energies)
        ]
        return np.asarray(np.sum(traces, axis=0))

    @cached_property
    def shell_radii(self) -> Float64:
        """Harmonic mean frequency of each shell [cycles per box edge]; (n_shells,).

        Harmonic because a plane meets a frequency in proportion to 1 / |k|: `shell_coverage`.
        """
        x, w = self._shell_nodes
        return np.asarray(self.max_radius * (w * x**2).sum(axis=1) / (w * x).sum(axis=1))

    @cached_property
    def shell_coverage(self) -> Float64:
        """Squared norm of a slice of a unit mode, mean over rotations; (n_shells,).

        That is what one particle whose samples have unit weight adds to a mode's precision,
        N / (2 |k|), of the share of its energy that lies inside the band.
        """
        beyond = np.zeros(self.n_shells)
        beyond[-1] = sum(
            (2 * number + 1) * (1 - order.mu).sum() for number, order in enumerate(self._orders)
        )
        inside = 1 - beyond / self.shell_counts
        return np.asarray(inside * self.box_size / (2 * self.shell_radii))

    def _blocks(self, coefficients: Float) -> list[Float]:
        """Coefficients of each l; (q, n, m)."""
        ends = np.cumsum([n * (2 * order + 1) for order, n in enumerate(self._counts)])
        return [
            coefficients[:, end - n * (2 * order + 1) : end].reshape(len(coefficients), n, -1)
            for order, (n, end) in enumerate(zip(self._counts, ends, strict=True))
        ]

    def power(self, coefficients: Float) -> Float64:
        """Mean square of the modes in each shell; (q, k) -> (q, n_shells)."""
        total = np.zeros((len(coefficients), self.n_shells))
        for block, form in zip(self._blocks(coefficients.astype(np.float64)), self._energies,
                               strict=True):  # fmt: skip
            products = block @ np.swapaxes(block, 1, 2)
            total += np.einsum("snp,qnp->qs", form, products)
        return np.asarray(total / self.shell_counts)

    def filter(self, coefficients: Float, gain: Float) -> Float:
        """Radial filter that may mix the functions.

        Parameters
        ----------
        coefficients : (q, k) float ndarray
        gain : (n_shells, q, q) or (n_shells, q) float ndarray
            Matrix, or diagonal, applied in each shell.

        Returns
        -------
        (q, k) float ndarray
            Symmetric positive if every matrix is.
        """
        q = len(coefficients)
        pieces = []
        for block, form in zip(self._blocks(coefficients), self._energies, strict=True):
            if gain.ndim == 2:
                mixed = np.tensordot(gain.T, form, axes=1).astype(block.dtype) @ block
            else:
                n = block.shape[1]
                matrix = np.tensordot(np.moveaxis(gain, 0, -1), form, axes=1)  # q, p, n, n'
                matrix = np.moveaxis(matrix, 1, 2).reshape(q * n, q * n).astype(block.dtype)
                mixed = matrix @ block.reshape(q * n, -1)
            pieces.append(mixed.reshape(q, -1))
        return np.asarray(np.concatenate(pieces, axis=1), dtype=coefficients.dtype)

    def filtered_noise(self, rng: np.random.Generator, gain: Float) -> NDArray[np.float32]:
        """A draw from the normal density whose covariance is `filter`.

        Parameters
        ----------
        rng : Generator
        gain : (n_shells, q, q) float ndarray
            Positive matrices.

        Returns
        -------
        (q, k) float32 ndarray
        """
        q, pieces = gain.shape[1], []
        for order, form in enumerate(self._energies):
            n = form.shape[1]
            matrix = np.tensordot(np.moveaxis(gain, 0, -1), form, axes=1)  # q, p, n, n'
            matrix = np.moveaxis(matrix, 1, 2).reshape(q * n, q * n)
            white = rng.standard_normal((q * n, 2 * order + 1))
            pieces.append((np.linalg.cholesky(matrix) @ white).reshape(q, -1))
        return np.concatenate(pieces, axis=1).astype(np.float32)


def _cube(size: int) -> Lattice:
    """Voxels of a cube about index ``size // 2``."""
    return Lattice((size, size, size), (size // 2, size // 2, size // 2))


def _filtered(grid: Complex128, taps: Float64, axis: int) -> Complex128:
    """Symmetric filter along one axis, only where it has all it needs: shorter by 2 p."""
    grid = np.moveaxis(grid, axis, 0)
    more = len(taps) - 1
    n = len(grid) - 2 * more
    out = taps[0] * grid[more : more + n]
    for p in range(1, more + 1):
        out += taps[p] * (grid[more - p : more - p + n] + grid[more + p : more + p + n])
    return np.moveaxis(out, 0, axis)


def _solve(normal: Callable[[Float], Float64], target: Float64, tolerance: float) -> Float64:
    """Conjugate gradients for every row apart, from `target` itself; (q, k) -> (q, k)."""
    found = target.copy()
    residual = target - normal(found)
    direction, square = residual.copy(), (residual**2).sum(axis=1)
    goal = tolerance**2 * (target**2).sum(axis=1)
    for _ in range(_MAX_STEPS):
        if (square <= goal).all():
            break
        image = normal(direction)
        curvature = (direction * image).sum(axis=1)
        step = np.where(square > goal, square / np.where(curvature > 0, curvature, 1), 0)
        found += step[:, None] * direction
        residual -= step[:, None] * image
        old, square = square, (residual**2).sum(axis=1)
        ratio = square / np.where(old > 0, old, 1)
        direction = residual + ratio[:, None] * direction
    return found


# Several bases of one run have the same tables, and every stage its own.
_kept_orders = lru_cache(maxsize=64)(radial_orders)


@lru_cache(maxsize=16)
def _values_at_roots(bandwidth: float, min_eigenvalue: float, scale: float) -> list[Float64]:
    """Phi_{l,n} at x = scale sqrt(i) <= 1, i = 0, 1, 2, ...; list of (i, n)."""
    x = scale * np.sqrt(np.arange(int(scale**-2 * (1 + 1e-12)) + 1))
    orders = _kept_orders(bandwidth, min_eigenvalue)
    return [order.evaluate(np.minimum(x, 1)) for order in orders]


@lru_cache(maxsize=16)
def _transforms_at_roots(
    bandwidth: float, min_eigenvalue: float, scale: float, n_rows: int
) -> list[Float64]:
    """Transforms at c scale sqrt(i), i < `n_rows`, times (-i)^l without its i; list of (i, n)."""
    x = scale * np.sqrt(np.arange(n_rows))
    found = transforms(_kept_orders(bandwidth, min_eigenvalue), x)
    signs = (1, -1, -1, 1)  # (-i)^l = 1, -i, -1, i, ...
    return [signs[order % 4] * table for order, table in enumerate(found)]

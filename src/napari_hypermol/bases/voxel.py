"""Voxels inside a support: the spatial basis psi_k(r) = mask(r_k) delta(r - r_k), Eq. (4).

The voxels are as coarse as the band limit allows, so a low-resolution stage has few coefficients;
`at_size` carries coefficients from one stage to the next. Slices are taken elsewhere (`imaging`),
from the oversampled Fourier grid made here.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.fourier import (
    radius_index,
    resample_volume,
    volume_from_half_space,
    volume_to_half_space,
)
from napari_hypermol.coordinates.gridding import HALO, OVERSAMPLING, kernel_transform
from napari_hypermol.errors import ShapeError

__all__ = ["VoxelBasis"]

Float = NDArray[np.floating]
_BLOCK = 4096  # modes mixed by one thread at a time


@dataclass(frozen=True)
class VoxelBasis:
    """Voxels of a cube, weighted by a mask.

    Parameters
    ----------
    mask : (n, n, n) float32 ndarray
        In [0, 1], n even; coefficients exist where it is above zero.
    edge : int
        Edge of the cube [voxels of the box]; one coarse voxel is ``edge / n`` of them.
    box_size : int
        Pixels along an edge of the particle images.
    """

    mask: NDArray[np.float32]
    edge: int
    box_size: int

    def __post_init__(self) -> None:
        n = self.mask.shape[0]
        if self.mask.shape != (n, n, n) or n % 2:
            raise ShapeError(f"voxel basis: mask of shape {self.mask.shape}, expected an even cube")
        if not (self.mask > 0).any():
            raise ShapeError("voxel basis: the mask is zero everywhere")

    @property
    def size(self) -> int:
        """Voxels along an edge of the cube, n."""
        return int(self.mask.shape[0])

    @cached_property
    def inside(self) -> NDArray[np.int64]:
        """Flat indices of the voxels with a coefficient; (k,)."""
        return np.flatnonzero(self.mask.ravel() > 0)

    @property
    def n_coefficients(self) -> int:
        """Number of spatial functions, k."""
        return int(self.inside.size)

    @property
    def fill(self) -> float:
        """Fraction of the cube's voxels that carry a coefficient."""
        return self.n_coefficients / self.mask.size

    @property
    def unit_volume(self) -> float:
        """Squared norm of a unit coefficient [voxels of the box]."""
        return float((self.edge / self.size) ** 3)

    # ---- coefficients <-> values -------------------------------------------------------------

    def scatter(self, coefficients: Float) -> Float:
        """Coefficients on the cube, unmasked; (q, k) -> (q, n, n, n)."""
        cubes = np.zeros((len(coefficients), self.mask.size), dtype=coefficients.dtype)
        cubes[:, self.inside] = coefficients
        return cubes.reshape(-1, *self.mask.shape)

    def gather(self, cubes: Float) -> Float:
        """Adjoint of `scatter`; (q, n, n, n) -> (q, k)."""
        return cubes.reshape(len(cubes), -1)[:, self.inside]

    def evaluate(self, coefficients: Float) -> Float:
        """Density of each function; (q, k) -> (q, n, n, n)."""
        return self.scatter(coefficients) * self.mask

    def evaluate_adjoint(self, cubes: Float) -> Float:
        """Adjoint of `evaluate`; (q, n, n, n) -> (q, k)."""
        return self.gather(cubes * self.mask)

    def expand(self, cubes: Float) -> Float:
        """Least-squares coefficients of densities; (q, n, n, n) -> (q, k).

        Where the mask is below 0.3 the division would only amplify noise: it stops there.
        """
        mask = self.mask.ravel()[self.inside]
        return np.asarray(self.gather(cubes) / np.maximum(mask, 0.3), dtype=cubes.dtype)

    def evaluate_full(self, coefficients: Float) -> Float:
        """Density on the voxels of the box; (q, k) -> (q, edge, edge, edge)."""
        return np.asarray(resample_volume(self.evaluate(coefficients), self.edge))

    # ---- Fourier grid for slices -------------------------------------------------------------

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """Stored (z, y, x) extent of the oversampled half-space grid, halos included."""
        padded = OVERSAMPLING * self.size
        return (padded + 2 * HALO + 1, padded + 2 * HALO + 1, padded // 2 + 2 * HALO)

    @property
    def grid_origin(self) -> int:
        """Index of zero frequency along z and y; along x it is 1."""
        return self.size * OVERSAMPLING // 2 + HALO

    @property
    def grid_scale(self) -> float:
        """Grid steps per frequency index of the image."""
        return OVERSAMPLING * self.edge / self.box_size

    @cached_property
    def _window(self) -> NDArray[np.float32]:
        """Division by the kernel's transform, times the scale of a unitary 2-D transform."""
        axis = np.arange(self.size) - self.size // 2
        inverse = 1.0 / kernel_transform(axis / (OVERSAMPLING * self.size))
        scale = (self.edge / self.size) ** 3 / self.box_size
        window = inverse[:, None, None] * inverse[None, :, None] * inverse[None, None, :]
        return (scale * window).astype(np.float32)

    @cached_property
    def _halo_source(self) -> tuple[NDArray[np.int64], ...]:
        """For every stored entry along z (= y) and x, the padded frequency index it repeats."""
        padded = OVERSAMPLING * self.size
        zy = np.arange(self.grid_shape[0]) - self.grid_origin
        x = np.arange(self.grid_shape[2]) - 1
        return zy % padded, x

    def _pad(self, cubes: Float) -> Float:
        start = self.size * OVERSAMPLING // 2 - self.size // 2
        width = (start, self.size * OVERSAMPLING - self.size - start)
        return np.pad(cubes, ((0, 0), width, width, width))

    def _crop(self, cubes: Float) -> Float:
        start = self.size * OVERSAMPLING // 2 - self.size // 2
        inner = slice(start, start + self.size)
        return cubes[:, inner, inner, inner]

    def fourier_grid(self, coefficients: Float) -> NDArray[np.complex64]:
        """Oversampled Fourier grid of each function, ready for slicing.

        Parameters
        ----------
        coefficients : (q, k) float ndarray

        Returns
        -------
        (z, y, x, q) complex64 ndarray
            `grid_shape`; interpolated with the kernel of `coordinates.gridding` at
            ``grid_scale * R^T k`` it is the unitary 2-D transform of the projection.
        """
        cubes = self.evaluate(coefficients).astype(np.float32) * self._window
        half = volume_to_half_space(self._pad(cubes))
        zy, x = self._halo_source
        padded = OVERSAMPLING * self.size
        stored = np.empty((*self.grid_shape, len(coefficients)), dtype=np.complex64)
        direct = (x >= 0) & (x <= padded // 2)
        half = np.moveaxis(half, 0, -1)
        stored[:, :, direct] = half[np.ix_(zy, zy, x[direct])]
        # Beyond x = 0 and x = Nyquist: F(-k) = conj F(k), and F is periodic.
        mirrored = (-zy) % padded
        columns = self._mirror_x(x[~direct])
        stored[:, :, ~direct] = np.conj(half[np.ix_(mirrored, mirrored, columns)])
        return stored

    def fourier_grid_adjoint(self, stored: NDArray[np.complex64]) -> Float:
        """Adjoint of `fourier_grid` for the product Re sum conj(a) b over stored entries.

        Parameters
        ----------
        stored : (z, y, x, q) complex64 ndarray

        Returns
        -------
        (q, k) float32 ndarray
        """
        padded = OVERSAMPLING * self.size
        zy, x = self._halo_source
        direct = (x >= 0) & (x <= padded // 2)
        folded = _fold(stored[:, :, direct], zy, padded)
        half = np.zeros((padded, padded, padded // 2 + 1, stored.shape[-1]), dtype=np.complex64)
        half[:, :, x[direct]] = folded
        mirrored = np.conj(_fold(stored[:, :, ~direct], (-zy) % padded, padded))
        for column, target in enumerate(self._mirror_x(x[~direct])):
            half[:, :, target] += mirrored[:, :, column]
        # irfftn counts inner columns twice and divides by the number of voxels; undo both.
        half[:, :, 1:-1] *= 0.5
        cubes = volume_from_half_space(np.moveaxis(half, -1, 0), padded) * float(padded) ** 3
        return self.evaluate_adjoint(self._crop(cubes) * self._window).astype(np.float32)

    def _mirror_x(self, x: NDArray[np.int64]) -> NDArray[np.int64]:
        """Half-space column that holds the conjugate of stored column `x`."""
        padded = OVERSAMPLING * self.size
        return np.asarray(np.where(x < 0, -x, padded - x))

    # ---- radial spectra ----------------------------------------------------------------------

    @cached_property
    def _shells(self) -> NDArray[np.int64]:
        return np.asarray(np.minimum(radius_index(self.size), self.n_shells - 1))

    @property
    def n_shells(self) -> int:
        """Radial bins of the cube's own Fourier transform; the last one holds its corners."""
        return self.size // 2 + 1

    @cached_property
    def _multiplicity(self) -> NDArray[np.float64]:
        weights = np.full(self._shells.shape, 2.0)
        weights[..., 0] = 1.0
        weights[..., -1] = 1.0
        return weights

    @cached_property
    def shell_counts(self) -> NDArray[np.float64]:
        """Fourier modes in each radial bin, full space; (n_shells,)."""
        counts = np.bincount(self._shells.ravel(), self._multiplicity.ravel(), self.n_shells)
        return counts.astype(np.float64)

    @property
    def shell_radii(self) -> NDArray[np.float64]:
        """Frequency of each radial bin [cycles per box edge]; (n_shells,)."""
        return np.arange(self.n_shells, dtype=np.float64) * (self.box_size / self.edge)

    @cached_property
    def shell_coverage(self) -> NDArray[np.float64]:
        """Precision that one image of unit weight adds to a unit coefficient; (n_shells,).

        A shell of radius rho holds 4 pi rho^2 d rho box_size^3 times the modes' density and is met
        by 2 pi rho d rho samples of every image; the central one by a disc of one mode's radius.
        """
        radii = self.shell_radii
        radii[0] = 2 * self.box_size / (np.pi * self.edge)
        return np.asarray(self.unit_volume * self.box_size / (2 * radii))

    def power(self, coefficients: Float) -> NDArray[np.float64]:
        """Mean |theta-hat|^2 in each radial bin, unitary transform; (q, k) -> (q, n_shells)."""
        half = volume_to_half_space(self.scatter(coefficients))
        squares = (half.real**2 + half.imag**2) * self._multiplicity / self.mask.size
        sums = [
            np.bincount(self._shells.ravel(), s.ravel().astype(np.float64), self.n_shells)
            for s in squares
        ]
        return np.asarray(np.array(sums) / self.shell_counts)

    def filter(self, coefficients: Float, gain: Float) -> Float:
        """Radial filter that may mix the functions.

        Parameters
        ----------
        coefficients : (q, k) float ndarray
        gain : (n_shells, q, q) or (n_shells, q) float ndarray
            Matrix, or diagonal, applied in each radial bin.

        Returns
        -------
        (q, k) float ndarray
            Symmetric positive if every matrix is.
        """
        half = volume_to_half_space(self.scatter(coefficients))
        gain = gain.astype(half.real.dtype)
        if gain.ndim == 2:
            half *= np.moveaxis(gain[self._shells], -1, 0)
        else:
            _mix(half.reshape(len(half), -1), gain, self._shells.ravel())
        filtered = volume_from_half_space(half, self.size)
        return np.asarray(self.gather(filtered), dtype=coefficients.dtype)

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

        Notes
        -----
        The noise is filtered on the whole cube and then cut out: filtered inside the support only,
        its covariance would meet the support's edge twice.
        """
        roots = np.linalg.cholesky(gain).astype(np.float32)[self._shells]
        white = rng.standard_normal((gain.shape[1], *self.mask.shape), dtype=np.float32)
        half = volume_to_half_space(white)
        mixed = np.einsum("zyxpq,qzyx->pzyx", roots, half, optimize=True)
        cubes = volume_from_half_space(mixed, self.size)
        return np.asarray(self.gather(cubes), dtype=np.float32)


@numba.njit(parallel=True, fastmath=True, cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mix(half: Any, gain: Any, shells: Any) -> None:
    """half_q = sum_p gain_qp half_p in every shell, in place; (q, m), (n_shells, q, q), (m,)."""
    n_q, n = half.shape
    for block in numba.prange((n + _BLOCK - 1) // _BLOCK):
        old = np.empty(n_q, dtype=half.dtype)
        for i in range(block * _BLOCK, min((block + 1) * _BLOCK, n)):
            own = gain[shells[i]]
            for q in range(n_q):
                old[q] = half[q, i]
            for q in range(n_q):
                total = own[q, 0] * old[0]
                for p in range(1, n_q):
                    total += own[q, p] * old[p]
                half[q, i] = total


def _fold(
    stored: NDArray[np.complex64], source: NDArray[np.int64], padded: int
) -> NDArray[np.complex64]:
    """Add every stored (z, y) entry to the frequency it repeats."""
    along_z = np.zeros((padded, *stored.shape[1:]), dtype=np.complex64)
    for index, target in enumerate(source):
        along_z[target] += stored[index]
    along_y = np.zeros((padded, padded, *stored.shape[2:]), dtype=np.complex64)
    for index, target in enumerate(source):
        along_y[:, target] += along_z[:, index]
    return along_y

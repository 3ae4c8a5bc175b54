"""Voxels inside a support: the spatial basis psi_k(r) = mask(r_k) delta(r - r_k), Eq. (4).

The voxels are as coarse as the band limit allows, so a low-resolution stage has few coefficients;
`at_size` carries coefficients from one stage to the next. Slices are taken elsewhere (`imaging`),
from the oversampled Fourier grid made here. What a solve needs (`evaluate`, `filter`, Fourier grids
and the adjoints) is done where the coefficients are, in main memory or on a device.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module
from napari_hypermol.bases.mixing_cuda import MOST_FUNCTIONS, mix_shells
from napari_hypermol.bases.stored_grid import half_of_stored, stored_of_half, stored_shape
from napari_hypermol.coordinates.fourier import (
    padded_from_half_space,
    padded_to_half_space,
    radius_index,
    resample_volume,
    volume_from_half_space,
    volume_to_half_space,
)
from napari_hypermol.coordinates.gridding import HALO, OVERSAMPLING, kernel_transform
from napari_hypermol.errors import ShapeError
from napari_hypermol.loops import compiled

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

    def is_portable(self, n_functions: int) -> bool:
        """Whether a solve with so many functions of the state can be done on a device."""
        return n_functions <= MOST_FUNCTIONS

    # ---- coefficients <-> values -------------------------------------------------------------

    @cached_property
    def _copies(self) -> dict[str, Any]:
        return {}

    def _beside(self, x: Any, name: str) -> Any:
        """An array of the basis where `x` is; copies on a device are kept."""
        xp, own = array_module(x), getattr(self, name)
        if xp is np:
            return own
        known: Any = self._copies.get(name)
        if not isinstance(known, xp.ndarray):
            self._copies[name] = known = xp.asarray(own)
        return known

    def scatter(self, coefficients: Float) -> Float:
        """Coefficients on the cube, unmasked; (q, k) -> (q, n, n, n)."""
        xp = array_module(coefficients)
        cubes: Float = xp.zeros((len(coefficients), self.mask.size), dtype=coefficients.dtype)
        cubes[:, self._beside(coefficients, "inside")] = coefficients
        return cubes.reshape(-1, *self.mask.shape)

    def gather(self, cubes: Float) -> Float:
        """Adjoint of `scatter`; (q, n, n, n) -> (q, k)."""
        return cubes.reshape(len(cubes), -1)[:, self._beside(cubes, "inside")]

    def evaluate(self, coefficients: Float) -> Float:
        """Density of each function; (q, k) -> (q, n, n, n)."""
        cubes: Float = self.scatter(coefficients) * self._beside(coefficients, "mask")
        return cubes

    def evaluate_adjoint(self, cubes: Float) -> Float:
        """Adjoint of `evaluate`; (q, n, n, n) -> (q, k)."""
        return self.gather(cubes * self._beside(cubes, "mask"))

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
    def _padded(self) -> int:
        return OVERSAMPLING * self.size

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """Stored (z, y, x) extent of the oversampled half-space grid, halos included."""
        return stored_shape(self._padded)

    @property
    def grid_origin(self) -> int:
        """Index of zero frequency along z and y; along x it is 1."""
        return self._padded // 2 + HALO

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
        cubes = self.evaluate(coefficients).astype(np.float32)
        cubes *= self._beside(cubes, "_window")
        return stored_of_half(padded_to_half_space(cubes, self._padded))

    def fourier_grid_adjoint(self, stored: NDArray[np.complex64]) -> Float:
        """Adjoint of `fourier_grid` for the product Re sum conj(a) b over stored entries.

        Parameters
        ----------
        stored : (z, y, x, q) complex64 ndarray

        Returns
        -------
        (q, k) float32 ndarray
        """
        # irfft counts inner columns twice and divides by the number of voxels; undo the latter
        cubes = padded_from_half_space(half_of_stored(stored), self.size)
        cubes = cubes * (self._beside(stored, "_window") * np.float32(self._padded) ** 3)
        return self.evaluate_adjoint(cubes).astype(np.float32)

    # ---- radial spectra ----------------------------------------------------------------------

    @cached_property
    def _shells(self) -> NDArray[np.int64]:
        return np.asarray(np.minimum(radius_index(self.size), self.n_shells - 1))

    @cached_property
    def _shells32(self) -> NDArray[np.int32]:
        return np.ascontiguousarray(self._shells, dtype=np.int32)

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
        xp = array_module(coefficients)
        # neither centred: where the origin is makes no difference to a radial filter
        half = padded_to_half_space(self.scatter(coefficients), self.size)
        gain = gain.astype(half.real.dtype)
        if gain.ndim == 2:
            half *= xp.moveaxis(xp.asarray(gain)[self._beside(half, "_shells")], -1, 0)
        elif xp is np:
            _mix(half.reshape(len(half), -1), gain, self._shells.ravel())
        else:
            half = xp.ascontiguousarray(half)
            mix_shells(half, gain, self._beside(half, "_shells32"))
        filtered = padded_from_half_space(half, self.size)
        return self.gather(filtered).astype(coefficients.dtype, copy=False)

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


@compiled(parallel=True, fastmath=True)
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

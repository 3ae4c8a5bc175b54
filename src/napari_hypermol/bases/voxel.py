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
from napari_hypermol.coordinates.fourier import (
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

    @property
    def _inner(self) -> slice:
        """Where the cube lies along an axis of the padded one."""
        start = self.size * OVERSAMPLING // 2 - self.size // 2
        return slice(start, start + self.size)

    def _pad(self, cubes: Float) -> Float:
        shape = (len(cubes), *(OVERSAMPLING * self.size,) * 3)
        padded: Float = array_module(cubes).zeros(shape, dtype=cubes.dtype)
        padded[:, self._inner, self._inner, self._inner] = cubes
        return padded

    def _crop(self, cubes: Float) -> Float:
        return cubes[:, self._inner, self._inner, self._inner]

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
        xp = array_module(coefficients)
        cubes = self.evaluate(coefficients).astype(np.float32)
        half = volume_to_half_space(self._pad(cubes * self._beside(cubes, "_window")))
        zy, x = self._halo_source
        padded = OVERSAMPLING * self.size
        stored: Any = xp.empty((*self.grid_shape, len(coefficients)), dtype=np.complex64)
        direct, beyond = self._columns
        half = xp.moveaxis(half, 0, -1)
        along = xp.asarray(zy)
        stored[:, :, direct] = half[xp.ix_(along, along, xp.asarray(x[direct]))]
        # Beyond x = 0 and x = Nyquist: F(-k) = conj F(k), and F is periodic.
        mirrored = xp.asarray((-zy) % padded)
        for column in beyond:
            source = half[:, :, self._mirror_x(x[column])]
            stored[:, :, column] = xp.conj(source[xp.ix_(mirrored, mirrored)])
        return stored  # type: ignore[no-any-return]

    def fourier_grid_adjoint(self, stored: NDArray[np.complex64]) -> Float:
        """Adjoint of `fourier_grid` for the product Re sum conj(a) b over stored entries.

        Parameters
        ----------
        stored : (z, y, x, q) complex64 ndarray

        Returns
        -------
        (q, k) float32 ndarray
        """
        xp, padded = array_module(stored), OVERSAMPLING * self.size
        zy, x = self._halo_source
        direct, beyond = self._columns
        half = _fold(stored[:, :, direct], zy, padded)
        for column in beyond:
            folded = _fold(stored[:, :, column], (-zy) % padded, padded)
            half[:, :, self._mirror_x(x[column])] += xp.conj(folded)
        # irfftn counts inner columns twice and divides by the number of voxels; undo both.
        half[:, :, 1:-1] *= np.float32(0.5)
        cubes = volume_from_half_space(xp.moveaxis(half, -1, 0), padded)
        cubes = self._crop(cubes) * (self._beside(stored, "_window") * np.float32(padded) ** 3)
        return self.evaluate_adjoint(cubes).astype(np.float32)

    @cached_property
    def _columns(self) -> tuple[slice, list[int]]:
        """Stored columns along x that the half space has, and those beyond its two ends."""
        x, padded = self._halo_source[1], OVERSAMPLING * self.size
        direct = np.flatnonzero((x >= 0) & (x <= padded // 2))
        beyond = np.flatnonzero((x < 0) | (x > padded // 2))
        return slice(int(direct[0]), int(direct[-1]) + 1), [int(column) for column in beyond]

    def _mirror_x(self, x: int) -> int:
        """Half-space column that holds the conjugate of column `x`."""
        return int(-x if x < 0 else OVERSAMPLING * self.size - x)

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
        half = volume_to_half_space(self.scatter(coefficients))
        gain = gain.astype(half.real.dtype)
        if gain.ndim == 2:
            half *= xp.moveaxis(xp.asarray(gain)[self._beside(half, "_shells")], -1, 0)
        elif xp is np:
            _mix(half.reshape(len(half), -1), gain, self._shells.ravel())
        else:
            half = xp.ascontiguousarray(half)
            mix_shells(half, gain, self._beside(half, "_shells32"))
        filtered = volume_from_half_space(half, self.size)
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


def _fold(stored: Any, source: NDArray[np.int64], padded: int) -> Any:
    """Add every stored (z, y) entry to the frequency it repeats."""
    xp, runs = array_module(stored), _runs(source)
    along_z = xp.zeros((padded, *stored.shape[1:]), dtype=np.complex64)
    for here, there in runs:
        along_z[there] += stored[here]
    along_y = xp.zeros((padded, padded, *stored.shape[2:]), dtype=np.complex64)
    for here, there in runs:
        along_y[:, there] += along_z[:, here]
    return along_y


def _runs(source: NDArray[np.int64]) -> list[tuple[slice, slice]]:
    """Stretches of `source` that go up, or down, by ones, and the frequencies they name."""
    step = int(np.sign(np.median(np.diff(source))))
    ends = np.flatnonzero(np.diff(source) != step) + 1
    runs = []
    for part in np.split(np.arange(len(source)), ends):
        first, last = int(source[part[0]]), int(source[part[-1]])
        low, high = min(first, last), max(first, last) + 1
        here = slice(int(part[0]), int(part[-1]) + 1)
        if step < 0:
            stop = here.start - 1
            here = slice(here.stop - 1, None if stop < 0 else stop, -1)
        runs.append((here, slice(low, high)))
    return runs

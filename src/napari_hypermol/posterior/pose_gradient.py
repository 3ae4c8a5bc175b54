"""Log likelihood of every particle at one pose, contrast and state, and its gradient there.

For kernels that move particles by Langevin or Hamiltonian steps. With M = sum_q c_q A_q(R), D and W
as in `likelihood`, and D's phases turned to the shift s,

    log L = Re sum_k conj(M) a D - a^2 / 2 sum_k W |M|^2,

whose gradient needs the derivatives of the slices along the image's frequencies only: turning the
molecule by omega is turning the frequencies back, k -> k - omega x k. Not here: sums over states or
contrasts, see `states`.

The gradient is that of the interpolated slices between the places where another grid point becomes
the nearest; there the interpolant jumps, by up to 1 % of a grid value. The slope over 0.01 rad
differs from it by 3 to 4 % (measured on white noise, the hardest). Kernels that accept or reject
are exact all the same.
"""

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.gridding import KERNEL_POLYNOMIALS
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.errors import ShapeError
from napari_hypermol.imaging.projector import Placements, check_band_limit
from napari_hypermol.loops import compiled, inlined
from napari_hypermol.posterior.likelihood import WhitenedImages

__all__ = ["PoseGradient", "PosePoint", "pose_gradient"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]

_LEFT = np.polynomial.Polynomial(KERNEL_POLYNOMIALS[0])
_MIDDLE = np.polynomial.Polynomial(KERNEL_POLYNOMIALS[1])
# (4, 7): values of the left and middle tap, then their derivatives; coefficients of t^0..t^6
_TAPS = np.stack([*KERNEL_POLYNOMIALS, *(np.r_[p.deriv().coef, 0.0] for p in (_LEFT, _MIDDLE))])


class PosePoint(NamedTuple):
    """Where n particles are.

    Attributes
    ----------
    rotations : (n, 3, 3) float ndarray
        Molecule to image.
    shifts : (n, 2) float ndarray
        (x, y) [pixels], beyond what was undone in the images' data.
    contrasts : (n,) float ndarray
    functions : (n, q) float ndarray
        State functions c at the particles' states; 1 for rigid components.
    """

    rotations: Float
    shifts: Float
    contrasts: Float
    functions: Float


class PoseGradient(NamedTuple):
    """Log likelihood, against the empty molecule, and its gradient at a `PosePoint`.

    Attributes
    ----------
    log_likelihood : (n,) float64 ndarray
    rotations : (n, 3) float64 ndarray
        Over omega at 0 of exp([omega]_x) R, image frame [1/rad].
    shifts : (n, 2) float64 ndarray
        [1/pixel]
    contrasts : (n,) float64 ndarray
    functions : (n, q) float64 ndarray
        Times the state functions' derivatives this is the gradient over the states.
    """

    log_likelihood: Float64
    rotations: Float64
    shifts: Float64
    contrasts: Float64
    functions: Float64


@inlined(fastmath=True)
def _polynomial(row: Any, t: Any) -> Any:
    total = 0.0
    for power in range(6, -1, -1):
        total = total * t + row[power]
    return total


@inlined(fastmath=True)
def _locate(u: Any, taps: Any, weights: Any, slopes: Any) -> Any:
    """Nearest grid step of a frequency; fills the three tap weights and their derivatives."""
    step = math.floor(u + 0.5)
    t = u - step
    weights[0], slopes[0] = _polynomial(taps[0], t), _polynomial(taps[2], t)
    weights[1], slopes[1] = _polynomial(taps[1], t), _polynomial(taps[3], t)
    weights[2], slopes[2] = _polynomial(taps[0], -t), -_polynomial(taps[2], -t)
    return int(step)


@inlined(fastmath=True)
def _gather(
    source: Any, row: Any, steps: Any, weights: Any, slopes: Any, c: Any, values: Any, along: Any
) -> None:
    """Each function's value (count,) at one frequency, and the slopes (3,) of their sum with c."""
    values[:] = 0
    along[:] = 0
    for iz in range(3):
        for iy in range(3):
            for ix in range(3):
                at = row + iz * steps[2] + iy * steps[1] + ix * steps[0]
                weight = weights[0, ix] * weights[1, iy] * weights[2, iz]
                mixed = 0j
                for q in range(len(values)):
                    value = complex(source[at + 2 * q], source[at + 2 * q + 1])
                    values[q] += weight * value
                    mixed += c[q] * value
                along[0] += slopes[0, ix] * weights[1, iy] * weights[2, iz] * mixed
                along[1] += weights[0, ix] * slopes[1, iy] * weights[2, iz] * mixed
                along[2] += weights[0, ix] * weights[1, iy] * slopes[2, iz] * mixed


@inlined(fastmath=True)
def _slices_and_slopes(
    rotation: Any, c: Any, grids: Any, placements: Any, samples: Any, taps: Any,
    slices: Any, total: Any, slopes: Any,
) -> None:  # fmt: skip
    """Fill A (k, q), M (k,), and the slopes of M along the three frequencies of the image frame."""
    total[:] = 0
    slopes[:] = 0
    weights, derivatives = np.empty((3, 3)), np.empty((3, 3))
    near, along = np.empty(3, dtype=np.int64), np.empty(3, dtype=np.complex128)
    frame = np.empty((3, 3))
    for m in range(placements.grids.shape[0]):
        s, start = placements.grids[m], placements.starts[m]
        count = grids.n_functions[s]
        values, own = np.empty(count, dtype=np.complex128), c[start : start + count]
        lever = np.zeros(3)  # of the phase: 2 pi R P centre / N
        for i in range(3):
            for j in range(3):
                frame[i, j] = 0.0
                for axis in range(3):
                    frame[i, j] += rotation[i, axis] * placements.rotations[m, axis, j]
                lever[i] += frame[i, j] * placements.centres[m, j]
            lever[i] *= 2 * np.pi / samples.box_size
        frame *= grids.scales[s]
        steps = np.array([1, grids.sizes[s, 2], grids.sizes[s, 2] * grids.sizes[s, 1]])
        steps *= 2 * count
        origin = grids.origins[s] - 1
        for k in range(samples.kx.shape[0]):
            kx, ky = samples.kx[k], samples.ky[k]
            sign = 1.0 if frame[0, 0] * kx + frame[1, 0] * ky >= 0 else -1.0
            for j in range(3):
                u = sign * (frame[0, j] * kx + frame[1, j] * ky)
                near[j] = _locate(u, taps, weights[j], derivatives[j])
            row = grids.offsets[s] + near[0] * steps[0]
            row += (near[1] + origin) * steps[1] + (near[2] + origin) * steps[2]
            _gather(grids.values, row, steps, weights, derivatives, own, values, along)
            angle = -(lever[0] * kx + lever[1] * ky)
            phase = complex(math.cos(angle), math.sin(angle))
            mixed = 0j
            for q in range(count):
                value = phase * complex(values[q].real, sign * values[q].imag)
                slices[k, start + q] = value
                mixed += own[q] * value
            total[k] += mixed
            for i in range(3):
                slope = 0j
                for j in range(3):
                    slope += frame[i, j] * complex(sign * along[j].real, along[j].imag)
                slopes[k, i] += phase * slope - 1j * lever[i] * mixed


@inlined(fastmath=True)
def _add_particle(
    i: Any, data: Any, weights: Any, point: Any, samples: Any, slices: Any, total: Any, slopes: Any,
    out: Any,
) -> None:  # fmt: skip
    """Sums over the samples of particle i, given its slices."""
    contrast, per_pixel = point.contrasts[i], 2 * np.pi / samples.box_size
    for k in range(samples.kx.shape[0]):
        kx, ky = samples.kx[k], samples.ky[k]
        angle = per_pixel * (kx * point.shifts[i, 0] + ky * point.shifts[i, 1])
        seen = complex(data[i, 0, k], data[i, 1, k]) * complex(math.cos(angle), math.sin(angle))
        overlap = total[k].conjugate() * seen
        square = weights[i, k] * (total[k].real ** 2 + total[k].imag ** 2)
        out.log_likelihood[i] += contrast * (overlap.real - 0.5 * contrast * square)
        out.contrasts[i] += overlap.real - contrast * square
        out.shifts[i, 0] -= contrast * per_pixel * kx * overlap.imag
        out.shifts[i, 1] -= contrast * per_pixel * ky * overlap.imag
        rest = contrast * seen - contrast * contrast * weights[i, k] * total[k]
        for q in range(slices.shape[1]):
            out.functions[i, q] += (slices[k, q].conjugate() * rest).real
        x, y, z = slopes[k, 0], slopes[k, 1], slopes[k, 2]
        toward = rest.conjugate()
        out.rotations[i, 0] -= ky * (toward * z).real
        out.rotations[i, 1] += kx * (toward * z).real
        out.rotations[i, 2] += (toward * (ky * x - kx * y)).real


@compiled(parallel=True, fastmath=True)
def _pose_gradient(
    data: Any, weights: Any, point: Any, grids: Any, placements: Any, samples: Any, taps: Any,
    parts: Any, out: Any,
) -> None:  # fmt: skip
    n, n_samples, n_q = weights.shape[0], weights.shape[1], point.functions.shape[1]
    for part in numba.prange(parts):
        slices = np.empty((n_samples, n_q), dtype=np.complex128)
        total = np.empty(n_samples, dtype=np.complex128)
        slopes = np.empty((n_samples, 3), dtype=np.complex128)
        for i in range(part * n // parts, (part + 1) * n // parts):
            rotation, c = point.rotations[i], point.functions[i]
            _slices_and_slopes(rotation, c, grids, placements, samples, taps, slices, total, slopes)
            _add_particle(i, data, weights, point, samples, slices, total, slopes, out)


def pose_gradient(
    images: WhitenedImages,
    point: PosePoint,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
) -> PoseGradient:
    """Log likelihood and gradient of every particle at `point`.

    Parameters
    ----------
    images : WhitenedImages
        Their rotations are not used.
    point : PosePoint
    grids : FourierGrids
    placements : Placements
    samples : FourierSamples

    Returns
    -------
    PoseGradient

    Notes
    -----
    Eq. (10) with the expansion (21). A plain loop, one particle after the other: for few calls.
    """
    check_band_limit(grids, samples)
    n, n_q = len(images.weights), int(grids.n_functions[placements.grids].sum())
    expected = ((n, 3, 3), (n, 2), (n,), (n, n_q))
    for name, value, shape in zip(PosePoint._fields, point, expected, strict=True):
        if np.shape(value) != shape:
            raise ShapeError(f"{name} of shape {np.shape(value)}, expected {shape}")
    double = PosePoint(*(np.ascontiguousarray(value, dtype=np.float64) for value in point))
    shapes = ((n,), (n, 3), (n, 2), (n,), (n, n_q))
    out = PoseGradient(*(np.zeros(shape) for shape in shapes))
    _pose_gradient(
        images.data, images.weights, double, grids, placements, samples, _TAPS,
        numba.get_num_threads(), out,
    )  # fmt: skip
    return out

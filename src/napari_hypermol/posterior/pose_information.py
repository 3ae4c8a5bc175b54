"""How well an image tells its pose, and where it says the pose is: a normal approximation.

With M = sum_q c_q A_q(R) and J the derivatives of a M over turn, shift, contrast and states, the
Fisher information is sum_k W Re(conj(J_i) J_j); that of the priors is added and the inverse taken,
so that what is said of a turn allows for shift, contrast and states being unknown too. The inverse
times the slope of the log posterior leads, to first order, to its mode (one Gauss-Newton step).
Kernels shape their proposals by both: an image may tell one turn seven times as well as another.
The sums of CuPy arrays are those of `pose_information_cuda`.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module, as_numpy
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.coordinates.rotations import turn_between, turned
from napari_hypermol.errors import ShapeError
from napari_hypermol.imaging.projector import Placements, ready_to_slice, slice_particle
from napari_hypermol.loops import compiled, inlined
from napari_hypermol.posterior import pose_information_cuda
from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.posterior.likelihood import WhitenedImages

__all__ = ["PoseInformation", "pose_information"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]
# Of the differences that stand for derivatives over turns [1 rad of phase at the band limit, half
# the box from the middle]: so large that jumps of the interpolant at grid points do not count.
_STEP = 0.3
_UNIFORM = 12.0  # precision of a uniform state in [0, 1]
_WIDEST = 0.5  # [rad] standard deviation of a turn of which an image tells nothing


class PoseInformation(NamedTuple):
    """A normal density of every particle's turn and shift, everything else unknown.

    Attributes
    ----------
    steps : (n, 5) float64 ndarray
        From the pose to the mode: omega [rad] in the image frame, then the shift [pixels].
    covariances : (n, 5, 5) float64 ndarray
    """

    steps: Float64
    covariances: Float64


@inlined(fastmath=True)
def _mixed(rows: Any, c: Any, out: Any) -> None:
    """sum_q c_q A_q of slices (k, 2 q)."""
    for k in range(rows.shape[0]):
        re, im = np.float32(0), np.float32(0)
        for q in range(c.shape[0]):
            re += c[q] * rows[k, 2 * q]
            im += c[q] * rows[k, 2 * q + 1]
        out[0, k], out[1, k] = re, im


@compiled(parallel=True, fastmath=True)
def _information(
    data: Any, weights: Any, rotations: Any, contrasts: Any, functions: Any, slopes: Any,
    turns: Any, per_turn: Any, grids: Any, placements: Any, samples: Any, parts: Any,
    gradient: Any, information: Any,
) -> None:  # fmt: skip
    n, n_samples = weights.shape
    n_q, n_all = functions.shape[1], information.shape[1]
    everything = np.ones(placements.grids.shape[0], dtype=np.bool_)
    per_pixel = 2 * np.pi / samples.box_size
    for part in numba.prange(parts):
        rows = np.empty((n_samples, 2 * n_q), dtype=np.float32)
        j = np.empty((n_all, 2, n_samples), dtype=np.float32)
        there, other = np.empty((2, n_samples), dtype=np.float32), np.empty((3, 3), np.float32)
        for i in range(part * n // parts, (part + 1) * n // parts):
            a, c = np.float32(contrasts[i]), functions[i]
            factor = np.float32(contrasts[i] * per_turn)
            for axis in range(3):
                for side in range(2):
                    for row in range(3):
                        for column in range(3):
                            other[row, column] = np.float32(0)
                            for inner in range(3):
                                turn = turns[axis, side, row, inner]
                                other[row, column] += turn * rotations[i, inner, column]
                    slice_particle(rows, other, grids, placements, samples, everything)
                    _mixed(rows, c, j[axis] if side == 0 else there)
                for k in range(n_samples):
                    j[axis, 0, k] = factor * (j[axis, 0, k] - there[0, k])
                    j[axis, 1, k] = factor * (j[axis, 1, k] - there[1, k])
            slice_particle(rows, rotations[i], grids, placements, samples, everything)
            _mixed(rows, c, j[5])
            for k in range(n_samples):  # a shift multiplies by exp(-2 pi i k.s / N)
                re, im = a * j[5, 0, k], a * j[5, 1, k]
                x, y = per_pixel * samples.kx[k], per_pixel * samples.ky[k]
                j[3, 0, k], j[3, 1, k] = x * im, -x * re
                j[4, 0, k], j[4, 1, k] = y * im, -y * re
                there[0, k] = data[i, 0, k] - weights[i, k] * re  # the residual
                there[1, k] = data[i, 1, k] - weights[i, k] * im
            for d in range(slopes.shape[1]):
                _mixed(rows, slopes[i, d], j[6 + d])
                for k in range(n_samples):
                    j[6 + d, 0, k] *= a
                    j[6 + d, 1, k] *= a
            for p in range(n_all):
                total = np.float32(0)
                for k in range(n_samples):
                    total += j[p, 0, k] * there[0, k] + j[p, 1, k] * there[1, k]
                gradient[i, p] = total
                for q in range(p + 1):
                    total = np.float32(0)
                    for k in range(n_samples):
                        total += weights[i, k] * (j[p, 0, k] * j[q, 0, k] + j[p, 1, k] * j[q, 1, k])
                    information[i, p, q] = total
                    information[i, q, p] = total


def pose_information(
    images: WhitenedImages,
    shifts: Float64,
    prior: PosePrior,
    contrasts: Float,
    functions: Float,
    slopes: Float,
    states: Float,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
    contrast_std: float,
    temperature: float = 1.0,
) -> PoseInformation:
    """A normal approximation of the posterior of every pose, at the poses of `images`.

    Parameters
    ----------
    images : WhitenedImages
        With `shifts` undone. If they are on a device, the values of `grids` are too, and the
        arrays of n may be.
    shifts : (n, 2) float64 ndarray
        [pixels].
    prior : PosePrior
    contrasts : (n,) float ndarray
    functions : (n, q) float ndarray
        c of every particle.
    slopes : (n, d, q) float ndarray
        Its derivatives over the state coordinates.
    states : (n, d) float ndarray
        Where those are; a uniform state counts as a normal one of its spread.
    grids, placements, samples
        The molecule.
    contrast_std : float
        Of the contrasts' prior about 1; zero: they are known.
    temperature : float
        Factor on the log likelihood.

    Returns
    -------
    PoseInformation
        In main memory.
    """
    n, n_q, n_states = len(images.weights), functions.shape[1], slopes.shape[1]
    if slopes.shape != (n, n_states, n_q) or states.shape != (n, n_states):
        raise ShapeError(
            f"slopes of shape {slopes.shape}, states {states.shape}; expected ({n}, d, {n_q}) and "
            f"({n}, d)"
        )
    step = _STEP / (np.pi * samples.max_radius)
    turns = np.array([[turned(np.eye(3), sign * step * e) for sign in (1, -1)] for e in np.eye(3)])
    about = turns.astype(np.float32), 0.5 / step, grids, placements, samples
    if array_module(images.data) is np:
        gradient, information = _summed(images, contrasts, functions, slopes, *about)
    else:
        sums = pose_information_cuda.information(images, contrasts, functions, slopes, *about)
        gradient, information = (as_numpy(x).astype(np.float64) for x in sums)
        prior = prior._replace(rotations=as_numpy(prior.rotations), shifts=as_numpy(prior.shifts))
        shifts, contrasts, states = as_numpy(shifts), as_numpy(contrasts), as_numpy(states)
    gradient, information = temperature * gradient, temperature * information
    is_known = contrast_std == 0
    if is_known:
        gradient[:, 5], information[:, 5], information[:, :, 5] = 0.0, 0.0, 0.0
    contrast_precision = 1.0 if is_known else contrast_std**-2
    away = turn_between(prior.rotations, as_numpy(images.rotations))
    gradient[:, :3] -= prior.rotation_precision * away
    gradient[:, 3:5] -= prior.shift_precision * (shifts - prior.shifts)
    gradient[:, 5] -= contrast_precision * (np.asarray(contrasts) - 1)
    gradient[:, 6:] -= _UNIFORM * (states - 0.5)
    rotation_precision = prior.rotation_precision + _WIDEST**-2
    own = [*[rotation_precision] * 3, *[prior.shift_precision] * 2, contrast_precision]
    covariances = np.linalg.inv(information + np.diag(own + [_UNIFORM] * n_states))
    steps = np.einsum("nij,nj->ni", covariances, gradient)
    return PoseInformation(steps[:, :5], np.ascontiguousarray(covariances[:, :5, :5]))


def _summed(
    images: WhitenedImages, contrasts: Float, functions: Float, slopes: Float, turns: Float,
    per_turn: float, grids: FourierGrids, placements: Placements, samples: FourierSamples,
) -> tuple[Float64, Float64]:  # fmt: skip
    """What `pose_information_cuda.information` gives, in main memory."""
    ready_to_slice(grids, samples)
    n, n_all = len(images.weights), 6 + slopes.shape[1]
    gradient, information = np.empty((n, n_all)), np.empty((n, n_all, n_all))
    _information(
        images.data, images.weights, images.rotations,
        np.ascontiguousarray(contrasts, dtype=np.float64),  # another layout would compile it again
        np.ascontiguousarray(functions, dtype=np.float32),
        np.ascontiguousarray(slopes, dtype=np.float32),
        turns, per_turn, grids, placements, samples, numba.get_num_threads(), gradient, information,
    )  # fmt: skip
    return gradient, information

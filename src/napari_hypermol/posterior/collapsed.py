"""Log evidence of a rotation with shift, state and contrast summed out, from its slices.

For one particle and one rotation: b at every shift of a small patch, G once, then

    log sum_s sum_t exp(temperature log L(s, c_t) + log prior)

over the patch's shifts s and tabulated joint states c_t, the contrast integrated out exactly at
every entry. This is what a Metropolis step on rotations compares, so that one step may move
rotation, shift and states together.
"""

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.imaging.projector import Placements, ready_to_slice, slice_particle
from napari_hypermol.loops import compiled, inlined
from napari_hypermol.posterior._particle_loops import fill_products, tiles_of
from napari_hypermol.posterior._row_products import MOST, SLACK, TILE
from napari_hypermol.posterior.exponentials import exponential
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.posterior.states import contrast_moments

__all__ = [
    "CollapsedModel",
    "PosePrior",
    "SliceScratch",
    "angle_square",
    "collapsed_evidence",
    "lines_of",
    "moved_data",
    "patch_evidence",
    "slice_and_gram",
    "slice_scratch",
]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


class CollapsedModel(NamedTuple):
    """What is summed out, and the molecule it is summed out for.

    Attributes
    ----------
    grids : FourierGrids
    placements : Placements
    samples : FourierSamples
    nodes : (n or 1, t, q) float32 ndarray
        c of every tabulated joint state; of each particle, or the same for all.
    log_prior : (t,) float64 ndarray
        Of the joint states.
    contrast_std : float
        Zero: contrast 1.
    temperature : float
        Factor on the log likelihood.
    """

    grids: FourierGrids
    placements: Placements
    samples: FourierSamples
    nodes: Float32
    log_prior: Float64
    contrast_std: float
    temperature: float

    def ready(self) -> "CollapsedModel":
        """For loops: slices compiled, and whole numbers as floats, as code is for each type."""
        ready_to_slice(self.grids, self.samples)
        return self._replace(
            contrast_std=float(self.contrast_std), temperature=float(self.temperature)
        )


class PosePrior(NamedTuple):
    """Normal priors of rotations and shifts about given ones; precision 0 is none.

    Attributes
    ----------
    rotations : (n, 3, 3) float32 ndarray
    rotation_precision : float
        Of each component of the tangent vector [1 / rad^2].
    shifts : (n, 2) float64 ndarray
        [pixels].
    shift_precision : float
        Of each coordinate [1 / pixels^2].
    """

    rotations: Float32
    rotation_precision: float
    shifts: Float64
    shift_precision: float


class SliceScratch(NamedTuple):
    """What `slice_and_gram` needs beside its results, for one thread.

    Attributes
    ----------
    rows : (k 2 q + SLACK,) float32 ndarray
    sums : (MOST + 1, 4) float32 ndarray
    overlaps : (q,) float32 ndarray
    tiles : (tiles, 3) int64 ndarray
        As `tiles_of` all pairs gives them.
    everything : (m,) bool ndarray
        True, for every placement.
    """

    rows: Float32
    sums: Float32
    overlaps: Float32
    tiles: NDArray[np.int64]
    everything: NDArray[np.bool_]


@inlined()
def slice_scratch(n_samples: Any, n_q: Any, n_placed: Any, tiles: Any) -> Any:
    """`SliceScratch` of so many samples, columns and placements."""
    return SliceScratch(
        np.zeros(n_samples * 2 * n_q + SLACK, dtype=np.float32),
        np.empty((MOST + 1, TILE), dtype=np.float32),
        np.empty(n_q, dtype=np.float32),
        tiles,
        np.ones(n_placed, dtype=np.bool_),
    )


@inlined(fastmath=True)
def slice_and_gram(
    rotation: Any, data: Any, weights: Any, i: Any, grids: Any, placements: Any, samples: Any,
    scratch: Any, columns: Any, gram: Any,
) -> None:  # fmt: skip
    """Slices of particle i at a rotation, (2 q, k), and G (q q), flat."""
    n_q, n_samples = columns.shape[0] // 2, columns.shape[1]
    slices = scratch.rows[: n_samples * 2 * n_q].reshape(n_samples, 2 * n_q)
    slice_particle(slices, rotation, grids, placements, samples, scratch.everything)
    for k in range(n_samples):
        for j in range(2 * n_q):
            columns[j, k] = slices[k, j]
    fill_products(
        scratch.rows, n_q, weights, data, i, scratch.tiles, scratch.sums, 0, scratch.overlaps, gram
    )


@inlined(fastmath=True)
def _powers(angle: Any, re: Any, im: Any) -> None:
    """exp(i angle j) for j = 0, 1, ..., each from the one before, in double precision."""
    step_re, step_im, x, y = math.cos(angle), math.sin(angle), 1.0, 0.0
    for j in range(len(re)):
        re[j], im[j] = x, y
        x, y = x * step_re - y * step_im, x * step_im + y * step_re


@inlined()
def lines_of(samples: Any) -> Any:
    """Where lines of samples begin: of one ky, kx going up by one; (lines + 1, 3) int64.

    First sample, its kx and ky; the last entry is where the last line ends.
    """
    kx, ky, n_lines = samples.kx, samples.ky, 0
    lines = np.empty((len(kx) + 1, 3), dtype=np.int64)
    for k in range(len(kx)):
        if k == 0 or ky[k] != ky[k - 1] or kx[k] != kx[k - 1] + 1:
            lines[n_lines, 0], lines[n_lines, 1], lines[n_lines, 2] = k, int(kx[k]), int(ky[k])
            n_lines += 1
    lines[n_lines, 0], lines[n_lines, 1], lines[n_lines, 2] = len(kx), 0, 0
    return lines[: n_lines + 1]


@inlined(fastmath=True)
def moved_data(data: Any, offset: Any, samples: Any, lines: Any, out: Any) -> None:
    """D with `offset` [pixels] more undone; both (2, k). `lines` as `lines_of` gives them.

    Samples must have kx >= 0, and both indices within ``samples.max_radius``: nobody looks here.
    """
    n_phases = min(int(samples.max_radius), samples.box_size // 2) + 1
    x_re, x_im = np.empty(n_phases, np.float32), np.empty(n_phases, np.float32)
    y_re, y_im = np.empty(n_phases, np.float32), np.empty(n_phases, np.float32)
    turn = 2.0 * np.pi / samples.box_size
    _powers(turn * offset[0], x_re, x_im)
    _powers(turn * offset[1], y_re, y_im)
    for line in range(len(lines) - 1):
        ky = lines[line, 2]
        turned_re, turned_im = y_re[abs(ky)], y_im[abs(ky)]
        if ky < 0:
            turned_im = -turned_im
        # unsigned: an index that cannot be negative lets the compiler use vectors
        start, first = np.uint64(lines[line, 0]), np.uint64(lines[line, 1])
        for k in range(np.uint64(lines[line + 1, 0] - lines[line, 0])):
            along_re, along_im = x_re[first + k], x_im[first + k]
            phase_re = along_re * turned_re - along_im * turned_im
            phase_im = along_re * turned_im + along_im * turned_re
            re, im = data[0, start + k], data[1, start + k]
            out[0, start + k] = re * phase_re - im * phase_im
            out[1, start + k] = re * phase_im + im * phase_re


@inlined()
def angle_square(first: Any, second: Any) -> Any:
    """Square of the angle between two rotations [rad^2]."""
    gap = 0.0
    for i in range(3):
        for j in range(3):
            gap += (first[i, j] - second[i, j]) ** 2
    return (2.0 * math.asin(min(math.sqrt(gap / 8.0), 1.0))) ** 2


@inlined(fastmath={"contract", "reassoc", "nsz", "arcp"})
def patch_evidence(
    data: Any, columns: Any, gram: Any, offsets: Any, prior_offset: Any, shift_precision: Any,
    samples: Any, lines: Any, nodes: Any, log_prior: Any, std: Any, temperature: Any, by_shift: Any,
) -> Any:  # fmt: skip
    """Log evidence of a patch of shifts; fills `by_shift` (s,), its log terms.

    `offsets` (s, 2) are from the shift that `data` has undone, `prior_offset` (2,) leads from it
    to the middle of the shifts' prior; `lines` as `lines_of` gives them.
    """
    n_samples, n_q, n_nodes = columns.shape[1], gram.shape[0], nodes.shape[0]
    moved = np.empty((2, n_samples), dtype=np.float32)
    linear, squares = np.empty(n_nodes), np.empty(n_nodes)
    functions = np.empty((n_q, n_nodes))  # those of all nodes side by side
    for t in range(n_nodes):
        for q in range(n_q):
            functions[q, t] = nodes[t, q]
    # what of the contrast's integral does not depend on the shift: `contrast_moments` without tails
    prior_precision = 1.0 / (std * std) if std > 0 else 0.0
    halves, fixed = np.empty(n_nodes), np.empty(n_nodes)
    for t in range(n_nodes):
        total = 0.0
        for p in range(n_q):
            if nodes[t, p] == 0:  # positions the component is not in
                continue
            inner = 0.0
            for q in range(n_q):
                inner += nodes[t, q] * gram[p, q]
            total += nodes[t, p] * inner
        squares[t] = max(total, 0.0)
        if std > 0:
            precision = squares[t] + prior_precision
            halves[t] = 0.5 / precision
            fixed[t] = -0.5 * prior_precision - 0.5 * math.log(precision / prior_precision)
    # more than 8 standard deviations above 0, as is the prior: no tails
    has_tails = std > 0 and prior_precision <= 64.0
    terms = np.empty(n_nodes)
    top = -np.inf
    for s in range(offsets.shape[0]):
        moved_data(data, offsets[s], samples, lines, moved)
        linear[:] = 0.0
        for q in range(n_q):
            total32 = np.float32(0)
            for k in range(n_samples):
                total32 += columns[2 * q, k] * moved[0, k] + columns[2 * q + 1, k] * moved[1, k]
            b = np.float64(total32)
            for t in range(n_nodes):
                linear[t] += functions[q, t] * b
        n_near = 0  # nodes whose contrast may well be near 0, or whose evidence is no number
        if std == 0.0:
            for t in range(n_nodes):
                terms[t] = linear[t] - 0.5 * squares[t]
        else:
            for t in range(n_nodes):
                raised = max(linear[t] + prior_precision, 0.0)
                above = raised * raised * halves[t]
                n_near += 0 if above > 32.0 else 1
                terms[t] = above + fixed[t]
        if has_tails or n_near > 0:
            for t in range(n_nodes):
                raised = max(linear[t] + prior_precision, 0.0)
                if has_tails or not raised * raised * halves[t] > 32.0:
                    terms[t] = contrast_moments(linear[t], squares[t], std)[0]
        best = -np.inf
        for t in range(n_nodes):
            terms[t] = terms[t] * temperature + log_prior[t]
            best = max(best, terms[t])
        total = 0.0
        for t in range(n_nodes):
            total += exponential(terms[t] - best)
        x, y = offsets[s, 0] - prior_offset[0], offsets[s, 1] - prior_offset[1]
        by_shift[s] = best + math.log(total) - 0.5 * shift_precision * (x * x + y * y)
        top = max(top, by_shift[s])
    total = 0.0
    for s in range(offsets.shape[0]):
        total += math.exp(by_shift[s] - top)
    return top + math.log(total)


@compiled(parallel=True)
def _collapsed(
    data: Any, weights: Any, rotations: Any, offsets: Any, prior: Any, shifts: Any,
    grids: Any, placements: Any, samples: Any, nodes: Any, log_prior: Any, std: Any,
    temperature: Any, tiles: Any, parts: Any, evidence: Any, by_shift: Any,
) -> None:  # fmt: skip
    n, n_samples = weights.shape
    n_q = nodes.shape[2]
    for part in numba.prange(parts):
        scratch = slice_scratch(n_samples, n_q, len(placements.grids), tiles)
        columns = np.empty((2 * n_q, n_samples), dtype=np.float32)
        flat, lines = np.empty(n_q * n_q, dtype=np.float32), lines_of(samples)
        gram = flat.reshape(n_q, n_q)
        for i in range(part * n // parts, (part + 1) * n // parts):
            own = nodes[i % nodes.shape[0]]
            for j in range(rotations.shape[1]):
                slice_and_gram(
                    rotations[i, j], data, weights, i, grids, placements, samples, scratch, columns,
                    flat,
                )  # fmt: skip
                evidence[i, j] = patch_evidence(
                    data[i], columns, gram, offsets[i], prior.shifts[i] - shifts[i],
                    prior.shift_precision, samples, lines, own, log_prior, std, temperature,
                    by_shift[i, j],
                )  # fmt: skip
                if prior.rotation_precision > 0:
                    away = angle_square(rotations[i, j], prior.rotations[i])
                    evidence[i, j] -= 0.5 * prior.rotation_precision * away


def collapsed_evidence(
    images: WhitenedImages,
    rotations: NDArray[np.floating],
    offsets: Float64,
    shifts: Float64,
    prior: PosePrior,
    model: CollapsedModel,
) -> tuple[Float64, Float64]:
    """Log evidence of several rotations of every particle.

    Parameters
    ----------
    images : WhitenedImages
        With `shifts` undone.
    rotations : (n, j, 3, 3) float ndarray
        Instead of those of `images`.
    offsets : (n, s, 2) float64 ndarray
        Shifts that are summed over, from `shifts` [pixels].
    shifts : (n, 2) float64 ndarray
        [pixels].
    prior : PosePrior
    model : CollapsedModel

    Returns
    -------
    evidence : (n, j) float64 ndarray
        Against the empty molecule, priors included, up to a constant.
    by_shift : (n, j, s) float64 ndarray
        Its terms; without the prior of the rotation.
    """
    n, j = rotations.shape[:2]
    evidence, by_shift = np.empty((n, j)), np.empty((n, j, offsets.shape[1]))
    turned = np.ascontiguousarray(rotations, dtype=np.float32)
    data, weights = (np.ascontiguousarray(a) for a in (images.data, images.weights))
    tiles = tiles_of(np.ones((model.nodes.shape[2],) * 2, dtype=np.bool_))
    _collapsed(
        data, weights, turned, np.ascontiguousarray(offsets, dtype=np.float64), prior,
        np.ascontiguousarray(shifts, dtype=np.float64), *model.ready(), tiles,
        numba.get_num_threads(), evidence, by_shift,
    )  # fmt: skip
    return evidence, by_shift

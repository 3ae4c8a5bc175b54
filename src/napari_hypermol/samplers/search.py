"""Exhaustive search: the posterior over a grid of rotations, shifts and states by matrix products.

With slices A_r of the molecule at every grid rotation and state, and data D_s shifted by every grid
shift, all b = Re conj(A_r) D_s of a chunk of particles are one real matrix product, and so are the
norms G = W |A_r|^2 and, weighted by the posterior, the sums that the coefficients' solve needs:
one averaged image D-bar with weights W-bar for every grid rotation and state. Two modes: the
marginal posterior ("ML"), tempered by a factor on the log likelihood, or only the best cell of
every particle by cross-correlation ("maxCC"). CuPy arrays are handed on to `search_cuda`.
"""

import math
from typing import Any, Literal, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from napari_hypermol.backend import array_module
from napari_hypermol.loops import compiled, inlined
from napari_hypermol.samplers import search_cuda

__all__ = ["Cells", "Mode", "SearchSums", "SearchTarget", "search"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Mode = Literal["marginal", "maxcc"]
_SCRATCH = 48e6  # floats of b held at once where sums are wanted: well below a gigabyte
_CACHED = 12e6  # and between a product and its exponentials
_DENSE = 0.05  # share of cells in use above which a matrix product adds them up faster
_BLOCK = 256  # rotations that are passed over together where all of them are improbable
_LOWEST = np.float32(-3e38)
_NEGLIGIBLE = np.float32(1e-8)  # of the best cell; cells below it are left out
_LOG_NEGLIGIBLE = np.float32(np.log(1e-8))


class SearchTarget(NamedTuple):
    """What a search compares images with; r rotations, t states, k samples.

    Attributes
    ----------
    slices : (t, r, k) complex64 ndarray
        Of the molecule at every state.
    phases : (s, k) complex64 ndarray
        exp(+2 pi i w.shift) of every grid shift: undoes it.
    log_prior : (t, s) float32 ndarray
        Of states and shifts.
    """

    slices: NDArray[np.complex64]
    phases: NDArray[np.complex64]
    log_prior: Float32


class Cells(NamedTuple):
    """The best few cells of every particle, most probable first.

    Attributes
    ----------
    rotations, shifts, states : (n, c) int32 ndarray
        Indices; of every rotation its best shift and state.
    log_weights : (n, c) float32 ndarray
        Log posterior of the rotation under the search's temperature, shift and state summed out.
    log_evidence : (n,) float64 ndarray
        Log of the mean over rotations of likelihood^temperature, summed over shifts and states
        with their prior, against the empty molecule.
    """

    rotations: Int32
    shifts: Int32
    states: Int32
    log_weights: Float32
    log_evidence: Float64


class SearchSums(NamedTuple):
    """Posterior averages over the particles, for every grid rotation and state.

    Attributes
    ----------
    data : (t, r, 2, k) float32 ndarray
        Sum of p conj(S) D.
    weights : (t, r, k) float32 ndarray
        Sum of p W.
    mass : (t, r) float64 ndarray
        Sum of p.
    shift_mass : (s,) float64 ndarray
    """

    data: Float32
    weights: Float32
    mass: Float64
    shift_mass: Float64


@intrinsic  # type: ignore[untyped-decorator]
def _power_of_two(typing_context: Any, exponent: Any) -> Any:
    """2^exponent as a float32, by writing its exponent's bits; int32, at least -126."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer = ir.IntType(32)
        bits = builder.shl(
            builder.add(arguments[0], ir.Constant(integer, 127)), ir.Constant(integer, 23)
        )
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.int32), generate


@numba.njit(fastmath=True, inline="always")  # type: ignore[untyped-decorator]
def _exp(x: Any) -> Any:
    """exp(x) for x <= 0 to 3e-7, in operations that run on vectors."""
    x = max(x, np.float32(-80.0)) * np.float32(1.4426950408889634)
    whole = np.floor(x + np.float32(0.5))
    f = (x - whole) * np.float32(0.6931471805599453)
    p = np.float32(1.0 / 720)
    for c in (1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0):
        p = p * f + np.float32(c)
    return p * _power_of_two(np.int32(whole))


@compiled(parallel=True, fastmath=True)
def _shift(data: Any, phases: Any, shifted: Any) -> None:
    """D of every particle at every shift; (m, 2, k) to (m, s, 2 k)."""
    n_shifts, n_samples = phases.shape
    for i in numba.prange(len(data)):
        re, im = data[i, 0], data[i, 1]
        for s in range(n_shifts):
            turn = phases[s]
            out_re, out_im = shifted[i, s, :n_samples], shifted[i, s, n_samples:]
            for k in range(n_samples):
                c, d = turn[k].real, turn[k].imag
                out_re[k] = re[k] * c - im[k] * d
                out_im[k] = re[k] * d + im[k] * c


@inlined(fastmath=True)
def _to_correlations(b: Any, g: Any, temperature: Any) -> None:
    """Make b (s, t, r) of one particle its log likelihood at the best contrast, tempered."""
    for s in range(b.shape[0]):
        for t in range(b.shape[1]):
            row, norm = b[s, t], g[t]
            for r in range(len(row)):
                positive = max(row[r], np.float32(0))
                row[r] = temperature * positive * positive
                row[r] /= np.float32(2) * norm[r] + np.float32(1e-30)


@inlined(fastmath=True)
def _highest(b: Any, norm: Any, factor: Any, log_prior: Any, highest: Any) -> None:
    """Of factor b - norm + log_prior in every block of rotations; (s, t, blocks)."""
    n_rotations = b.shape[2]
    for s in range(b.shape[0]):
        for t in range(b.shape[1]):
            for block in range(highest.shape[2]):
                start = block * _BLOCK
                row = b[s, t, start : min(start + _BLOCK, n_rotations)]
                low, top = norm[t, start:], _LOWEST
                for r in range(len(row)):
                    top = max(top, row[r] * factor - low[r])
                highest[s, t, block] = top + log_prior[t, s]


@inlined(fastmath=True)
def _exponentials(
    b: Any, norm: Any, factor: Any, log_prior: Any, highest: Any, top: Any,
    by_state: Any, by_shift: Any, counts: Any,
) -> None:  # fmt: skip
    """Make b exp(factor b - norm + log_prior - top), its negligible entries zero."""
    n_rotations = b.shape[2]
    for s in range(b.shape[0]):
        for t in range(b.shape[1]):
            offset = log_prior[t, s] - top
            for block in range(highest.shape[2]):
                start = block * _BLOCK
                row = b[s, t, start : min(start + _BLOCK, n_rotations)]
                counts[s, t, block] = 0
                if highest[s, t, block] - top < _LOG_NEGLIGIBLE:
                    row[:] = 0
                    continue
                low, sums = norm[t, start:], by_state[t, start:]
                part, count = np.float32(0), np.float32(0)
                for r in range(len(row)):
                    e = _exp(row[r] * factor - low[r] + offset)
                    e = e if e >= _NEGLIGIBLE else np.float32(0)
                    count += np.float32(1) if e > np.float32(0) else np.float32(0)
                    part += e
                    sums[r] += e
                    row[r] = e
                counts[s, t, block] = count
                by_shift[s] += part


@inlined()
def _keep_best(b: Any, by_state: Any, by_shift: Any, counts: Any) -> None:
    """All weight on the first of the cells whose exponential is highest."""
    at, best = (0, 0, 0), np.float32(-1)
    for s in range(b.shape[0]):
        for t in range(b.shape[1]):
            for block in range(counts.shape[2]):
                if counts[s, t, block] > 0:
                    stop = min((block + 1) * _BLOCK, b.shape[2])
                    for r in range(block * _BLOCK, stop):
                        if b[s, t, r] > best:
                            at, best = (s, t, r), b[s, t, r]
    for array in (b, counts):
        array[:] = 0
    by_state[:] = 0
    by_shift[:] = 0
    b[at], by_state[at[1], at[2]], by_shift[at[0]] = 1, 1, 1
    counts[at[0], at[1], at[2] // _BLOCK] = 1


@inlined()
def _best_cells(
    b: Any, by_state: Any, total: Any, rotations: Any, shifts: Any, states: Any, p: Any
) -> None:
    """The most probable rotations of one particle, sorted, and the best shift and state of each."""
    n_cells = len(rotations)
    p[:] = -1
    for r in range(by_state.shape[1]):
        value = np.float32(0)
        for t in range(by_state.shape[0]):
            value += by_state[t, r]
        if value <= p[n_cells - 1]:
            continue
        c = n_cells - 1
        while c > 0 and p[c - 1] < value:
            p[c], rotations[c] = p[c - 1], rotations[c - 1]
            c -= 1
        p[c], rotations[c] = value, r
    for c in range(n_cells):
        best = np.float32(-1)
        for s in range(b.shape[0]):
            for t in range(b.shape[1]):
                if b[s, t, rotations[c]] > best:
                    best, shifts[c], states[c] = b[s, t, rotations[c]], s, t
        p[c] = math.log(max(p[c] / total, 1e-30))


@compiled(parallel=True)
def _weigh(
    b: Any, g: Any, log_prior: Any, temperature: Any, is_maxcc: Any,
    by_state: Any, by_shift: Any, counts: Any, total: Any,
    rotations: Any, shifts: Any, states: Any, log_weights: Any, log_evidence: Any,
) -> None:  # fmt: skip
    """Make b (m, s, t, r) the posterior times `total` (m,); g (m, t, r) is overwritten."""
    for i in numba.prange(len(b)):
        factor, norm = temperature, g[i]
        if is_maxcc:
            _to_correlations(b[i], norm, temperature)
            factor = np.float32(1)
            norm[:] = 0
        else:
            norm *= np.float32(0.5) * temperature
        highest = np.empty(counts.shape[1:], dtype=np.float32)
        _highest(b[i], norm, factor, log_prior, highest)
        top = highest.max()
        _exponentials(
            b[i], norm, factor, log_prior, highest, top, by_state[i], by_shift[i], counts[i]
        )
        log_evidence[i] = top + np.log(by_shift[i].sum() / b.shape[3])
        if is_maxcc:
            _keep_best(b[i], by_state[i], by_shift[i], counts[i])
        total[i] = by_shift[i].sum()
        _best_cells(
            b[i], by_state[i], total[i], rotations[i], shifts[i], states[i], log_weights[i]
        )  # fmt: skip


@compiled(parallel=True, fastmath=True)
def _add_sparse(p: Any, counts: Any, shifted: Any, data_sums: Any) -> None:
    """Add p times `shifted`, cell after cell; every thread has rotations of its own."""
    m, n_shifts, n_states, n_rotations = p.shape
    n_blocks = counts.shape[3]
    for part in numba.prange(n_states * n_blocks):
        t, block = part // n_blocks, part % n_blocks
        stop = min((block + 1) * _BLOCK, n_rotations)
        for i in range(m):
            for s in range(n_shifts):
                if counts[i, s, t, block] == 0:
                    continue
                source = shifted[i, s]
                for r in range(block * _BLOCK, stop):
                    w = p[i, s, t, r]
                    if w > 0:
                        target = data_sums[t, r]
                        for k in range(len(source)):
                            target[k] += w * source[k]


class _Chunk(NamedTuple):
    """Room for what is found of m particles."""

    b: Float32  # (m or fewer, s, t, r)
    shifted: Float32  # (m, s, 2 k)
    by_state: Float32  # (m, t, r)
    by_shift: Float64  # (m, s)
    counts: Float32  # (m, s, t, blocks)
    total: Float64  # (m,)

    def first(self, m: int) -> "_Chunk":
        """Of the first m particles; fewer of b where it holds fewer."""
        b, shifted, by_state, by_shift, counts, total = self
        return _Chunk(b[:m], shifted[:m], by_state[:m], by_shift[:m], counts[:m], total[:m])


def _room(m: int, n_scored: int, target: SearchTarget) -> _Chunk:
    n_states, n_rotations, n_samples = target.slices.shape
    n_shifts, n_blocks = len(target.phases), -(-n_rotations // _BLOCK)
    return _Chunk(
        np.empty((n_scored, n_shifts, n_states, n_rotations), dtype=np.float32),
        np.empty((m, n_shifts, 2 * n_samples), dtype=np.float32),
        np.empty((m, n_states, n_rotations), dtype=np.float32),
        np.empty((m, n_shifts)),
        np.empty((m, n_shifts, n_states, n_blocks), dtype=np.float32),
        np.empty(m),
    )


def _add(sums: SearchSums, chunk: _Chunk, weights: Float32) -> None:
    """Add a chunk's averages; `chunk.shifted` is overwritten."""
    b, shape = chunk.b, chunk.by_state.shape
    scale = (1.0 / chunk.total).astype(np.float32)
    shifted = chunk.shifted
    shifted *= scale[:, None, None]
    data_sums = sums.data.reshape(*shape[1:], -1)
    if chunk.counts.sum(dtype=np.float64) > _DENSE * b.size:
        flat = b.reshape(shifted.shape[0] * shifted.shape[1], -1)
        data_sums += (flat.T @ shifted.reshape(len(flat), -1)).reshape(data_sums.shape)
    else:
        _add_sparse(b, chunk.counts, shifted, data_sums)
    by_state = (chunk.by_state * scale[:, None, None]).reshape(len(b), -1)
    sums.weights[...] += (by_state.T @ weights).reshape(sums.weights.shape)
    sums.mass[...] += by_state.sum(axis=0, dtype=np.float64).reshape(shape[1:])
    sums.shift_mass[...] += (chunk.by_shift / chunk.total[:, None]).sum(axis=0)


def search(
    data: Float32,
    weights: Float32,
    target: SearchTarget,
    temperature: float = 1.0,
    mode: Mode = "marginal",
    n_cells: int = 1,
    with_sums: bool = True,
) -> tuple[Cells, SearchSums | None]:
    """Posterior of every particle over the whole grid.

    Parameters
    ----------
    data : (n, 2, k) float32 ndarray
        D = w H Y / sigma^2 of `posterior.likelihood.WhitenedImages`.
    weights : (n, k) float32 ndarray
        W = w H^2 / sigma^2.
    target : SearchTarget
        Of arrays where `data` and `weights` are: in main memory, or all on a CUDA device.
    temperature : float
        Factor on the log likelihood, in (0, 1]; small ones keep many cells alive.
    mode : {"marginal", "maxcc"}
        Posterior over all cells, or all weight on the cell of the highest cross-correlation
        b / sqrt(G) (the contrast at its best), as far as the prior agrees.
    n_cells : int
        Rotations to keep of every particle.
    with_sums : bool
        Whether to add up what the coefficients' solve needs.

    Returns
    -------
    cells : Cells
    sums : SearchSums or None
        Both of arrays where the data are.

    Notes
    -----
    -2 log L = |Y|^2 - 2 b + G at contrast 1 (Eq. 10). Cost 4 n s t r k for the search and again
    for the sums where more than 5 % of the cells are in use, and always on a device; less
    otherwise. Cells 10^8 times less probable than the best are left out.
    """
    if array_module(data) is not np:
        columns, summed = search_cuda.search(
            data, weights, target, temperature, mode == "maxcc",
            min(n_cells, target.slices.shape[1]), with_sums,
        )  # fmt: skip
        return Cells(*columns), None if summed is None else SearchSums(*summed)
    n = len(data)
    n_states, n_rotations, n_samples = target.slices.shape
    n_shifts, n_cells = len(target.phases), min(n_cells, n_rotations)
    flat = target.slices.reshape(-1, n_samples)
    right = np.ascontiguousarray(np.concatenate([flat.real, flat.imag], axis=1).T)
    squares = np.ascontiguousarray((flat.real**2 + flat.imag**2).T)
    log_prior = np.maximum(target.log_prior, _LOWEST / 4).astype(np.float32)  # compiled: no -inf
    cells = Cells(
        np.zeros((n, n_cells), dtype=np.int32),
        np.zeros((n, n_cells), dtype=np.int32),
        np.zeros((n, n_cells), dtype=np.int32),
        np.zeros((n, n_cells), dtype=np.float32),
        np.zeros(n),
    )
    sums = (
        SearchSums(
            np.zeros((n_states, n_rotations, 2, n_samples), dtype=np.float32),
            np.zeros((n_states, n_rotations, n_samples), dtype=np.float32),
            np.zeros((n_states, n_rotations)),
            np.zeros(n_shifts),
        )
        if with_sums
        else None
    )
    at_once = max(numba.get_num_threads(), int(_CACHED / (n_shifts * len(flat))))
    step = at_once * max(1, int(_SCRATCH / (n_shifts * len(flat) * at_once)))
    whole = _room(min(step, n), min(step if with_sums else at_once, n), target)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        m = rows.stop - start
        chunk = whole.first(m)
        _shift(data[rows], target.phases, chunk.shifted)
        g = (weights[rows] @ squares).reshape(chunk.by_state.shape)
        chunk.by_state[:] = 0
        chunk.by_shift[:] = 0
        for first in range(0, m, at_once):
            part = slice(first, min(first + at_once, m))
            b = chunk.b[part] if with_sums else chunk.b[: part.stop - first]
            np.matmul(
                chunk.shifted[part].reshape(-1, 2 * n_samples), right,
                out=b.reshape(-1, len(flat)),
            )  # fmt: skip
            _weigh(
                b, g[part], log_prior, np.float32(temperature), mode == "maxcc",
                *(column[part] for column in chunk[2:]),
                *(column[start + first : start + part.stop] for column in cells),
            )  # fmt: skip
        if sums is not None:
            _add(sums, chunk, weights[rows])
    return cells, sums

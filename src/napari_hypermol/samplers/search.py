"""Exhaustive search: the posterior over a grid of rotations, shifts and states by matrix products.

With slices A_r of the molecule at every grid rotation and state, and data D_s shifted by every grid
shift, all b = Re conj(A_r) D_s of a chunk of particles are one real matrix product, and so are the
norms G = W |A_r|^2 and, weighted by the posterior, the sums that the coefficients' solve needs:
one averaged image D-bar with weights W-bar for every grid rotation and state. Two modes: the
marginal posterior ("ML"), tempered by a factor on the log likelihood, or only the best cell of every
particle by cross-correlation ("maxCC").
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["Cells", "SearchSums", "SearchTarget", "search"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Mode = Literal["marginal", "maxcc"]
_SCRATCH = 48e6  # floats of b held at once: a chunk's product stays well below a gigabyte
_DENSE = 0.02  # share of cells in use above which a matrix product adds them up faster


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
        Log of the mean of likelihood^temperature over the grid, against the empty molecule.
    """

    rotations: NDArray[np.int32]
    shifts: NDArray[np.int32]
    states: NDArray[np.int32]
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
    """exp(x) for x <= 0 to 2e-7, in operations that run on vectors."""
    x = max(x, np.float32(-80.0)) * np.float32(1.4426950408889634)
    whole = np.floor(x)
    f = (x - whole) * np.float32(0.6931471805599453)
    p = np.float32(1.0 / 5040)
    for c in (1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0):
        p = p * f + np.float32(c)
    return p * _power_of_two(np.int32(whole))


@numba.njit(parallel=True, fastmath=True, cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _posterior(
    b: Any, g: Any, log_prior: Any, temperature: Any, is_maxcc: Any,
    used: Any, per_rotation: Any, best_shift: Any, best_state: Any, evidence: Any,
) -> None:  # fmt: skip
    """b (m, s, t, r) becomes the posterior; g (m, t, r)."""
    m, n_shifts, n_states, n_rotations = b.shape
    for i in numba.prange(m):
        top = np.float32(-np.inf)
        for s in range(n_shifts):
            for t in range(n_states):
                row, norm, prior = b[i, s, t], g[i, t], log_prior[t, s]
                for r in range(n_rotations):
                    if is_maxcc:
                        cc = max(row[r], np.float32(0))
                        value = cc * cc / (np.float32(2) * norm[r] + np.float32(1e-30))
                    else:
                        value = row[r] - np.float32(0.5) * norm[r]
                    row[r] = value * temperature + prior
                for r in range(n_rotations):
                    top = max(top, row[r])
        total = 0.0
        count = 0
        best = np.full(n_rotations, np.float32(-1))
        for s in range(n_shifts):
            for t in range(n_states):
                row = b[i, s, t]
                part = np.float32(0)
                for r in range(n_rotations):
                    row[r] = _exp(row[r] - top)
                    part += row[r]
                total += part
        scale = np.float32(1.0 / total)
        for s in range(n_shifts):
            for t in range(n_states):
                row = b[i, s, t]
                for r in range(n_rotations):
                    if is_maxcc:
                        p = np.float32(1) if row[r] == np.float32(1) else np.float32(0)
                    else:
                        p = row[r] * scale
                    if p < np.float32(1e-7):
                        p = np.float32(0)
                    else:
                        count += 1
                    row[r] = p
                    per_rotation[i, r] += p
                    if p > best[r]:
                        best[r], best_shift[i, r], best_state[i, r] = p, s, t
        used[i] = count
        evidence[i] = top + np.log(total / n_rotations)


@numba.njit(parallel=True, fastmath=True, cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_sparse(
    p: Any, shifted: Any, weights: Any, data_sums: Any, weight_sums: Any, mass: Any, shift_mass: Any
) -> None:
    """Each thread adds the particles of its part to sums of its own."""
    parts = data_sums.shape[0]
    m, n_shifts, n_states, n_rotations = p.shape
    n_values, n_samples = shifted.shape[2], weights.shape[1]
    for part in numba.prange(parts):
        for i in range(part * m // parts, (part + 1) * m // parts):
            for s in range(n_shifts):
                for t in range(n_states):
                    for r in range(n_rotations):
                        w = p[i, s, t, r]
                        if w > 0:
                            target, source = data_sums[part, t, r], shifted[i, s]
                            for k in range(n_values):
                                target[k] += w * source[k]
                            heavy, own = weight_sums[part, t, r], weights[i]
                            for k in range(n_samples):
                                heavy[k] += w * own[k]
                            mass[part, t, r] += w
                            shift_mass[part, s] += w


class _Chunk(NamedTuple):
    rows: slice
    posterior: Float32  # (m, s, t, r)
    shifted: Float32  # (m, s, 2 k)
    per_rotation: Float32
    best_shift: NDArray[np.int32]
    best_state: NDArray[np.int32]
    evidence: Float64
    used: Int64


def _chunks(
    data: Float32, weights: Float32, target: SearchTarget, temperature: float, mode: Mode
) -> Iterator[_Chunk]:
    n_states, n_rotations, n_samples = target.slices.shape
    n_shifts = len(target.phases)
    flat = target.slices.reshape(-1, n_samples)
    right = np.ascontiguousarray(np.concatenate([flat.real, flat.imag], axis=1).T)
    squares = np.ascontiguousarray((flat.real**2 + flat.imag**2).T)
    step = max(1, int(_SCRATCH / (n_shifts * len(flat))))
    for start in range(0, len(data), step):
        rows = slice(start, min(start + step, len(data)))
        m = rows.stop - rows.start
        values = data[rows, 0] + 1j * data[rows, 1]
        moved = values[:, None, :] * target.phases
        shifted = np.concatenate([moved.real, moved.imag], axis=2).astype(np.float32)
        b = (shifted.reshape(m * n_shifts, -1) @ right).reshape(m, n_shifts, n_states, n_rotations)
        g = (weights[rows] @ squares).reshape(m, n_states, n_rotations)
        used, evidence = np.zeros(m, dtype=np.int64), np.zeros(m)
        per_rotation = np.zeros((m, n_rotations), dtype=np.float32)
        best_shift = np.zeros((m, n_rotations), dtype=np.int32)
        best_state = np.zeros((m, n_rotations), dtype=np.int32)
        _posterior(
            b, g, target.log_prior, np.float32(temperature), mode == "maxcc",
            used, per_rotation, best_shift, best_state, evidence,
        )  # fmt: skip
        yield _Chunk(rows, b, shifted, per_rotation, best_shift, best_state, evidence, used)


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
    temperature : float
        Factor on the log likelihood, in (0, 1]; small ones keep many cells alive.
    mode : {"marginal", "maxcc"}
        Posterior over all cells, or all weight on the cell of the highest cross-correlation
        b / sqrt(G) (the contrast at its best).
    n_cells : int
        Rotations to keep of every particle.
    with_sums : bool
        Whether to add up what the coefficients' solve needs.

    Returns
    -------
    cells : Cells
    sums : SearchSums or None

    Notes
    -----
    -2 log L = |Y|^2 - 2 b + G at contrast 1 (Eq. 10). Cost 4 n s t r k for the search and again
    for the sums where more than 2 % of the cells are in use; less otherwise.
    """
    n = len(data)
    n_states, n_rotations, n_samples = target.slices.shape
    n_shifts = len(target.phases)
    n_cells = min(n_cells, n_rotations)
    cells = Cells(
        *(np.zeros((n, n_cells), dtype=np.int32) for _ in range(3)),
        np.zeros((n, n_cells), dtype=np.float32),
        np.zeros(n),
    )
    parts = numba.get_num_threads()
    shape = (n_states, n_rotations)
    data_sums = np.zeros((parts, *shape, 2 * n_samples), dtype=np.float32)
    weight_sums = np.zeros((parts, *shape, n_samples), dtype=np.float32)
    mass, shift_mass = np.zeros((parts, *shape)), np.zeros((parts, n_shifts))
    for chunk in _chunks(data, weights, target, temperature, mode):
        rows, p = chunk.rows, chunk.posterior
        order = np.argpartition(-chunk.per_rotation, n_cells - 1, axis=1)[:, :n_cells]
        kept = np.take_along_axis(chunk.per_rotation, order, axis=1)
        order = np.take_along_axis(order, np.argsort(-kept, axis=1), axis=1)
        cells.rotations[rows] = order
        cells.shifts[rows] = np.take_along_axis(chunk.best_shift, order, axis=1)
        cells.states[rows] = np.take_along_axis(chunk.best_state, order, axis=1)
        found = np.take_along_axis(chunk.per_rotation, order, axis=1)
        cells.log_weights[rows] = np.log(np.maximum(found, 1e-30))
        cells.log_evidence[rows] = chunk.evidence
        if not with_sums:
            continue
        if chunk.used.sum() > _DENSE * p.size:
            flat = p.reshape(len(p) * n_shifts, -1)
            products = flat.T @ chunk.shifted.reshape(len(flat), -1)
            data_sums[0] += products.reshape(*shape, -1)
            by_state = p.sum(axis=1).reshape(len(p), -1)
            weight_sums[0] += (by_state.T @ weights[rows]).reshape(*shape, -1)
            mass[0] += by_state.sum(axis=0, dtype=np.float64).reshape(shape)
            shift_mass[0] += p.sum(axis=(0, 2, 3), dtype=np.float64)
        else:
            _add_sparse(
                p, chunk.shifted, weights[rows], data_sums, weight_sums, mass, shift_mass
            )
    if not with_sums:
        return cells, None
    sums = SearchSums(
        data_sums.sum(axis=0).reshape(*shape, 2, n_samples),
        weight_sums.sum(axis=0),
        mass.sum(axis=0),
        shift_mass.sum(axis=0),
    )
    return cells, sums

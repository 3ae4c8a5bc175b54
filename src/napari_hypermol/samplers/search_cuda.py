"""`search` on a CUDA device: the same posterior for CuPy arrays, of many particles at once.

Products of matrices and operations on whole arrays, written for either array library; `search`
calls it, nobody else needs to. The real and imaginary parts of a complex number are neighbours in
memory, so that slices and shifted images are real matrices as they lie.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from napari_hypermol.backend import array_module, free_device_memory

if TYPE_CHECKING:
    from napari_hypermol.samplers.search import SearchTarget

__all__ = ["search"]

# [bytes] of b and shifted images at once: far more than keeps a device busy. What is made of them
# needs half as much again.
_SCRATCH = 2**31
_SHARE = 0.2  # of the free memory, where that is less
_NEGLIGIBLE = 1e-8  # of the best cell; as in `search`


class _Grid(NamedTuple):
    """What images are compared with, as matrices; temperature is in them but with `is_maxcc`."""

    slices: Any  # (t r, 2 k) float32, real and imaginary parts by turns
    squares: Any  # (t r, k) float32, of their absolute values
    phases: Any  # (s, k) complex64
    log_prior: Any  # (s, t) float32
    n_rotations: int
    temperature: float
    is_maxcc: bool


class _Weighed(NamedTuple):
    """The posterior of m particles."""

    p: Any  # (m, s, t, r) float32, times `total`
    by_state: Any  # (m, t, r) float32, its sum over shifts
    total: Any  # (m,) float64
    log_evidence: Any  # (m,) float64


def search(
    data: Any,
    weights: Any,
    target: "SearchTarget",
    temperature: float,
    is_maxcc: bool,
    n_cells: int,
    with_sums: bool,
) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
    """The columns of `Cells` and of `SearchSums`, where the data are.

    Parameters
    ----------
    data : (n, 2, k) float32 array
    weights : (n, k) float32 array
    target : SearchTarget
        Of arrays where the data are.
    temperature : float
    is_maxcc : bool
        Mode "maxcc"; else "marginal".
    n_cells : int
        At most r.
    with_sums : bool

    Returns
    -------
    cells : tuple of (n, ...) array
    sums : tuple of array or None
    """
    xp, n = array_module(data), len(data)
    n_states, n_rotations, n_samples = target.slices.shape
    n_shifts, n_all = len(target.phases), n_states * n_rotations
    grid = _matrices(target, temperature, is_maxcc)
    cells = (
        *(xp.zeros((n, n_cells), dtype=xp.int32) for _ in range(3)),
        xp.zeros((n, n_cells), dtype=xp.float32),
        xp.zeros(n),
    )
    sums: tuple[Any, ...] = ()
    if with_sums:
        sums = (
            xp.zeros((n_all, 2 * n_samples), dtype=xp.float32),
            xp.zeros((n_all, n_samples), dtype=xp.float32),
            xp.zeros(n_all),
            xp.zeros(n_shifts),
        )
    at_once = _at_once(n_shifts * (n_all + 4 * n_samples))
    for start in range(0, n, at_once):
        rows = slice(start, start + at_once)
        found, more = _chunk(data[rows], weights[rows], grid, n_cells, with_sums)
        for column, values in zip(cells, found, strict=True):
            column[rows] = values
        for column, values in zip(sums, more, strict=True):
            column += values
    if not with_sums:
        return cells, None
    shape = (n_states, n_rotations)
    pairs = sums[0].reshape(*shape, n_samples, 2).transpose(0, 1, 3, 2)
    summed = xp.ascontiguousarray(pairs), sums[1].reshape(*shape, n_samples)
    return cells, (*summed, sums[2].reshape(shape), sums[3])


def _at_once(n_floats: int) -> int:
    """Particles of a chunk, each of so many floats."""
    scratch = min(_SCRATCH, _SHARE * free_device_memory())
    return max(1, int(scratch / (4 * n_floats)))


def _matrices(target: "SearchTarget", temperature: float, is_maxcc: bool) -> _Grid:
    xp = array_module(target.slices)
    n_states, n_rotations, n_samples = target.slices.shape
    flat = xp.ascontiguousarray(target.slices).reshape(n_states * n_rotations, n_samples)
    slices, squares = flat.view(xp.float32), flat.real**2 + flat.imag**2
    if not is_maxcc:
        slices, squares = slices * float(temperature), squares * (0.5 * float(temperature))
    log_prior = target.log_prior.T  # -inf is no trouble: the best cell's is finite
    return _Grid(
        slices, squares, target.phases, log_prior, n_rotations, float(temperature), is_maxcc
    )


def _chunk(
    data: Any, weights: Any, grid: _Grid, n_cells: int, with_sums: bool
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Cells of m particles and sums over them; b is gone when the next chunk begins."""
    xp, m = array_module(data), len(data)
    pairs = xp.ascontiguousarray(data.transpose(0, 2, 1))
    shifted = (pairs.view(xp.complex64).reshape(m, 1, -1) * grid.phases).view(xp.float32)
    weighed = _weighed(shifted, weights, grid)
    cells = _best_cells(weighed, n_cells)
    sums = _sums(weighed, shifted, weights) if with_sums else ()
    return (*cells, weighed.log_evidence), sums


def _weighed(shifted: Any, weights: Any, grid: _Grid) -> _Weighed:
    """Posterior of m particles from their shifted images (m, s, 2 k) and weights (m, k).

    Every operation goes through all of b in memory: there are few, and they are in place.
    """
    xp, (m, n_shifts, n_floats) = array_module(shifted), shifted.shape
    shape = (m, n_shifts, grid.log_prior.shape[1], grid.n_rotations)
    b = (shifted.reshape(m * n_shifts, n_floats) @ grid.slices.T).reshape(shape)
    norm = (weights @ grid.squares.T).reshape(m, 1, *shape[2:])
    if grid.is_maxcc:  # the log likelihood at the best contrast
        xp.maximum(b, 0, out=b)
        b *= b
        b *= grid.temperature / (2 * norm + 1e-30)
    else:
        b -= norm
    top = (b.max(axis=3) + grid.log_prior).max(axis=(1, 2))
    b += (grid.log_prior - top[:, None, None])[..., None]
    xp.exp(b, out=b)
    b *= b >= _NEGLIGIBLE
    by_state = b.sum(axis=1)
    total = by_state.sum(axis=(1, 2), dtype=xp.float64)
    log_evidence = top + xp.log(total / grid.n_rotations)
    if grid.is_maxcc:
        _keep_best(b)
        by_state = b.sum(axis=1)
        total = by_state.sum(axis=(1, 2), dtype=xp.float64)
    return _Weighed(b, by_state, total, log_evidence)


def _keep_best(b: Any) -> None:
    """All weight on the first of the highest cells of every particle."""
    flat = b.reshape(len(b), -1)
    best = flat.argmax(axis=1)
    flat[...] = 0
    flat[array_module(b).arange(len(b)), best] = 1


def _best_cells(weighed: _Weighed, n_cells: int) -> tuple[Any, Any, Any, Any]:
    """The first four columns of `Cells`.

    The highest are taken one after the other: n_cells are few, and sorting all rotations would take
    longer than the products. Of equals argmax takes the first.
    """
    xp, (m, n_shifts, n_states, n_rotations) = array_module(weighed.p), weighed.p.shape
    particles, by_rotation = xp.arange(m), weighed.by_state.sum(axis=1)
    rotations = xp.zeros((m, n_cells), dtype=xp.int64)
    p = xp.zeros((m, n_cells))
    for c in range(n_cells):
        best = by_rotation.argmax(axis=1)
        rotations[:, c], p[:, c] = best, by_rotation[particles, best]
        by_rotation[particles, best] = -1
    by_cell = weighed.p.reshape(m, n_shifts * n_states, n_rotations)
    there = xp.take_along_axis(by_cell, rotations[:, None], axis=2).argmax(axis=1)
    log_weights = xp.log(xp.maximum(p / weighed.total[:, None], 1e-30))
    return rotations, there // n_states, there % n_states, log_weights


def _sums(weighed: _Weighed, shifted: Any, weights: Any) -> tuple[Any, Any, Any, Any]:
    """The columns of `SearchSums` over m particles, states and rotations in one axis.

    `shifted` is overwritten: the posterior's total divides it, which is smaller than the posterior.
    """
    xp, (m, n_shifts, n_floats) = array_module(shifted), shifted.shape
    scale = (1.0 / weighed.total).astype(xp.float32)
    shifted *= scale[:, None, None]
    p = weighed.p.reshape(m * n_shifts, -1)
    by_state = weighed.by_state.reshape(m, -1) * scale[:, None]
    by_shift = weighed.p.reshape(m, n_shifts, -1).sum(axis=2, dtype=xp.float64)
    return (
        p.T @ shifted.reshape(m * n_shifts, n_floats),
        by_state.T @ weights,
        by_state.sum(axis=0, dtype=xp.float64),
        (by_shift / weighed.total[:, None]).sum(axis=0),
    )

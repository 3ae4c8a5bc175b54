"""`gridded_weights` on a CUDA device: the loop over samples for CuPy arrays.

gridded_weights.cu does the work; here it is started. `gridded_weights` calls this; nobody else
needs to.
"""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from napari_hypermol.backend import array_module, device_function, ready
from napari_hypermol.posterior.slices_cuda import THREADS

__all__ = ["device_source", "n_copies", "spread"]

# Samples of one block of threads: enough to pay for its start, and few enough that a small batch of
# large images keeps every multiprocessor busy.
_RANGE = 2048
# [bytes] of copies of a grid: they part the blocks that would add to the same places, above all to
# the Fourier origin; all together stay in L2.
_COPIES = 2**24
_MAX_COPIES = 8
_FILES = ("additions", "gridded_weights")
_WIDEST = 4  # directions at once: as many as are added in one operation, on a grid that L2 holds


@cache
def device_source(width: int) -> str:
    """The CUDA C++ code that adds 1, 2 or 4 directions at once."""
    here = resources.files(__package__)
    additions, own = (here.joinpath(f"{n}.cu").read_text("utf-8") for n in _FILES)
    return f"#define WIDTH {width}\n" + additions + own


def n_copies(n_bytes: int, n: int) -> int:
    """Copies of a grid of `n_bytes` that the weights of n particles are added to."""
    return max(1, min(_MAX_COPIES, _COPIES // max(n_bytes, 1), n))


def spread(
    weights: Any,
    rotations: Any,
    kx: Any,
    ky: Any,
    placed: Sequence[tuple[Any, Any]],
    scale: float,
    shape: tuple[int, int, int, int],
) -> Any:
    """Weights of all samples, times moments, spread over the eight grid points around each.

    A few directions at a time, on a grid of their own. Samples must be within the grid;
    `gridded_weights` looks.

    Parameters
    ----------
    weights : (n, K) float32 CuPy array
    rotations : (n, 3, 3) float32 CuPy array
        Molecule to image frame.
    kx, ky : (K,) float32 ndarray
        Frequency indices.
    placed : sequence of (moments, rotation)
        Of every placement: (n, r) float32 CuPy array, second moments in r directions; and (3, 3)
        float32 ndarray, grid to molecule frame.
    scale : float
        Grid steps per frequency index of the image.
    shape : (z, y, x, r)

    Returns
    -------
    (z, y, x, r) float32 CuPy array
    """
    xp, (n, n_samples), (edge, _, n_x, rank) = array_module(weights), weights.shape, shape
    out = xp.zeros(shape, dtype=np.float32)
    if out.size == 0 or n * n_samples == 0:
        return out
    width = rank if rank < 3 else _WIDEST
    copies = n_copies(4 * width * edge * edge * n_x, n)
    targets = xp.empty((copies, edge, edge, n_x, width), dtype=np.float32)
    images = ready(xp, weights), ready(xp, rotations)
    samples = ready(xp, kx), ready(xp, ky), np.int32(n_samples)
    function, grid = (
        device_function(device_source(width), "spread_weights"),
        (n, -(-n_samples // _RANGE)),
    )
    for start in range(0, rank, width):
        n_own = min(width, rank - start)
        targets[...] = 0
        for moments, rotation in placed:
            own = xp.zeros((n, width), dtype=np.float32)
            own[:, :n_own] = moments[:, start : start + n_own]
            args = (
                images[0], own, images[1], ready(xp, rotation), np.float32(scale), *samples,
                np.int32(edge), np.int32(n_x), targets, np.int32(copies),
            )  # fmt: skip
            function(grid, (THREADS,), args)
        out[..., start : start + n_own] = targets.sum(axis=0)[..., :n_own]
    return out

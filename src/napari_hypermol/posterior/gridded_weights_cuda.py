"""`gridded_weights` on a CUDA device: the loop over samples for CuPy arrays.

gridded_weights.cu does the work; here it is started. `gridded_weights` calls this; nobody else
needs to.
"""

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


@cache
def device_source() -> str:
    """The CUDA C++ code."""
    return resources.files(__package__).joinpath("gridded_weights.cu").read_text("utf-8")


def n_copies(n_bytes: int, n: int) -> int:
    """Copies of a grid of `n_bytes` that the weights of n particles are added to."""
    return max(1, min(_MAX_COPIES, _COPIES // max(n_bytes, 1), n))


def spread(
    weights: Any, moments: Any, rotations: Any, placed: Any, scale: Any, kx: Any, ky: Any,
    targets: Any,
) -> None:  # fmt: skip
    """Adds the weights of every sample, times moments, to the eight grid points around it.

    Samples must be within the grid; `gridded_weights` looks.

    Parameters
    ----------
    weights : (n, K) float32 CuPy array
    moments : (n, r) float32 CuPy array
        Second moments in r directions.
    rotations : (n, 3, 3) float32 CuPy array
        Molecule to image frame.
    placed : (3, 3) float32 ndarray
        Grid to molecule frame.
    scale : float32
        Grid steps per frequency index of the image.
    kx, ky : (K,) float32 ndarray
        Frequency indices.
    targets : (copies, z, y, x, r) float32 CuPy array
        In C order. Added to; their sum counts.
    """
    xp, n_samples = array_module(weights), len(kx)
    if moments.size == 0 or n_samples == 0:
        return
    copies, edge, _, width, rank = targets.shape
    weights, moments, rotations, placed, kx, ky = (
        ready(xp, array) for array in (weights, moments, rotations, placed, kx, ky)
    )
    device_function(device_source(), "spread_weights")(
        (len(weights), -(-n_samples // _RANGE)),
        (THREADS,),
        (
            weights, moments, rotations, placed, np.float32(scale), kx, ky,
            np.int32(n_samples), np.int32(rank), np.int32(edge), np.int32(width),
            targets, np.int32(copies),
        ),
    )  # fmt: skip

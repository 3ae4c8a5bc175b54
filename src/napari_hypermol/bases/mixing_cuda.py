"""Functions of the state mixed with one another in Fourier space, on a CUDA device.

mixing.cu does the work; `VoxelBasis.filter` and `runs.gridded_normal` start it for CuPy arrays and
have the plain versions.
"""

from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from napari_hypermol.backend import array_module, device_function, ready

__all__ = ["MOST_FUNCTIONS", "device_source", "mix_pairs", "mix_shells"]

MOST_FUNCTIONS = 32  # that one thread holds
_THREADS = 128


@cache
def device_source(n_functions: int) -> str:
    """The CUDA C++ code for so many functions."""
    own = resources.files(__package__).joinpath("mixing.cu").read_text("utf-8")
    return f"#define N_FUNCTIONS {n_functions}\n{own}"


def _start(name: str, half: Any, *args: Any) -> None:
    m = half.size // len(half)
    function = device_function(device_source(len(half)), name)
    function((-(-m // _THREADS),), (_THREADS,), (half, *args, np.int64(m)))


def mix_shells(half: Any, gain: Any, shells: Any) -> None:
    """half_q = sum_p gain_qp half_p in every shell, in place.

    Parameters
    ----------
    half : (q, ...) complex64 CuPy array
        In C order; q at most `MOST_FUNCTIONS`.
    gain : (n_shells, q, q) float32 array
    shells : (...) int32 CuPy array
        Of every point.
    """
    xp = array_module(half)
    _start("mix_shells", half, ready(xp, gain), shells)


def mix_pairs(half: Any, products: Any) -> None:
    """half_q = sum_p H_qp half_p at every point, in place.

    Parameters
    ----------
    half : (q, ...) complex64 CuPy array
        In C order; q at most `MOST_FUNCTIONS`.
    products : (q (q + 1) / 2, ...) float32 CuPy array
        Entries of H on and above the diagonal, row by row; in C order.
    """
    _start("mix_pairs", half, products)

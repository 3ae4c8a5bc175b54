"""Functions of the state mixed with one another in Fourier space, on a CUDA device.

mixing.cu does the work; `VoxelBasis.filter` and `runs.gridded_normal` start it for CuPy arrays and
have the plain versions.
"""

from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from napari_hypermol.backend import array_module, device_function

__all__ = ["MOST_FUNCTIONS", "mix_pairs", "mix_shells"]

MOST_FUNCTIONS = 32  # that one thread holds
_THREADS = 128
_OPTIONS = ("-std=c++17",)


@cache
def _source() -> str:
    return resources.files(__package__).joinpath("mixing.cu").read_text("utf-8")


def _start(name: str, m: int, args: tuple[Any, ...]) -> None:
    function = device_function(_source(), name, _OPTIONS)
    function((-(-m // _THREADS),), (_THREADS,), args)


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
    gain = xp.ascontiguousarray(xp.asarray(gain), dtype=np.float32)
    args = half, gain, shells, np.int32(len(half)), np.int64(shells.size)
    _start("mix_shells", shells.size, args)


def mix_pairs(half: Any, products: Any) -> None:
    """half_q = sum_p H_qp half_p at every point, in place.

    Parameters
    ----------
    half : (q, ...) complex64 CuPy array
        In C order; q at most `MOST_FUNCTIONS`.
    products : (q (q + 1) / 2, ...) float32 CuPy array
        Entries of H on and above the diagonal, row by row; in C order.
    """
    m = half.size // len(half)
    _start("mix_pairs", m, (half, products, np.int32(len(half)), np.int64(m)))

"""Loops that are compiled: `kernel` for those Python calls, `inlined` for those kernels call.

A kernel that was compiled in this process and one that was loaded from numba's cache must compute
the same to the last bit, or a run that is resumed ends elsewhere. With fastmath they would not: a
helper that is compiled for itself and its copy inside a kernel are optimised twice, differently,
and under one name; which of the two a process uses depends on what it has compiled and loaded
before. Helpers written into their kernels have no name of their own.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

__all__ = ["inlined", "kernel"]

Loop = TypeVar("Loop", bound=Callable[..., Any])
FastMath = bool | set[str]


def kernel(*, parallel: bool = False, fastmath: FastMath = False) -> Callable[[Loop], Loop]:
    """Compile a function for the types it is called with, and keep it for other processes.

    Parameters
    ----------
    parallel : bool
        Whether `numba.prange` is shared among the threads.
    fastmath : bool or set of str
        Whether sums may be reordered; or the liberties of LLVM that are taken.
    """
    compiled: Callable[[Loop], Loop] = numba.njit(
        parallel=parallel, fastmath=fastmath, cache=True, nogil=True
    )
    return compiled


def inlined(*, fastmath: FastMath = False) -> Callable[[Loop], Loop]:
    """Compile a function that is called from kernels, as a part of each of them."""
    compiled: Callable[[Loop], Loop] = numba.njit(
        fastmath=fastmath, cache=True, nogil=True, forceinline=True
    )
    return compiled

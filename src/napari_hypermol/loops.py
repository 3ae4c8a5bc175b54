"""Loops that are compiled: `compiled` for those Python calls, `inlined` for those they call.

A loop that was compiled in this process and one that was loaded from numba's cache must compute the
same to the last bit, or a run that is resumed ends elsewhere. With fastmath they would not: a
function that is compiled for itself and its copy in a loop that calls it are optimised twice,
differently, and under one name; which of the two a process uses depends on what it has compiled and
loaded before. What is inlined has no name of its own.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

__all__ = ["compiled", "inlined"]

Loop = TypeVar("Loop", bound=Callable[..., Any])
FastMath = bool | set[str]


def compiled(*, parallel: bool = False, fastmath: FastMath = False) -> Callable[[Loop], Loop]:
    """Compile a function for the types it is called with, and keep it for other processes.

    Parameters
    ----------
    parallel : bool
        Whether `numba.prange` is shared among the threads.
    fastmath : bool or set of str
        Whether sums may be reordered; or the liberties of LLVM that are taken.
    """
    decorator: Callable[[Loop], Loop] = numba.njit(
        parallel=parallel, fastmath=fastmath, cache=True, nogil=True
    )
    return decorator


def inlined(*, fastmath: FastMath = False) -> Callable[[Loop], Loop]:
    """Compile a function that compiled loops call, as a part of each of them."""
    decorator: Callable[[Loop], Loop] = numba.njit(
        fastmath=fastmath, cache=True, nogil=True, forceinline=True
    )
    return decorator

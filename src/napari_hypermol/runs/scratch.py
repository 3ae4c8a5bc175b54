"""Room for arrays that may be larger than the memory there is.

An array that would take more than its share of what is free lives in a file without a name, which
is gone with the process however that ends.
"""

import contextlib
import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import DTypeLike, NDArray

from napari_hypermol.errors import RunFolderError
from napari_hypermol.runs.freed_memory import give_back_freed_memory

__all__ = ["MEMORY_SHARE", "is_in_memory", "room"]

_OWN_PAGES = 2**25  # bytes
MEMORY_SHARE = 0.25  # of what is free: samples, and D and W of a stage with twice as much again


def is_in_memory(n_bytes: int) -> bool:
    """Whether an array of this size gets memory rather than a file."""
    if n_bytes < MEMORY_SHARE * psutil.virtual_memory().available:
        return True
    give_back_freed_memory()  # what this process keeps for later counts as taken
    return bool(n_bytes < MEMORY_SHARE * psutil.virtual_memory().available)


def room(shape: tuple[int, ...], dtype: DTypeLike, folder: Path | None = None) -> NDArray[Any]:
    """An array of undefined values, in memory or in a file that is mapped.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
    folder : Path or None
        Where the file would be; None: the system's place for such.

    Raises
    ------
    RunFolderError
        If the disk has no room for it.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if is_in_memory(size):
        return _empty(shape, dtype, size)
    with tempfile.NamedTemporaryFile(prefix="hypermol-", suffix=".scratch", dir=folder) as file:
        try:
            _allocate(file.fileno(), size)
        except OSError as problem:
            raise RunFolderError(
                f"{Path(file.name).parent}: no room for {size / 2**30:.1f} GiB of particles that "
                f"do not fit into memory ({problem.strerror}); make room, or choose another --out"
            ) from problem
        # the mapping keeps the file alive after its name is gone
        return np.memmap(file.name, dtype=dtype, mode="r+", shape=shape)


def _empty(shape: tuple[int, ...], dtype: DTypeLike, size: int) -> NDArray[Any]:
    """An array of its own pages, which the system has back when it goes, whatever else is kept."""
    if size < _OWN_PAGES or not hasattr(mmap, "MAP_PRIVATE"):
        return np.empty(shape, dtype=dtype)
    try:
        # private: shared ones, which are the default, never get huge pages
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:  # np.empty has the better words for it
        return np.empty(shape, dtype=dtype)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a system built without them
            pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, dtype=dtype).reshape(shape)


def _allocate(file: int, size: int) -> None:
    """All blocks now: a mapped file that cannot grow later kills the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)

"""Memory that a run's process has used once and uses again.

By itself the C library gives large arrays back to the system and asks for new ones, page by page,
which takes a good part of a sweep at high resolution (docs/decisions/023). Only a process that is
ours alone is told to keep them. Most of what grows with the particles has pages of its own
(`scratch.room`) and is given back as ever.
"""

import ctypes
import sys
from functools import cache
from typing import Any

__all__ = ["give_back_freed_memory", "keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)
_NEVER = -1


@cache
def _c_library() -> Any:
    """The C library, if it is one that can be told; None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    is_glibc = hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt")
    return library if is_glibc else None


def keep_freed_memory() -> bool:
    """Keep memory that is freed, for the rest of this process; whether that can be done here."""
    library = _c_library()
    if library is None:
        return False
    is_kept: bool = library.mallopt(_MMAP_MAX, 0) == 1
    return is_kept and library.mallopt(_TRIM_THRESHOLD, _NEVER) == 1


def give_back_freed_memory() -> None:
    """Give back what is kept and not in use: before needs change, as they do between stages."""
    library = _c_library()
    if library is not None:
        library.malloc_trim(0)

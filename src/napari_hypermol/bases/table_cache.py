"""Tables that take long to compute, kept in the user's cache folder.

A convenience and never a condition: a file that is damaged, or a folder that cannot be written, is
silently passed over and the tables are computed again.
"""

import contextlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

__all__ = ["cache_folder", "cached_tables"]

Tables = dict[str, NDArray[np.float64]]

# What NumPy and zipfile raise for files that are cut off, overwritten, or of another kind.
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def cache_folder() -> Path:
    """Where tables are kept: HYPERMOL_CACHE, or else the user's cache folder."""
    named = os.environ.get("HYPERMOL_CACHE")
    return Path(named) if named else user_cache_path("napari-hypermol", appauthor=False)


def cached_tables(name: str, compute: Callable[[], Tables]) -> Tables:
    """The tables `name` from the cache; computed, and put there, if it has none.

    Parameters
    ----------
    name : str
        Says all that the tables depend on, and the version of the code that computes them.
    compute : callable
        Gives the tables, float64 ndarrays by their names.

    Returns
    -------
    dict of float64 ndarray
    """
    try:
        path = cache_folder() / f"{name}.npz"
        return _read(path)
    except (*_DAMAGE, NotImplementedError, RuntimeError):  # RuntimeError: no home folder
        tables = compute()
    with contextlib.suppress(OSError, RuntimeError):
        _write(cache_folder() / f"{name}.npz", tables)
    return tables


def _read(path: Path) -> Tables:
    """Every table of the file; the archive's checksums notice damage."""
    with np.load(path, allow_pickle=False) as archive:
        names = archive["names"].tolist()
        tables = {name: np.asarray(archive[name]) for name in names}
    if any(table.dtype != np.float64 for table in tables.values()):
        raise ValueError(f"{path}: not tables of float64")
    return tables


def _write(path: Path, tables: Tables) -> None:
    """All or nothing: another process never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, names=np.array(list(tables)), **tables)  # type: ignore[arg-type]
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise

"""Arrays of a run's store, read only where their description is one that a run writes.

zarr's own description of an array may name any codec, one that unpickles among them, and any size.
A folder that came from elsewhere is looked at before zarr is.
"""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_hypermol.errors import RunFolderError
from napari_hypermol.io.admission import admit_size, shown

__all__ = ["read_arrays", "read_json"]

_TYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float16", "float32", "float64", "complex64", "complex128")  # fmt: skip
_CODECS = ("bytes", "zstd", "blosc", "gzip", "crc32c")
_MOST_CHUNKS = 20_000  # of one array; zarr makes a few hundred of the largest
_MOST_JSON = 64 * 2**20  # [bytes]; the trace of a long run is a megabyte


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds keys and values.

    Raises
    ------
    RunFolderError
        If it does not.
    """
    try:
        if path.stat().st_size > _MOST_JSON:
            raise RunFolderError(f"{path}: is damaged (larger than any run writes it); remove it")
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as problem:
        reason = shown(problem, 100)
        raise RunFolderError(f"{path}: is damaged ({reason}); remove it or run again") from problem
    if not isinstance(values, dict):
        raise RunFolderError(f"{path}: is damaged (no keys); remove it or run again")
    return values


def read_arrays(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Attributes and arrays of a zarr group, all of them read.

    Parameters
    ----------
    folder : Path
        Of the group, in a run's store.

    Returns
    -------
    attrs : dict
    arrays : dict of str to ndarray

    Raises
    ------
    RunFolderError
        If anything in it is not as a run writes it, or is a link.
    """
    attrs = read_json(folder / "zarr.json").get("attributes", {})
    if not isinstance(attrs, dict):
        raise _damaged(folder, "its attributes are no keys")
    arrays = {}
    for place in sorted(os.scandir(folder), key=lambda place: place.name):
        path = Path(place.path)
        if place.is_symlink() or not (place.is_dir() or place.name == "zarr.json"):
            raise _damaged(path, "not a folder of an array")
        if place.is_dir():
            arrays[place.name] = _read_array(path)
    return attrs, arrays


def _read_array(path: Path) -> NDArray[Any]:
    described = read_json(path / "zarr.json")
    try:
        shape, chunk, itemsize = _understood(described)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise _damaged(path, f"described as no run would: {shown(problem, 100)}") from problem
    stored = _stored(path)
    cells = zip(shape, chunk, strict=True)
    if math.prod(-(-n // size) for n, size in cells) > _MOST_CHUNKS:
        raise _damaged(path, "cut into too many pieces")
    for numbers in (shape, chunk):
        admit_size(path, stored, math.prod(numbers) * itemsize, RunFolderError)
    try:
        return np.asarray(zarr.open_array(path, mode="r", zarr_format=3)[...])
    except Exception as problem:  # zarr and its codecs fail in too many ways to be listed
        raise _damaged(path, f"{type(problem).__name__}: {shown(problem, 100)}") from problem


def _understood(described: dict[str, Any]) -> tuple[list[int], list[int], int]:
    """Shape, shape of a chunk and bytes a number; raises whatever for anything unusual."""
    if (described["zarr_format"], described["node_type"]) != (3, "array"):
        raise ValueError("no array of zarr 3")
    names = [codec["name"] for codec in described["codecs"]]
    if not set(names) <= set(_CODECS) or described.get("storage_transformers"):
        raise ValueError(f"codecs {names}")
    if described["data_type"] not in _TYPES:
        raise ValueError(f"type {described['data_type']}")
    if described["chunk_grid"]["name"] != "regular":
        raise ValueError("chunks of several sizes")
    shape, chunk = described["shape"], described["chunk_grid"]["configuration"]["chunk_shape"]
    if len(shape) != len(chunk) or not all(type(n) is int for n in (*shape, *chunk)):
        raise ValueError(f"shape {shape}")
    if min(shape, default=0) < 0 or min(chunk, default=1) < 1:
        raise ValueError(f"shape {shape}")
    return shape, chunk, np.dtype(described["data_type"]).itemsize


def _stored(path: Path) -> int:
    """Bytes on disk; no link may lead elsewhere."""
    total = 0
    for root, folders, files in os.walk(path):
        for name in (*folders, *files):
            place = os.path.join(root, name)
            if os.path.islink(place):
                raise _damaged(Path(place), "a link")
            total += os.path.getsize(place) if name in files else 0
    return total


def _damaged(path: Path, why: str) -> RunFolderError:
    return RunFolderError(f"{path}: is damaged ({why}); remove its snapshot, or run again")

"""Headers of MRC files, believed only where they make sense.

Not here: the numbers behind them (`mrc`). Format: Cheng et al. (2015),
doi:10.1016/j.jsb.2015.04.002, and the older headers that RELION and others still write, without
the word MAP or a stamp of the byte order.
"""

import bz2
import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import HypermolError, VolumeFileError
from napari_hypermol.io.admission import admit_file, admit_size

__all__ = ["Header", "is_compressed", "opened", "read_header"]

HEADER_BYTES = 1024
DTYPE_OF_MODE = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
MAX_EDGE = 65_536  # voxels; a larger edge means that the header was not understood

# Name, type and the format's word number (from 1, four bytes each) of what is used here.
_WORDS = [
    *((name, "i4", j) for j, name in enumerate(("nx", "ny", "nz", "mode"), start=1)),
    *((name, "i4", j) for j, name in enumerate(("nxstart", "nystart", "nzstart"), start=5)),
    *((name, "i4", j) for j, name in enumerate(("mx", "my", "mz"), start=8)),
    *((f"cell_{name}", "f4", j) for j, name in enumerate("xyz", start=11)),
    *((name, "i4", j) for j, name in enumerate(("mapc", "mapr", "maps"), start=17)),
    ("ispg", "i4", 23),
    ("nsymbt", "i4", 24),
    *((f"origin_{name}", "f4", j) for j, name in enumerate("xyz", start=50)),
    ("stamp", "u1", 54),
]
_NAMES, _TYPES, _NUMBERS = zip(*_WORDS, strict=True)
FIELDS: np.dtype[Any] = np.dtype(
    {
        "names": list(_NAMES),
        "formats": list(_TYPES),
        "offsets": [4 * (number - 1) for number in _NUMBERS],
        "itemsize": HEADER_BYTES,
    }
)


class Header(NamedTuple):
    """What the first 1024 bytes say.

    Attributes
    ----------
    shape : tuple of int
        (z, y, x), or (n, z, y, x) for a stack of volumes; slowest first, as stored.
    dtype : dtype
        Of the stored numbers, with their byte order.
    offset : int
        Bytes before the first number.
    pixel_size : float or None
        Edge of a voxel along x [Å]; None where the header says 0.
    is_cubic : bool
        Whether the voxels have equal edges to 1 %.
    origin : (float, float, float)
        Of the corner, (x, y, z) [Å].
    axes : (int, int, int)
        mapc, mapr, maps: which of x, y, z (1, 2, 3) runs along columns, rows, sections.
    space_group : int
        ispg: 0 images, 1 a volume, above 400 a stack of volumes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    pixel_size: float | None
    is_cubic: bool
    origin: tuple[float, float, float]
    axes: tuple[int, int, int]
    space_group: int


def read_header(
    path: str | os.PathLike[str], error: type[HypermolError] = VolumeFileError
) -> Header:
    """Read and check a header; the file must be long enough for what it announces.

    Parameters
    ----------
    path : path
        .mrc, .mrcs, .map, also with .gz or .bz2.
    error : type
        What to raise: a caller reading particles wants a ParticleFileError.

    Returns
    -------
    header : Header

    Raises
    ------
    VolumeFileError
        Or `error`, if the file is missing, not MRC, of an unknown mode, or cut short.
    """
    path = Path(path)
    admit_file(path, "an MRC file", error)
    try:
        with opened(path) as file:
            raw = file.read(HEADER_BYTES)
    except (OSError, EOFError, ValueError, zlib.error) as reason:
        raise error(f"{path}: cannot be read ({reason}), expected an MRC file") from None
    header = _understood(raw, path, error)
    needed = header.offset + int(np.prod(header.shape, dtype=np.int64)) * header.dtype.itemsize
    if is_compressed(path):
        admit_size(path, path.stat().st_size, needed, error)
    elif path.stat().st_size < needed:
        raise error(
            f"{path}: is cut short, expected {needed} bytes for {header.shape}, got "
            f"{path.stat().st_size}; copy the file again"
        )
    return header


def is_compressed(path: Path) -> bool:
    """Whether a name says that the file is compressed."""
    return path.suffix.lower() in (".gz", ".bz2")


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for its uncompressed bytes."""
    openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}
    with openers.get(path.suffix.lower(), open)(path, "rb") as file:
        yield file


def _understood(raw: bytes, path: Path, error: type[HypermolError]) -> Header:
    """Take the byte order that makes sense; the stamp is only the first guess."""
    if len(raw) < HEADER_BYTES:
        raise error(
            f"{path}: has {len(raw)} bytes, expected an MRC header of 1024; is the file empty or "
            "cut short?"
        )
    little: Any = np.frombuffer(raw, dtype=FIELDS.newbyteorder("<"))[0]
    orders: list[Literal["<", ">"]] = ["<", ">"]
    if int(little["stamp"]) == 0x11:
        orders.reverse()
    for order in orders:
        fields: Any = np.frombuffer(raw, dtype=FIELDS.newbyteorder(order))[0]
        if _is_plausible(fields):
            return _header(fields, order, path, error)
    raise error(f"{path}: does not begin with an MRC header, expected an MRC file")


def _is_plausible(fields: Any) -> bool:
    """Whether sizes and mode could be meant; files without the word MAP have nothing else."""
    sizes = [int(fields[name]) for name in ("nx", "ny", "nz")]
    is_sized = all(0 < size <= MAX_EDGE for size in sizes[:2]) and 0 < sizes[2] < 2**31
    return is_sized and 0 <= int(fields["mode"]) <= 101 and int(fields["nsymbt"]) >= 0


def _header(fields: Any, order: str, path: Path, error: type[HypermolError]) -> Header:
    """Numbers of the header in our units and axis order."""
    mode, space_group = int(fields["mode"]), int(fields["ispg"])
    if mode not in DTYPE_OF_MODE:
        raise error(
            f"{path}: has MRC mode {mode}, expected one of {sorted(DTYPE_OF_MODE)}; convert it to "
            "float32 (mode 2)"
        )
    x, y, z = (int(fields[name]) for name in ("nx", "ny", "nz"))
    per_volume = int(fields["mz"])
    is_many = 401 <= space_group <= 630 and per_volume > 0 and z % per_volume == 0
    axes = tuple(int(fields[name]) for name in ("mapc", "mapr", "maps"))
    edges = _voxel_edges(fields)
    pixel_size = float(edges[0]) if np.isfinite(edges[0]) and edges[0] > 0 else None
    return Header(
        shape=(z // per_volume, per_volume, y, x) if is_many else (z, y, x),
        dtype=np.dtype(order + DTYPE_OF_MODE[mode]),
        offset=HEADER_BYTES + int(fields["nsymbt"]),
        pixel_size=pixel_size,
        is_cubic=pixel_size is None or bool(np.allclose(edges, edges[0], rtol=0.01)),
        origin=_origin(fields, edges),
        axes=axes if sorted(axes) == [1, 2, 3] else (1, 2, 3),  # type: ignore[arg-type]
        space_group=space_group,
    )


def _voxel_edges(fields: Any) -> NDArray[np.float64]:
    """Edges along x, y, z [Å]; 0 where the header does not say."""
    cell = np.array([fields[f"cell_{name}"] for name in "xyz"], dtype=np.float64)
    samples = np.array([fields[name] for name in ("mx", "my", "mz")], dtype=np.float64)
    return np.divide(cell, samples, out=np.zeros(3), where=samples > 0)


def _origin(fields: Any, edges: NDArray[np.float64]) -> tuple[float, float, float]:
    """ORIGIN, or the start indices where it is zero: crystallographic maps use those."""
    origin = np.array([fields[f"origin_{name}"] for name in "xyz"], dtype=np.float64)
    if not origin.any() and np.isfinite(edges).all():
        starts = np.array([fields[name] for name in ("nxstart", "nystart", "nzstart")], np.float64)
        origin = starts * edges
    x, y, z = np.nan_to_num(origin, posinf=0.0, neginf=0.0).tolist()
    return x, y, z

"""MRC files: volumes in and out, image stacks mapped without being read.

Not here: what a header says (`mrc_header`), which image belongs to which particle (`stack`).
"""

import os
import warnings
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mrcfile.bzip2mrcfile import Bzip2MrcFile
from mrcfile.gzipmrcfile import GzipMrcFile
from mrcfile.mrcfile import MrcFile
from numpy.typing import ArrayLike, NDArray

from napari_hypermol.errors import HypermolError, VolumeFileError
from napari_hypermol.io.mrc_header import Header, is_compressed, opened, read_header
from napari_hypermol.io.replacing import replacing
from napari_hypermol.io.statistics import statistics_of

__all__ = [
    "Volume",
    "is_stack",
    "open_stack",
    "read_volume",
    "write_stack",
    "write_volume",
]


class Volume(NamedTuple):
    """A volume with its place in space.

    Attributes
    ----------
    values : (z, y, x) float32 ndarray
    pixel_size : float or None
        Edge of a voxel [Å]; None where the header says 0.
    origin : (float, float, float)
        Of the corner, (x, y, z) [Å].
    """

    values: NDArray[np.float32]
    pixel_size: float | None
    origin: tuple[float, float, float]


def is_stack(path: str | os.PathLike[str]) -> bool:
    """Whether an MRC file holds images rather than a volume, by its header, then its name.

    Notes
    -----
    Space group 0 means images, but old programs write it for volumes too and others write 1 for
    images: a ``.mrcs`` is a stack whatever it says, and a cube with space group 0 is a volume.
    """
    header = read_header(path)
    if len(header.shape) == 4:
        return False
    if Path(path).name.lower().removesuffix(".gz").removesuffix(".bz2").endswith(".mrcs"):
        return True
    return header.space_group == 0 and len(set(header.shape)) > 1


def read_volume(
    path: str | os.PathLike[str], error: type[HypermolError] = VolumeFileError
) -> Volume:
    """Read a volume.

    Parameters
    ----------
    path : path
        .mrc, .map, also with .gz or .bz2; any MRC mode of real numbers, either byte order.
    error : type
        What to raise: a caller reading a mask wants a MaskError.

    Returns
    -------
    volume : Volume
        (values, pixel_size, origin); axes in the order z, y, x whatever order was stored.

    Raises
    ------
    VolumeFileError
        Or `error`, if it is not one volume of cubic, finite voxels.
    """
    path = Path(path)
    header = read_header(path, error)
    if is_stack(path):
        n, y, x = header.shape
        raise error(
            f"{path}: is a stack of {n} images of {y} x {x}, expected a volume; open it through "
            "its particle file"
        )
    if not header.is_cubic:
        raise error(
            f"{path}: the header's voxels have unequal edges, expected cubes; resample the map"
        )
    stored = _mapped(path, header, error)
    if stored.ndim == 4 and len(stored) > 1:
        raise error(f"{path}: holds {len(stored)} volumes, expected one; split the file first")
    values = np.asarray(stored.reshape(stored.shape[-3:]), dtype=np.float32)
    if not np.isfinite(values).all():
        raise error(f"{path}: holds NaN or infinite voxels, expected finite ones")
    order = [header.axes[::-1].index(axis) for axis in (3, 2, 1)]
    return Volume(np.ascontiguousarray(values.transpose(order)), header.pixel_size, header.origin)


def write_volume(
    path: str | os.PathLike[str],
    volume: ArrayLike,
    pixel_size: float,
    overwrite: bool = False,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> None:
    """Write a volume as float32; the file appears complete or not at all.

    Parameters
    ----------
    path : path
        .mrc or .map, also with .gz or .bz2.
    volume : (z, y, x) array_like
    pixel_size : float
        Edge of a voxel [Å].
    overwrite : bool
        Whether an existing file may be replaced.
    origin : (float, float, float)
        Of the corner, (x, y, z) [Å].

    Raises
    ------
    OutputExistsError
        If `path` exists and `overwrite` is False.
    VolumeFileError
        If `volume` is not three-dimensional or not finite.
    """
    values = np.ascontiguousarray(volume, dtype=np.float32)
    if values.ndim != 3:
        raise VolumeFileError(f"{path}: shape {values.shape} to write, expected (z, y, x)")
    _write(Path(path), values, pixel_size, overwrite, origin, is_volume=True)


def write_stack(
    path: str | os.PathLike[str], images: ArrayLike, pixel_size: float, overwrite: bool = False
) -> None:
    """Write images as a float32 stack; the file appears complete or not at all.

    Parameters
    ----------
    path : path
        .mrcs, also with .gz or .bz2.
    images : (n, y, x) array_like
    pixel_size : float
        Edge of a pixel [Å].
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputExistsError
        If `path` exists and `overwrite` is False.
    VolumeFileError
        If `images` is not three-dimensional or not finite.
    """
    values = np.ascontiguousarray(images, dtype=np.float32)
    if values.ndim != 3:
        raise VolumeFileError(f"{path}: shape {values.shape} to write, expected (n, y, x)")
    _write(Path(path), values, pixel_size, overwrite, (0.0, 0.0, 0.0), is_volume=False)


def open_stack(
    path: str | os.PathLike[str], error: type[HypermolError] = VolumeFileError
) -> NDArray[Any]:
    """Images of a stack, mapped and not read (a compressed one has to be read).

    Parameters
    ----------
    path : path
    error : type
        What to raise.

    Returns
    -------
    images : (n, y, x) ndarray
        Read-only, in the type and byte order of the file. A file that says it is a volume is
        taken section by section: some stacks say so.
    """
    header = read_header(path, error)
    return _mapped(Path(path), header, error).reshape(-1, *header.shape[-2:])


def _mapped(path: Path, header: Header, error: type[HypermolError]) -> NDArray[Any]:
    """Map the stored numbers, or read them where the file is compressed."""
    if not is_compressed(path):
        return np.memmap(path, header.dtype, "r", header.offset, header.shape)
    needed = int(np.prod(header.shape, dtype=np.int64)) * header.dtype.itemsize
    try:
        with opened(path) as file:
            file.read(header.offset)
            raw = file.read(needed)
    except (OSError, EOFError, ValueError, zlib.error) as reason:
        raise error(f"{path}: cannot be uncompressed ({reason}); copy the file again") from None
    if len(raw) < needed:
        raise error(
            f"{path}: is cut short, expected {needed} bytes of voxels, got {len(raw)}; copy the "
            "file again"
        )
    return np.frombuffer(raw, header.dtype).reshape(header.shape)


def _write(
    path: Path,
    values: NDArray[np.float32],
    pixel_size: float,
    overwrite: bool,
    origin: tuple[float, float, float],
    is_volume: bool,
) -> None:
    """Check and write either kind."""
    found = statistics_of(values)
    if np.isnan(found.mean):
        raise VolumeFileError(f"{path}: NaN or infinite values to write, expected finite ones")
    new = {".gz": GzipMrcFile, ".bz2": Bzip2MrcFile}.get(path.suffix.lower(), _PlainFile)
    with (
        replacing(path, overwrite) as temporary,
        warnings.catch_warnings(),
        new(temporary, mode="w+") as file,
    ):
        warnings.simplefilter("ignore")  # of mrcfile, on statistics of unusual data
        file.set_data(values)
        file.set_volume() if is_volume else file.set_image_stack()
        file.voxel_size = pixel_size
        file.header.origin = origin
        file.header.dmin, file.header.dmax = found.least, found.greatest
        file.header.dmean, file.header.rms = found.mean, found.std


class _PlainFile(MrcFile):  # type: ignore[misc]
    """Leaves statistics to who writes: mrcfile's take longer than writing a large stack does."""

    def update_header_stats(self) -> None:
        """Marked as unknown: `_write` fills them in."""
        self.reset_header_stats()

"""Particle images as a lazy array whose row i is the image the particle file names in row i.

Not here: finding the files (`image_names`), reading MRC headers (`mrc`). Only headers are read
when the array is made; pixels come when a chunk is computed.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import ArrayLike, NDArray

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io.mrc import open_stack
from napari_hypermol.io.mrc_header import read_header

__all__ = ["CHUNK_BYTES", "ImageChunk", "computed", "images_in_memory", "lazy_images"]

CHUNK_BYTES = 16 * 2**20  # one read of tens of milliseconds from a disk; 256 images of 128 x 128


def images_in_memory(images: NDArray[np.float32]) -> Any:
    """Images (n, y, x) that are already here, as the lazy array that `Particles` holds."""
    rows = max(1, CHUNK_BYTES // max(images[0].nbytes, 1))
    return da.from_array(images, chunks=(rows, -1, -1))


def computed(lazy: Any) -> NDArray[Any]:
    """The values of a lazy array, from any thread.

    napari registers a cache of chunks with dask, which must not be called by two threads at once:
    one would clear what the other is about to look up. So nothing registered is called here.
    """
    if isinstance(lazy, da.Array):
        lazy = lazy.compute(scheduler="threads", callbacks=())
    return np.asarray(lazy)


@dataclass(frozen=True)
class ImageChunk:
    """Consecutive particles and where their images lie; m particles.

    Attributes
    ----------
    paths : tuple of str
        The stacks these particles need.
    file_of : (m,) int ndarray
        Index into `paths`.
    index_of : (m,) int ndarray
        Image in that stack, from 0.
    signs : (m,) int8 ndarray or None
        Factor 1 or -1 on each image; None means 1.
    start : int
        Row of the first particle in the particle file, from 0.
    box_size : int
        Pixels along one edge.
    """

    paths: tuple[str, ...]
    file_of: NDArray[np.int32]
    index_of: NDArray[np.int32]
    signs: NDArray[np.int8] | None
    start: int
    box_size: int

    def load(self) -> NDArray[np.float32]:
        """Read the images, file by file and in the order they lie on disk.

        Returns
        -------
        images : (m, y, x) float32 ndarray

        Raises
        ------
        ParticleFileError
            If a pixel is NaN or infinite, or a file changed since it was opened.
        """
        shape = (len(self.file_of), self.box_size, self.box_size)
        images = np.empty(shape, dtype=np.float32)
        for f, path in enumerate(self.paths):
            rows = np.flatnonzero(self.file_of == f)
            rows = rows[np.argsort(self.index_of[rows], kind="stable")]
            images[rows] = open_stack(path, ParticleFileError)[self.index_of[rows]]
        self._check_finite(images)
        if self.signs is not None:
            images *= self.signs[:, None, None]
        return images

    def _check_finite(self, images: NDArray[np.float32]) -> None:
        is_good = np.isfinite(images).all(axis=(1, 2))
        if not is_good.all():
            i = int(np.argmin(is_good))
            raise ParticleFileError(
                f"{self.paths[self.file_of[i]]}: image {self.index_of[i] + 1} (row "
                f"{self.start + i + 1} of the particle file) holds NaN or infinite pixels, "
                "expected finite ones; remove that particle"
            )


def lazy_images(
    paths: Sequence[str | os.PathLike[str]],
    file_of: ArrayLike,
    index_of: ArrayLike,
    signs: ArrayLike | None = None,
    chunk_bytes: int = CHUNK_BYTES,
) -> Any:
    """Lazy images of n particles that lie anywhere in several stacks.

    Parameters
    ----------
    paths : sequence of path
        The distinct stacks.
    file_of : (n,) array_like of int
        Index into `paths`.
    index_of : (n,) array_like of int
        Image in that stack, from 0, in any order, repeated or not.
    signs : (n,) array_like of int, optional
        Factor 1 or -1 on each image.
    chunk_bytes : int
        About how much one chunk holds.

    Returns
    -------
    images : (n, y, x) dask array
        float32, cut along n only.

    Raises
    ------
    ParticleFileError
        If a stack is missing or cut short, images are not square or of different sizes, or an
        index lies past the end.

    Notes
    -----
    The graph holds two small integers a particle and the names of each chunk's own stacks, so it
    can be sent to other processes piece by piece.
    """
    file_of = np.asarray(file_of, dtype=np.int32)
    index_of = np.asarray(index_of, dtype=np.int32)
    signs = None if signs is None else np.asarray(signs, dtype=np.int8)
    names = [str(Path(path).absolute()) for path in paths]
    box_size = _checked_box_size(names, file_of, index_of)
    n, step = len(file_of), max(1, chunk_bytes // (4 * box_size**2))
    name = "particles-" + tokenize(names, file_of, index_of, signs, step)
    graph: dict[Any, Any] = {}
    for c, start in enumerate(range(0, n, step)):
        part = slice(start, start + step)
        used, local = np.unique(file_of[part], return_inverse=True)
        chunk = ImageChunk(
            paths=tuple(names[f] for f in used),
            file_of=local.astype(np.int32),
            index_of=index_of[part].copy(),
            signs=None if signs is None else signs[part].copy(),
            start=start,
            box_size=box_size,
        )
        graph[name, c, 0, 0] = (ImageChunk.load, chunk)
    sizes = tuple(min(step, n - start) for start in range(0, n, step))
    chunks = (sizes, (box_size,), (box_size,))
    layers = HighLevelGraph.from_collections(name, graph, dependencies=[])
    return da.Array(layers, name, chunks=chunks, dtype=np.float32)


def _checked_box_size(
    names: list[str], file_of: NDArray[np.int32], index_of: NDArray[np.int32]
) -> int:
    """Box size that all stacks share, after looking once at each header."""
    first_rows = _first_rows(file_of, len(names))
    n_images = np.empty(len(names), dtype=np.int64)
    box_size = 0
    for f, path in enumerate(names):
        shape = read_header(path, ParticleFileError).shape
        where = f"{path} (row {first_rows[f] + 1} of the particle file)"
        y, x = shape[-2:]
        if y != x:
            raise ParticleFileError(
                f"{where}: images of {y} x {x}, expected square ones; crop them"
            )
        if box_size and x != box_size:
            raise ParticleFileError(
                f"{where}: box size {x}, expected {box_size} as in {names[0]}; use particles of "
                "one box size"
            )
        box_size = x
        n_images[f] = np.prod(shape[:-2], dtype=np.int64)
    is_bad = (index_of >= n_images[file_of]) | (index_of < 0)
    if is_bad.any():
        row = int(np.argmax(is_bad))
        f = int(file_of[row])
        raise ParticleFileError(
            f"{names[f]}: row {row + 1} of the particle file names image {index_of[row] + 1}, "
            f"expected 1 to {n_images[f]}; is this the right stack?"
        )
    return box_size


def _first_rows(file_of: NDArray[np.int32], n_files: int) -> NDArray[np.int64]:
    """Row that first names each file, for messages."""
    rows = np.zeros(n_files, dtype=np.int64)
    rows[file_of[::-1]] = np.arange(len(file_of))[::-1]
    return rows

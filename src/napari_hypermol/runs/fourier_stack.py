"""All images read once: transformed, and cropped to the highest band limit of a schedule.

Their Fourier samples are kept in memory, in a file where that is short, or by the workers of a Dask
scheduler, which then read the images themselves.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from dask.local import get_sync  # by its name, dask would look for `distributed` first
from dask.optimization import cull
from numpy.typing import NDArray

from napari_hypermol.backend import DEVICE_OUT_OF_MEMORY, array_module, as_numpy
from napari_hypermol.coordinates.grids import FourierSamples, fourier_samples
from napari_hypermol.errors import ParticleFileError
from napari_hypermol.imaging.forward import image_samples, shell_sums
from napari_hypermol.particles import Particles
from napari_hypermol.protocols import Executor
from napari_hypermol.runs.device_feed import DeviceFeed
from napari_hypermol.runs.executors import DaskExecutor, InlineExecutor
from napari_hypermol.runs.remote_images import RemoteStack
from napari_hypermol.runs.scratch import room

__all__ = ["AnyStack", "FourierStack", "read_fourier_stack"]

_HERE = InlineExecutor()
# A chunk at a worker: its samples, D and W. Large enough that a worker is busy for seconds, small
# enough that two fit beside one another while a stage begins.
_CHUNK_BYTES = 128 * 2**20
_CHUNKS_PER_WORKER = 4  # at least, where there are particles enough: a late one costs a quarter


@dataclass(frozen=True, eq=False)
class FourierStack:
    """Fourier samples of all particles up to the highest band limit.

    Attributes
    ----------
    values : (n, k) complex64 ndarray or memory map
    samples : FourierSamples
    power : (n, shells) float32 ndarray
        Sum of w |Y|^2 in each shell.
    folder : Path or None
        Where what does not fit into memory goes.
    device : str
        "cpu" or "cuda": where stages work on them.
    """

    values: NDArray[np.complex64]
    samples: FourierSamples
    power: NDArray[np.float32]
    folder: Path | None = None
    device: str = "cpu"

    @property
    def n_shells(self) -> int:
        """Shells, up to that of the highest band limit."""
        return int(self.power.shape[1])


AnyStack = FourierStack | RemoteStack


class _ImageChunk(NamedTuple):
    graph: dict[Any, Any]  # of the lazy images
    key: tuple[Any, ...]  # (m, y, x) images in it
    samples: FourierSamples
    n_shells: int


@dataclass(frozen=True, eq=False)
class _ImageChunks:
    """Consecutive chunks; Dask does not look inside."""

    chunks: tuple[_ImageChunk, ...]
    device: str


_Transformed = tuple[NDArray[np.complex64], NDArray[np.float32]]


def _read(chunk: _ImageChunk) -> NDArray[Any]:
    """The images of one chunk."""
    return np.asarray(get_sync(chunk.graph, chunk.key, callbacks=()))  # as io.stack.computed


def _transformed(chunk: _ImageChunk, images: Any = None) -> _Transformed:
    """Samples and shell powers of one chunk, whose images may be on a device already."""
    images = _read(chunk) if images is None else images
    values = image_samples(images, chunk.samples)
    xp = array_module(values)
    squares = xp.abs(values) ** 2 * xp.asarray(chunk.samples.weights)
    power = shell_sums(squares, chunk.samples, chunk.n_shells)
    return as_numpy(values), as_numpy(power).astype(np.float32)


def _transformed_there(chunks: Sequence[_ImageChunk]) -> Iterator[_Transformed]:
    """The same of many chunks by the GPU, which the next one is brought to meanwhile."""
    done, images = 0, None
    try:
        sources = (partial(_one_read, chunk) for chunk in chunks)
        with contextlib.closing(DeviceFeed().batches(sources)) as batches:
            for chunk, (images,) in zip(chunks, batches, strict=True):
                yield _transformed(chunk, images)
                done += 1
    except DEVICE_OUT_OF_MEMORY:
        images = None  # with the feed, all that lies on the device
    yield from map(_transformed, chunks[done:])


def _one_read(chunk: _ImageChunk) -> tuple[NDArray[Any]]:
    return (_read(chunk),)


def _all_transformed(chunks: _ImageChunks) -> _Transformed:
    transform = _transformed_there if chunks.device == "cuda" else partial(map, _transformed)
    values, power = zip(*transform(chunks.chunks), strict=True)
    return np.concatenate(values), np.concatenate(power)


def _power_of(chunk: tuple[Any, NDArray[np.float32]]) -> NDArray[np.float32]:
    return chunk[1]


def read_fourier_stack(
    particles: Particles,
    max_radius: float,
    on_chunk: Callable[[float], None] = lambda fraction: None,
    executor: Executor = _HERE,
    folder: Path | None = None,
    device: str = "cpu",
) -> AnyStack:
    """Read all images once.

    Parameters
    ----------
    particles : Particles
    max_radius : float
        Highest band limit [cycles per box edge].
    on_chunk : callable
        Told the fraction done; may raise to stop.
    executor : Executor
        Reads and transforms the chunks.
    folder : Path or None
        Where what does not fit into memory goes; None: the system's place for such.
    device : str
        "cpu" or "cuda": where they are transformed, and stages work on them.

    Returns
    -------
    FourierStack, or RemoteStack from a `DaskExecutor`

    Raises
    ------
    ParticleFileError
        If no image has anything in it.
    """
    images = particles.images
    n, box_size = images.shape[:2]
    samples = fourier_samples(box_size, max_radius)
    # A row of them is kept for every particle: none but those used, and two beyond that are empty,
    # or who interpolates weights (`posterior.priors.precision_of`) would find some beyond.
    n_shells = min(int(samples.shells.max()) + 3, box_size // 2 + 1)
    power = np.empty((n, n_shells), dtype=np.float32)
    if isinstance(executor, DaskExecutor):
        stack: AnyStack = _read_remotely(images, samples, power, on_chunk, executor, device)
    else:
        values = room((n, len(samples.kx)), np.complex64, folder)
        parts = list(_parts(images, samples, n_shells))
        chunks = [chunk for _, chunk in parts]
        is_there = device == "cuda"
        found = _transformed_there(chunks) if is_there else executor.map(_transformed, chunks)
        for (rows, _), done in zip(parts, found, strict=True):
            values[rows], power[rows] = done
            on_chunk(rows.stop / n)
        stack = FourierStack(values, samples, power, folder, device)
    if not power.any():
        raise ParticleFileError("all particle images are constant; is this the right stack?")
    return stack


def _parts(
    images: Any, samples: FourierSamples, n_shells: int
) -> Iterator[tuple[slice, _ImageChunk]]:
    """Rows and lazy images of every chunk, each with no more of the graph than its own."""
    graph = dict(images.__dask_graph__())
    start = 0
    for index, size in enumerate(images.chunks[0]):
        key = (images.name, index, 0, 0)
        own, _ = cull(graph, [key])
        yield slice(start, start + size), _ImageChunk(own, key, samples, n_shells)
        start += size


def _read_remotely(
    images: Any,
    samples: FourierSamples,
    power: NDArray[np.float32],
    on_chunk: Callable[[float], None],
    executor: DaskExecutor,
    device: str,
) -> RemoteStack:
    """The stack at the workers, which read the images; fills `power`."""
    n, n_shells = power.shape
    per_worker = -(-n // (_CHUNKS_PER_WORKER * max(1, executor.n_workers())))
    most = max(1, min(_CHUNK_BYTES // (20 * len(samples.kx)), per_worker))
    chunks: list[Any] = []
    ends: list[int] = []
    gathered: list[_ImageChunk] = []
    for rows, part in _parts(images, samples, n_shells):
        gathered.append(part)
        start = ends[-1] if ends else 0
        if rows.stop - start >= most or rows.stop == n:
            chunks.append(executor.submit(_all_transformed, _ImageChunks(tuple(gathered), device)))
            ends.append(rows.stop)
            gathered = []
    powers = [executor.submit(_power_of, chunk) for chunk in chunks]
    start = 0
    for end, future in zip(ends, powers, strict=True):
        power[start:end] = executor.result(future)
        start = end
        on_chunk(end / n)
    return RemoteStack(executor, tuple(chunks), np.array(ends), samples, power, device)

"""All images read once: transformed, and cropped to the highest band limit of a schedule.

Their Fourier samples are kept in memory, in a file where that is short, or by the workers of a Dask
scheduler, which then read the images themselves.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from dask.local import get_sync  # by its name, dask would look for `distributed` first
from dask.optimization import cull
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import FourierSamples, fourier_samples
from napari_hypermol.errors import ParticleFileError
from napari_hypermol.imaging.forward import image_samples, shell_sums
from napari_hypermol.particles import Particles
from napari_hypermol.protocols import Executor
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


def _transformed(chunk: _ImageChunk) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    """Samples and shell powers of one chunk of images."""
    images = np.asarray(get_sync(chunk.graph, chunk.key, callbacks=()))  # as io.stack.computed
    values = image_samples(images, chunk.samples)
    squares = np.abs(values) ** 2 * chunk.samples.weights
    return values, shell_sums(squares, chunk.samples, chunk.n_shells).astype(np.float32)


def _all_transformed(
    chunks: _ImageChunks,
) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    values, power = zip(*map(_transformed, chunks.chunks), strict=True)
    return np.concatenate(values), np.concatenate(power)


def _power_of(chunk: tuple[Any, NDArray[np.float32]]) -> NDArray[np.float32]:
    return chunk[1]


def read_fourier_stack(
    particles: Particles,
    max_radius: float,
    on_chunk: Callable[[float], None] = lambda fraction: None,
    executor: Executor = _HERE,
    folder: Path | None = None,
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
        stack: AnyStack = _read_remotely(images, samples, power, on_chunk, executor)
    else:
        values = room((n, len(samples.kx)), np.complex64, folder)
        parts = list(_parts(images, samples, n_shells))
        tasks = (chunk for _, chunk in parts)
        for (rows, _), done in zip(parts, executor.map(_transformed, tasks), strict=True):
            values[rows], power[rows] = done
            on_chunk(rows.stop / n)
        stack = FourierStack(values, samples, power, folder)
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
            chunks.append(executor.submit(_all_transformed, _ImageChunks(tuple(gathered))))
            ends.append(rows.stop)
            gathered = []
    powers = [executor.submit(_power_of, chunk) for chunk in chunks]
    start = 0
    for end, future in zip(ends, powers, strict=True):
        power[start:end] = executor.result(future)
        start = end
        on_chunk(end / n)
    return RemoteStack(executor, tuple(chunks), np.array(ends), samples, power)

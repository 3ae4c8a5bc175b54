"""From a lazy image stack to what a stage works on, chunk after chunk.

Images are read once: transformed, cropped to the highest band limit of the schedule and kept as
Fourier samples, in memory or, where they would not fit, in a file beside the run. Every stage takes
the samples inside its own band limit.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import psutil
from dask.local import get_sync  # by its name, dask would look for `distributed` first
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import FourierSamples, fourier_samples
from napari_hypermol.errors import ParticleFileError
from napari_hypermol.imaging.forward import image_samples, select_defocus, shell_sums, whiten
from napari_hypermol.imaging.noise import initial_noise
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.particles import FloatArray, Particles
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.protocols import Executor
from napari_hypermol.runs.executors import InlineExecutor
from napari_hypermol.runs.sweep import StageProblem

__all__ = [
    "FourierStack",
    "read_fourier_stack",
    "renewed_problem",
    "stage_problem",
    "starting_noise",
    "whitened_images",
]

Float64 = NDArray[np.float64]
_HERE = InlineExecutor()
_MEMORY_SHARE = 0.25  # of what is free; D and W of a stage take twice as much again


@dataclass(frozen=True, eq=False)
class FourierStack:
    """Fourier samples of all particles up to the highest band limit.

    Attributes
    ----------
    values : (n, k) complex64 ndarray or memory map
    samples : FourierSamples
    power : (n, shells) float32 ndarray
        Sum of w |Y|^2 in each shell.
    """

    values: NDArray[np.complex64]
    samples: FourierSamples
    power: NDArray[np.float32]

    @property
    def n_shells(self) -> int:
        """Shells, up to the corner of the half plane's samples."""
        return int(self.power.shape[1])


class _ImageChunk(NamedTuple):
    images: Any  # (m, y, x) lazy
    samples: FourierSamples
    n_shells: int


def _transformed(chunk: _ImageChunk) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    """Samples and shell powers of one chunk of images."""
    images = np.asarray(chunk.images.compute(scheduler=get_sync))
    values = image_samples(images, chunk.samples)
    squares = np.abs(values) ** 2 * chunk.samples.weights
    return values, shell_sums(squares, chunk.samples, chunk.n_shells).astype(np.float32)


def read_fourier_stack(
    particles: Particles,
    max_radius: float,
    on_chunk: Callable[[float], None] = lambda fraction: None,
    executor: Executor = _HERE,
) -> FourierStack:
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

    Returns
    -------
    FourierStack
    """
    images = particles.images
    n, box_size = images.shape[:2]
    samples = fourier_samples(box_size, max_radius)
    n_shells = box_size // 2 + 1
    values = _room(n, len(samples.kx))
    power = np.empty((n, n_shells), dtype=np.float32)
    ends = np.cumsum(images.chunks[0])
    parts = [slice(int(e - k), int(e)) for e, k in zip(ends, images.chunks[0], strict=True)]
    tasks = (_ImageChunk(images[rows], samples, n_shells) for rows in parts)
    for rows, (ft, sums) in zip(parts, executor.map(_transformed, tasks), strict=True):
        values[rows], power[rows] = ft, sums
        on_chunk(rows.stop / n)
    if not power.any():
        raise ParticleFileError("all particle images are constant; is this the right stack?")
    return FourierStack(values, samples, power)


def _room(n: int, k: int) -> NDArray[np.complex64]:
    """An array for the samples, in a temporary file where memory is short."""
    size = n * k * 8
    if size < _MEMORY_SHARE * psutil.virtual_memory().available:
        return np.empty((n, k), dtype=np.complex64)
    with tempfile.NamedTemporaryFile(prefix="hypermol-", suffix=".samples") as file:
        # the mapping keeps the file alive after its name is gone
        return np.memmap(file.name, dtype=np.complex64, mode="w+", shape=(n, k))


def _columns(stack: FourierStack, samples: FourierSamples) -> NDArray[np.int64]:
    """Where a stage's samples stand among those of the stack."""
    limit = stack.samples.box_size
    key = (stack.samples.ky.astype(np.int64) + limit) * limit + stack.samples.columns
    wanted = (samples.ky.astype(np.int64) + limit) * limit + samples.columns
    order = np.argsort(key)
    return np.asarray(order[np.searchsorted(key, wanted, sorter=order)])


def whitened_images(
    particles: Particles,
    stack: FourierStack,
    samples: FourierSamples,
    noise: Float64,
    rows: NDArray[np.int64],
    chunk: int = 1024,
) -> WhitenedImages:
    """Shift, CTF and noise of some particles folded into D and W, at the samples of a stage.

    Parameters
    ----------
    particles : Particles
    stack : FourierStack
    samples : FourierSamples
        Inside the band limit of the stack.
    noise : (groups, shells) float64 ndarray
        sigma^2.
    rows : (m,) int64 ndarray
        Particles to use.
    chunk : int
        Particles whitened at once; no effect on the result.

    Returns
    -------
    WhitenedImages
    """
    columns = _columns(stack, samples)
    m, k, n_shells = len(rows), len(columns), stack.n_shells
    data = np.empty((m, 2, k), dtype=np.float32)
    weights = np.empty((m, k), dtype=np.float32)
    fill = np.empty((m, n_shells), dtype=np.float32)
    power = np.empty((m, n_shells), dtype=np.float32)
    groups = particles.optics_group[rows].astype(np.int64)
    premultiplied = particles.optics.is_premultiplied[groups]
    for start in range(0, m, chunk):
        part = slice(start, min(start + chunk, m))
        index = rows[part]
        values = np.asarray(stack.values[index][:, columns])
        # of these samples only: the last shell may lie half inside the band limit
        power[part] = shell_sums(np.abs(values) ** 2 * samples.weights, samples, n_shells)
        out: Any = whiten(
            values,
            particles.shifts[index],
            select_defocus(particles.defocus, index),
            particles.optics,
            groups[part],
            noise,
            samples,
            particles.pixel_size,
        )
        data[part], weights[part], square = out
        once = np.where(premultiplied[part, None], square, np.float32(1))
        fill[part] = shell_sums(once * samples.weights, samples, n_shells)
    rotations: FloatArray = np.tile(np.eye(3), (m, 1, 1))  # not looked at until they are found
    if particles.rotations is not None:
        rotations = np.asarray(particles.rotations)[rows]
    return WhitenedImages(
        data=data,
        weights=weights,
        power=power,
        fill=fill,
        is_premultiplied=np.asarray(premultiplied),
        groups=groups,
        rotations=np.ascontiguousarray(rotations, dtype=np.float32),
    )


def stage_problem(
    particles: Particles,
    stack: FourierStack,
    molecule: LinearMolecule,
    max_radius: float,
    noise: Float64,
    rows: NDArray[np.int64],
    chunk: int = 1024,
) -> StageProblem:
    """Data and molecule of one stage, whitened with `noise`.

    Parameters
    ----------
    particles, stack, noise, rows, chunk
        As in `whitened_images`.
    molecule : LinearMolecule
    max_radius : float
        Band limit [cycles per box edge].

    Returns
    -------
    StageProblem
    """
    samples = fourier_samples(stack.samples.box_size, max_radius)
    images = whitened_images(particles, stack, samples, noise, rows, chunk)
    n_shells = stack.n_shells
    count = np.maximum(np.bincount(samples.shells, samples.weights, n_shells), 1e-12)
    mean_weights = np.empty((len(rows), n_shells))
    for start in range(0, len(rows), chunk):
        part = slice(start, start + chunk)
        mean_weights[part] = shell_sums(images.weights[part], samples, n_shells) / count
    shifts = np.asarray(particles.shifts[rows], dtype=np.float64)
    return StageProblem(images, molecule, samples, mean_weights, particles.pixel_size, shifts)


def renewed_problem(
    problem: StageProblem, noise: Float64, particles: Particles, stack: FourierStack,
    max_radius: float, rows: NDArray[np.int64],
) -> StageProblem:  # fmt: skip
    """The same problem at the same poses, its images whitened anew with `noise`."""
    n = int(particles.images.shape[0])
    rotations, shifts = np.tile(np.eye(3), (n, 1, 1)), np.array(particles.shifts, np.float64)
    rotations[rows], shifts[rows] = problem.images.rotations, problem.shifts
    moved = particles._replace(rotations=rotations, shifts=shifts)
    return stage_problem(moved, stack, problem.molecule, max_radius, noise, rows)


def starting_noise(particles: Particles, stack: FourierStack) -> Float64:
    """Noise spectra to begin with: all the power there is."""
    fill = shell_sums(stack.samples.weights[None], stack.samples, stack.n_shells)[0]
    groups = particles.optics_group.astype(np.int64)
    return initial_noise(stack.power, fill, groups, len(particles.optics.names))

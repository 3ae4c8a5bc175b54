"""What a stage works on: the particles' Fourier samples inside its band limit, whitened."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module
from napari_hypermol.coordinates.grids import FourierSamples, fourier_samples
from napari_hypermol.imaging.forward import shell_sums
from napari_hypermol.imaging.noise import initial_noise
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.particles import Particles
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.runs.device_images import DeviceImages
from napari_hypermol.runs.fourier_stack import AnyStack
from napari_hypermol.runs.image_work import Images, each
from napari_hypermol.runs.pieces import joined
from napari_hypermol.runs.remote_images import RemoteImages, RemoteStack
from napari_hypermol.runs.scratch import room
from napari_hypermol.runs.stage_problem import StageProblem
from napari_hypermol.runs.whitening import columns_among, mean_weights, views_of, whitened

__all__ = ["renewed_problem", "stage_problem", "starting_noise", "whitened_images"]

Float64 = NDArray[np.float64]
# Samples that a thread whitens at once: arrays of them stay in its cache, and are long enough that
# threads do not wait for one another between operations.
_AT_ONCE = 2**17


def whitened_images(
    particles: Particles,
    stack: AnyStack,
    samples: FourierSamples,
    noise: Float64,
    rows: NDArray[np.int64],
    chunk: int = 1024,
) -> WhitenedImages:
    """Shift, CTF and noise of some particles folded into D and W, at the samples of a stage.

    Parameters
    ----------
    particles : Particles
    stack : FourierStack or RemoteStack
    samples : FourierSamples
        Inside the band limit of the stack.
    noise : (groups, shells) float64 ndarray
        sigma^2.
    rows : (m,) int64 ndarray
        Particles to use.
    chunk : int
        Particles that a thread whitens at once, at most; no effect on the result.

    Returns
    -------
    WhitenedImages
        In this process.
    """
    if isinstance(stack, RemoteStack):
        everything = np.arange(len(stack.power))
        return _remote_images(particles, stack, samples, noise, everything).of(rows)
    columns = columns_among(stack.samples, samples)
    m, k, n_shells = len(rows), len(columns), stack.n_shells
    views = views_of(particles, rows)
    data = room((m, 2, k), np.float32, stack.folder)
    weights = room((m, k), np.float32, stack.folder)
    fill = np.empty((m, n_shells), dtype=np.float32)
    power = np.empty((m, n_shells), dtype=np.float32)
    is_premultiplied = np.empty(m, dtype=np.bool_)

    def whiten(part: slice) -> None:
        values = np.asarray(stack.values[rows[part]][:, columns])
        own = whitened(
            values, views.of(part), particles.optics, noise, samples, particles.pixel_size
        )
        data[part], weights[part], is_premultiplied[part] = own.data, own.weights, own[4]
        power[part], fill[part] = own.power, own.fill

    length = max(1, min(chunk, _AT_ONCE // max(k, 1)))
    parts = [slice(start, min(start + length, m)) for start in range(0, m, length)]
    if len(parts) < 2:
        list(map(whiten, parts))
    else:
        with ThreadPoolExecutor(numba.get_num_threads()) as pool:
            list(pool.map(whiten, parts))
    return WhitenedImages(
        data, weights, power, fill, is_premultiplied, views.groups, views.rotations
    )


def _remote_images(
    particles: Particles,
    stack: RemoteStack,
    samples: FourierSamples,
    noise: Float64,
    rows: NDArray[np.int64],
) -> RemoteImages:
    views = views_of(particles, rows)
    return RemoteImages(stack, rows, views, particles.optics, noise, samples, particles.pixel_size)


def stage_problem(
    particles: Particles,
    stack: AnyStack,
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
        As in `whitened_images`; of a stack that is with workers, images stay there, and rows are
        ascending.
    molecule : LinearMolecule
    max_radius : float
        Band limit [cycles per box edge].

    Returns
    -------
    StageProblem
    """
    samples = fourier_samples(stack.samples.box_size, max_radius)
    noise = noise[:, : stack.n_shells]  # of runs of earlier versions it has more
    images: Images
    if isinstance(stack, RemoteStack):
        images = _remote_images(particles, stack, samples, noise, rows)
    else:
        images = whitened_images(particles, stack, samples, noise, rows, chunk)
    means = joined(each(images, _mean_weights, shared=(samples, stack.n_shells, chunk)))
    shifts = np.asarray(particles.shifts[rows], dtype=np.float64)
    if isinstance(images, WhitenedImages) and stack.device == "cuda":
        images = DeviceImages(images)
    return StageProblem(images, molecule, samples, means, particles.pixel_size, shifts)


def _mean_weights(
    images: WhitenedImages, samples: FourierSamples, n_shells: int, chunk: int
) -> Float64:
    out: Float64 = array_module(images.weights).zeros((len(images.weights), n_shells))
    for start in range(0, len(out), chunk):
        part = slice(start, start + chunk)
        out[part] = mean_weights(images.weights[part], samples, n_shells)
    return out


def renewed_problem(
    problem: StageProblem, noise: Float64, particles: Particles, stack: AnyStack,
    max_radius: float, rows: NDArray[np.int64],
) -> StageProblem:  # fmt: skip
    """The same problem at the same poses, its images whitened anew with `noise`."""
    n = int(particles.images.shape[0])
    rotations, shifts = np.tile(np.eye(3), (n, 1, 1)), np.array(particles.shifts, np.float64)
    rotations[rows], shifts[rows] = problem.rotations, problem.shifts
    moved = particles._replace(rotations=rotations, shifts=shifts)
    new = stage_problem(moved, stack, problem.molecule, max_radius, noise, rows)
    if isinstance(problem.images, DeviceImages) and isinstance(new.images, DeviceImages):
        return replace(new, images=problem.images.others(new.images.host))
    return new


def starting_noise(particles: Particles, stack: AnyStack) -> Float64:
    """Noise spectra to begin with: all the power there is."""
    fill = shell_sums(stack.samples.weights[None], stack.samples, stack.n_shells)[0]
    groups = particles.optics_group.astype(np.int64)
    return initial_noise(stack.power, fill, groups, len(particles.optics.names))

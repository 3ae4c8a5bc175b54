"""Noise spectra given what the particles say of themselves: what the molecule leaves unexplained.

They are those of the residuals of the molecule that the particles were compared with, so that a
pass over the particles that finds the solve's residual finds them too, and then follow the maps by
one sweep. What a stage leaves behind is that of its last maps.
"""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module, as_numpy
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.posterior.likelihood import (
    WhitenedImages,
    by_group,
    explained_power,
    residual_and_power,
)
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.image_work import total
from napari_hypermol.runs.pieces import Sums
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.whitening import rows_of

__all__ = ["residual_and_noise", "residual_noise", "updated_noise"]

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
_CHUNK = 16384  # particles whose explained power is kept at once


def updated_noise(
    problem: StageProblem, estimate: Estimate, posterior: ParticlePosterior
) -> Float64:
    """Noise spectra from the expected residuals, inside the stage's band limit.

    Parameters
    ----------
    problem : StageProblem
    estimate : Estimate
        Its noise is that of the images.
    posterior : ParticlePosterior

    Returns
    -------
    (groups, shells) float64 ndarray
        Those of `estimate` outside the band limit.
    """
    noise32 = estimate.noise.astype(np.float32)
    moments, scene = (posterior.first, posterior.second), problem.scene(estimate.theta)
    sums = total(problem.images, _residual_sums, moments, (noise32, *scene))
    return _noise_of(as_numpy(sums), estimate.noise, problem.samples)


def residual_and_noise(
    problem: StageProblem, estimate: Estimate, first: Float32, second: Float32
) -> tuple[Float32, Float64]:
    """`StageProblem.residual` and `updated_noise` in one pass over the particles."""
    noise32 = estimate.noise.astype(np.float32)
    moments, scene = (first, second), problem.scene(estimate.theta)
    residual, sums = total(
        problem.images, _residual_and_sums, moments, (noise32, *scene), problem.molecule
    )
    return residual, _noise_of(as_numpy(sums), estimate.noise, problem.samples)


def residual_noise(
    images: WhitenedImages, explained: Float64, noise: Float64, samples: FourierSamples
) -> Float64:
    """Mean residual power of every optics group inside the band limit; `noise` elsewhere.

    Parameters
    ----------
    images : WhitenedImages
    explained : (n, shells) float64 ndarray
        Power that the molecule explains, as `posterior.likelihood.explained_power` counts it.
    noise : (groups, shells) float64 ndarray
        The spectra so far.
    samples : FourierSamples

    Returns
    -------
    (groups, shells) float64 ndarray
    """
    by_groups = by_group(explained, images.groups, len(noise))
    return _noise_of(_left(images, by_groups), noise, samples)


def _residual_sums(
    images: WhitenedImages,
    first: Float32,
    second: Float32,
    noise: Float32,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
) -> Float64:
    noise = array_module(images.data).asarray(noise)
    sums = _left(images, 0.0 * noise.astype(np.float64))
    for start in range(0, len(first), _CHUNK):
        part = slice(start, start + _CHUNK)
        own = rows_of(images, part)
        moments = first[part], second[part]
        explained = explained_power(own, *moments, noise, grids, placements, samples)
        sums[0] -= by_group(explained, own.groups, len(noise))
    return sums


def _residual_and_sums(
    images: WhitenedImages,
    first: Float32,
    second: Float32,
    noise: Float32,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
) -> Sums:
    noise = array_module(images.data).asarray(noise)
    found = residual_and_power(images, first, second, noise, grids, placements, samples)
    return Sums((found[0], _left(images, found[1])))


def _left(images: WhitenedImages, explained: Float64) -> Float64:
    """Residual power of every optics group, and what the noise's share of it is.

    Parameters
    ----------
    images : WhitenedImages
    explained : (groups, shells) float ndarray

    Returns
    -------
    (2, groups, shells) float64 ndarray
    """
    groups, n_groups = images.groups, len(explained)
    power = by_group(images.power, groups, n_groups) - explained
    sums: Float64 = array_module(power).stack([power, by_group(images.fill, groups, n_groups)])
    return sums


def _noise_of(sums: Float64, noise: Float64, samples: FourierSamples) -> Float64:
    noise, inside = noise.copy(), np.unique(samples.shells)
    residual, fill = sums[:, :, inside]
    for group in np.flatnonzero(sums[1].any(axis=1)):
        new = residual[group] / np.maximum(fill[group], 1e-12)
        # A shell can lose at most nine tenths at once: early maps explain noise too.
        noise[group, inside] = np.maximum(new, 0.1 * noise[group, inside])
    return noise

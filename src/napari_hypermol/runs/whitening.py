"""Fourier samples of images to D and W: how each image was taken, folded in."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module
from napari_hypermol.coordinates.grids import FourierSamples
from napari_hypermol.imaging.forward import select_defocus, shell_sums, whiten
from napari_hypermol.particles import Defocus, Optics, Particles
from napari_hypermol.posterior.likelihood import WhitenedImages

__all__ = ["Views", "columns_among", "mean_weights", "rows_of", "views_of", "whitened"]

Float64 = NDArray[np.float64]


class Views(NamedTuple):
    """How m images were taken.

    Attributes
    ----------
    rotations : (m, 3, 3) float32 ndarray
        The identity where they are not known yet; not looked at until they are found.
    shifts : (m, 2) float64 ndarray
        [Å].
    defocus : Defocus or None
    groups : (m,) int64 ndarray
        Optics group.
    """

    rotations: NDArray[np.float32]
    shifts: Float64
    defocus: Defocus | None
    groups: NDArray[np.int64]

    def of(self, rows: Any) -> "Views":
        """Those of some of the images."""
        return Views(
            self.rotations[rows],
            self.shifts[rows],
            select_defocus(self.defocus, rows),
            self.groups[rows],
        )


def views_of(particles: Particles, rows: NDArray[np.int64]) -> Views:
    """How some particles were taken."""
    rotations = np.tile(np.eye(3, dtype=np.float32), (len(rows), 1, 1))
    if particles.rotations is not None:
        rotations = np.ascontiguousarray(particles.rotations[rows], dtype=np.float32)
    return Views(
        rotations,
        np.asarray(particles.shifts[rows], dtype=np.float64),
        select_defocus(particles.defocus, rows),
        particles.optics_group[rows].astype(np.int64),
    )


def columns_among(all_samples: FourierSamples, samples: FourierSamples) -> NDArray[np.int64]:
    """Where the samples of a lower band limit stand among those of a higher one."""
    limit = all_samples.box_size
    key = (all_samples.ky.astype(np.int64) + limit) * limit + all_samples.columns
    wanted = (samples.ky.astype(np.int64) + limit) * limit + samples.columns
    order = np.argsort(key)
    return np.asarray(order[np.searchsorted(key, wanted, sorter=order)])


def whitened(
    values: NDArray[np.complex64],
    views: Views,
    optics: Optics,
    noise: Float64,
    samples: FourierSamples,
    pixel_size: float,
) -> WhitenedImages:
    """Shift, CTF and noise folded into D and W.

    Parameters
    ----------
    values : (m, k) complex64 ndarray
        Images at the samples.
    views : Views
    optics : Optics
    noise : (groups, shells) float64 ndarray
        sigma^2.
    samples : FourierSamples
    pixel_size : float
        [Å].

    Returns
    -------
    WhitenedImages
    """
    n_shells = noise.shape[1]
    # of these samples only: the last shell may lie half inside the band limit
    power = shell_sums(np.abs(values) ** 2 * samples.weights, samples, n_shells)
    out: Any = whiten(
        values, views.shifts, views.defocus, optics, views.groups, noise, samples, pixel_size
    )
    data, weights, square = out
    is_premultiplied = np.asarray(optics.is_premultiplied)[views.groups]
    once = np.where(is_premultiplied[:, None], square, np.float32(1))
    return WhitenedImages(
        data=np.asarray(data, dtype=np.float32),
        weights=np.asarray(weights, dtype=np.float32),
        power=power.astype(np.float32),
        fill=shell_sums(once * samples.weights, samples, n_shells).astype(np.float32),
        is_premultiplied=is_premultiplied,
        groups=views.groups,
        rotations=np.ascontiguousarray(views.rotations, dtype=np.float32),
    )


def rows_of(images: WhitenedImages, rows: Any) -> WhitenedImages:
    """Some of the images: a slice of them, or by index."""
    columns: Any = [column[rows] for column in images]
    return WhitenedImages(*columns)


def mean_weights(weights: Any, samples: FourierSamples, n_shells: int) -> Any:
    """Mean of W / w over each image shell; (m, k) -> (m, n_shells) float64."""
    count = np.maximum(np.bincount(samples.shells, samples.weights, n_shells), 1e-12)
    return shell_sums(weights, samples, n_shells) / array_module(weights).asarray(count)

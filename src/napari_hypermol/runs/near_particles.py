"""The particles nearest to a state, each beside what the run predicts of it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hypermol.imaging.restoration import image_from_samples
from napari_hypermol.runs.predictions import Predictions

__all__ = ["ImagePairs", "image_pairs", "nearest_particles"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Rows = NDArray[np.int64]


class ImagePairs(NamedTuple):
    """Particles and their predicted images, up to the band limit and in the same units.

    Attributes
    ----------
    rows : (m,) int64 ndarray
    images, predicted : (m, y, x) float32 ndarray
    correlations : (m,) float64 ndarray
        Of the two, every Fourier sample weighted by 1 / sigma^2.
    """

    rows: Rows
    images: Float32
    predicted: Float32
    correlations: Float64


def nearest_particles(
    states: Float64, place: ArrayLike, kinds: tuple[str, ...], n: int = 5
) -> Rows:
    """Rows of the particles nearest to a place, nearest first.

    Parameters
    ----------
    states : (p, d) float64 ndarray
    place : (d,) array_like
    kinds : tuple of StateKind, length d
        On a circle the shorter way counts.
    n : int
    """
    away = np.abs(states - np.asarray(place, dtype=np.float64))
    circles = np.array([kind == "circle" for kind in kinds], dtype=np.bool_)
    away[:, circles] = np.minimum(away[:, circles], 1 - away[:, circles])
    distance = (away**2).sum(axis=1)
    n = min(n, len(distance))
    nearest = np.argpartition(distance, n - 1)[:n]
    return np.asarray(nearest[np.argsort(distance[nearest], kind="stable")], dtype=np.int64)


def image_pairs(predictions: Predictions, rows: Rows) -> ImagePairs:
    """Images of some particles and what their run predicts."""
    measured, predicted = predictions.measured(rows), predictions.predicted(rows)
    weights = predictions.samples.weights / predictions.sigma(rows) ** 2
    cross = (weights * (measured * predicted.conj()).real).sum(axis=1, dtype=np.float64)
    powers = [
        (weights * np.abs(values) ** 2).sum(axis=1, dtype=np.float64)
        for values in (measured, predicted)
    ]
    norm = np.sqrt(powers[0] * powers[1])
    pictures = [image_from_samples(values, predictions.samples) for values in (measured, predicted)]
    correlations = np.divide(cross, norm, out=np.zeros_like(cross), where=norm > 0)
    return ImagePairs(np.asarray(rows), pictures[0], pictures[1], np.asarray(correlations))

"""Class averages by state: particles seen from one direction, turned alike and averaged.

What a two-dimensional classification would show if it knew direction and state, beside the
projections of the run's own maps: where they differ, the maps claim something the images lack.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_hypermol.coordinates.grids import FourierSamples
from napari_hypermol.errors import HypermolError
from napari_hypermol.imaging.ctf import contrast_transfer
from napari_hypermol.imaging.forward import image_samples, select_defocus, shell_sums
from napari_hypermol.imaging.restoration import image_from_samples
from napari_hypermol.imaging.shift import shift_phases
from napari_hypermol.runs.predictions import Predictions
from napari_hypermol.runs.state_axes import StateAxis, class_numbers

__all__ = ["ClassAverage", "class_averages", "populated_directions", "state_groups"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Rows = NDArray[np.int64]
_SPREAD = 15.0  # of the viewing directions about a class's own [degrees]
_CANDIDATES = 400  # directions tried, about 10 degrees apart
_MOST = 300  # particles averaged, those seen most nearly from the direction: enough for the eye


class ClassAverage(NamedTuple):
    """Particles of one direction and state.

    Attributes
    ----------
    direction : int
        Which direction, the most populated first, from 0.
    group : str
        What their states are: ``tau1 0.00 to 0.31``, ``class 2``.
    n_averaged : int
        Particles; of none, the average is zero.
    rotation : (3, 3) float64 ndarray
        Molecule to image frame, of the average.
    average, projection : (y, x) float32 ndarray
        CTF-weighted average, and the projection of the run's map at the mean state.
    """

    direction: int
    group: str
    n_averaged: int
    rotation: Float64
    average: Float32
    projection: Float32


def class_averages(
    predictions: Predictions, axis: StateAxis, index: int, count: int = 3
) -> list[ClassAverage]:
    """Averages for the most populated directions, of low, middle and high states.

    Parameters
    ----------
    predictions : Predictions
    axis : StateAxis
        Whose states are told apart.
    index : int
        Its place among all axes.
    count : int
        Directions.

    Returns
    -------
    list of ClassAverage
        Direction by direction, state by state.

    Raises
    ------
    HypermolError
        If the run has not read any states yet.
    """
    states = predictions.snapshot.posterior.state_mean
    rotations = predictions.posed.rotations
    if rotations is None or index >= states.shape[1]:
        raise HypermolError(
            "the run has not read the particles' states yet, expected a stage with states; wait "
            "for the next one"
        )
    groups = state_groups(axis, states[:, index])
    found = []
    for number, members in enumerate(populated_directions(rotations, count)):
        rotation = _middle(rotations[members[:_MOST]])
        for name, is_in in groups.items():
            rows = members[is_in[members]][:_MOST]
            found.append(_average(predictions, number, name, rows, rotation))
    return found


def populated_directions(rotations: NDArray[np.floating], count: int) -> list[Rows]:
    """Particles about the most populated viewing directions, the nearest first.

    Parameters
    ----------
    rotations : (n, 3, 3) float ndarray
        Molecule to image frame; row 2 is the direction.
    count : int
        At most so many; no particle is in two.

    Returns
    -------
    list of (m,) int64 ndarray
    """
    seen = np.asarray(rotations[:, 2, :], dtype=np.float32)
    turns = np.arange(_CANDIDATES) + 0.5
    z, angle = 1 - 2 * turns / _CANDIDATES, np.pi * (1 + 5**0.5) * turns  # Fibonacci's sphere
    ring = np.sqrt(1 - z**2)
    candidates = np.stack([ring * np.cos(angle), ring * np.sin(angle), z]).astype(np.float32)
    cosines = seen @ candidates
    is_free = np.ones(len(seen), dtype=bool)
    found: list[Rows] = []
    for _ in range(count):
        inside = (cosines > np.cos(np.radians(_SPREAD))) & is_free[:, None]
        best = int(inside.sum(axis=0).argmax())
        members = np.flatnonzero(inside[:, best])
        if not len(members):
            break
        is_free[members] = False
        found.append(members[np.argsort(-cosines[members, best], kind="stable")])
    return found


def state_groups(axis: StateAxis, states: Float64) -> dict[str, NDArray[np.bool_]]:
    """Low, middle and high states with a third of the particles each; of classes every one."""
    if axis.kind == "class":
        numbers = class_numbers(states, axis.n_classes)
        return {f"class {k}": numbers == k for k in range(1, axis.n_classes + 1)}
    thirds = np.linspace(0, 1, 4)  # a circle has no low and high: its thirds are as they lie
    edges = thirds if axis.kind == "circle" else np.quantile(states, thirds)
    ends = [*edges[:-1], np.inf]
    return {
        f"{axis.name} {low:.2f} to {edges[k + 1]:.2f}": (states >= low) & (states < ends[k + 1])
        for k, low in enumerate(ends[:-1])
    }


def _middle(rotations: NDArray[np.floating]) -> Float64:
    """A rotation from the mean direction of some, turned in the plane like the first."""
    direction = rotations[:, 2].mean(axis=0, dtype=np.float64)
    direction /= np.linalg.norm(direction)
    along = np.cross(rotations[0, 1], direction)
    along /= np.linalg.norm(along)
    return np.stack([along, np.cross(direction, along), direction])


def _in_plane(rotations: NDArray[np.floating], reference: Float64) -> tuple[Float64, Float64]:
    """Cosine and sine of the turn A of each image, R = A R_reference; (m,) both."""
    turns = np.asarray(rotations, dtype=np.float64) @ reference.T
    angle = np.arctan2(turns[:, 1, 0] - turns[:, 0, 1], turns[:, 0, 0] + turns[:, 1, 1])
    return np.cos(angle), np.sin(angle)


def _average(
    predictions: Predictions, number: int, name: str, rows: Rows, rotation: Float64
) -> ClassAverage:
    """Least squares over the images: sum a H Y / (sum a^2 H^2 + sigma^2 / S), all turned alike."""
    size, samples = predictions.samples.box_size, predictions.samples
    empty = np.zeros((size, size), dtype=np.float32)
    if not len(rows):
        return ClassAverage(number, name, 0, rotation, empty, empty)
    functions = predictions.functions(rows).mean(axis=0, keepdims=True)
    projected = predictions.slices(rotation[None], functions)
    rotations = predictions.posed.rotations
    assert rotations is not None  # `class_averages` asked
    cosines, sines = _in_plane(rotations[rows], rotation)
    total = _turned_sum(_weighted(predictions, rows), cosines, sines)
    weight = _turned_weight(predictions, rows, cosines, sines)
    n_shells = int(samples.shells.max()) + 1
    fill = shell_sums(samples.weights[None], samples, n_shells)[0]
    power = shell_sums(np.abs(projected) ** 2 * samples.weights, samples, n_shells)[0] / fill
    values = image_samples(total[None], samples) / (weight + 1 / power[samples.shells])
    return ClassAverage(
        number,
        name,
        len(rows),
        rotation,
        image_from_samples(values, samples)[0],
        image_from_samples(projected, samples)[0],
    )


def _ctf(predictions: Predictions, rows: Rows, samples: FourierSamples) -> Float32:
    particles = predictions.posed
    defocus = select_defocus(particles.defocus, rows)
    if defocus is None:
        return np.ones((len(rows), len(samples.kx)), dtype=np.float32)
    groups = particles.optics_group[rows].astype(np.int64)
    return np.asarray(
        contrast_transfer(particles.optics, groups, defocus, samples, particles.pixel_size)
    )


def _weighted(predictions: Predictions, rows: Rows) -> Float32:
    """Images of a H conj(S) Y / sigma^2; (m, y, x)."""
    particles, samples = predictions.posed, predictions.samples
    once = particles.optics.is_premultiplied[particles.optics_group[rows].astype(np.int64)]
    ctf = np.where(once[:, None], 1, _ctf(predictions, rows, samples))
    values = predictions.measured(rows) * ctf / predictions.sigma(rows) ** 2
    values *= np.conj(shift_phases(particles.shifts[rows], samples, particles.pixel_size))
    values *= predictions.snapshot.posterior.contrast_mean[rows, None]
    return np.asarray(image_from_samples(values, samples))


def _turned_sum(images: Float32, cosines: Float64, sines: Float64) -> Float32:
    """Sum of the images at A r: all of them then show the reference."""
    total = np.zeros(images.shape[1:], dtype=np.float32)
    middle = images.shape[-1] // 2
    for image, c, s in zip(images, cosines, sines, strict=True):
        matrix = np.array([[c, s], [-s, c]])  # of indices, y first
        start = middle - matrix @ (middle, middle)
        total += ndimage.affine_transform(image, matrix, start, order=3)
    return total


def _turned_weight(
    predictions: Predictions, rows: Rows, cosines: Float64, sines: Float64
) -> Float32:
    """Sum of a^2 H^2 / sigma^2 at A k, exactly: astigmatism turns with the image; (k,)."""
    samples = predictions.samples
    total = np.zeros(len(samples.kx), dtype=np.float32)
    contrasts = predictions.snapshot.posterior.contrast_mean[rows]
    sigma = predictions.sigma(rows)
    for i, (c, s) in enumerate(zip(cosines, sines, strict=True)):
        turned = samples._replace(
            kx=c * samples.kx - s * samples.ky, ky=s * samples.kx + c * samples.ky
        )
        ctf = _ctf(predictions, rows[i : i + 1], turned)[0]
        total += (contrasts[i] * ctf / sigma[i]) ** 2
    return total

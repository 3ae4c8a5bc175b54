"""Two states of one molecule against each other: difference map, FSC, how far apart they are."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.runs.fsc import fourier_shell_correlation, resolution_at
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.state_axes import StateAxis, class_numbers

__all__ = ["StateDifference", "state_difference", "state_distance"]

_ALIKE = 0.5  # FSC below which two states' maps are told apart, as for a map against its model


class StateDifference(NamedTuple):
    """Map of state B less map of state A.

    Attributes
    ----------
    volume : (z, y, x) float32 ndarray
    limit : float
        Greatest absolute value.
    correlation : float
        Of the two maps.
    share : float
        Root mean square of the difference over that of A's map.
    frequencies, fsc : (shells,) float64 ndarray
        [1/Å]; up to the band limit.
    resolution : float
        Where the FSC falls below 0.5 [Å]; the band limit where it does not.
    distance : float
        Between the states.
    """

    volume: NDArray[np.float32]
    limit: float
    correlation: float
    share: float
    frequencies: NDArray[np.float64]
    fsc: NDArray[np.float64]
    resolution: float
    distance: float


def state_distance(axes: Sequence[StateAxis], a: Sequence[float], b: Sequence[float]) -> float:
    """Length of the way from A to B: on a circle the shorter one, 1 from class to class."""
    steps = []
    for axis, one, two in zip(axes, a, b, strict=True):
        step = abs(float(two) - float(one))
        if axis.kind == "circle":
            step = min(step, 1 - step)
        elif axis.kind == "class":
            first, second = class_numbers(np.array([one, two]), axis.n_classes)
            step = float(first != second)
        steps.append(step)
    return float(np.linalg.norm(steps))


def state_difference(
    maps: HyperMaps,
    a: Sequence[float],
    b: Sequence[float],
    pixel_size: float,
    max_radius: float,
) -> StateDifference:
    """Compare the maps of two states.

    Parameters
    ----------
    maps : HyperMaps
    a, b : (d,) sequence of float
    pixel_size : float
        [Å]
    max_radius : float
        Band limit [cycles per box edge]; beyond it both maps have only the edge of their supports.

    Returns
    -------
    StateDifference
    """
    one, two = maps.volume(a), maps.volume(b)
    volume = two - one
    edge = maps.box_size * pixel_size
    fsc = fourier_shell_correlation(one, two)[: int(max_radius) + 1]
    power = float(np.sqrt(np.mean(one.astype(np.float64) ** 2)))
    centred = [v.astype(np.float64) - v.mean(dtype=np.float64) for v in (one, two)]
    norms = float(np.linalg.norm(centred[0]) * np.linalg.norm(centred[1]))
    return StateDifference(
        volume=volume,
        limit=float(np.abs(volume).max()) or 1.0,
        correlation=float(np.vdot(centred[0], centred[1])) / norms if norms else 1.0,
        share=float(np.sqrt(np.mean(volume.astype(np.float64) ** 2))) / power if power else 0.0,
        frequencies=np.arange(len(fsc)) / edge,
        fsc=fsc,
        resolution=resolution_at(fsc, _ALIKE, edge),
        distance=state_distance(maps.axes, a, b),
    )

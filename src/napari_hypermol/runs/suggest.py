"""Components suggested by a run that knows of none: what varies from state to state, and the rest.

A first run with one ball says where the molecule moves, not what its components are. Where the
density's standard deviation over the states is high, regions about its peaks become components.
Motion is relative, and a run without known poses may put it into the body as well: a region in the
middle with most of the molecule's mass is no part, but what the parts move against.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_hypermol.errors import RunFolderError
from napari_hypermol.molecules.mask_making import dilated
from napari_hypermol.runs.state_axes import StateAxis, middle_states, shown_states

__all__ = ["Suggestion", "state_statistics", "suggest_components"]

Float32 = NDArray[np.float32]

_STOPS = 5  # states along an axis: a swing has been everywhere at five
_SMOOTH, _LEAST_SMOOTH = 0.44, 1.5  # [details, voxels]; what noise is made of is no region
_LEVEL = 0.35  # of the highest deviation: ripples around what moves stay below a third of it
_PROMINENT = 0.3  # of the highest deviation, from a peak down to the pass to a higher one,
_PASS = 0.65  # which is lower than this times the peak: less is one region
_N_LEVELS, _MOST_PEAKS = 40, 255
_LEAST = 0.05  # of the largest region: smaller ones are noise, or what moves along
_BODY_LEVEL = 0.2  # of the mean map's highest density
_LOOSE, _LEAST_LOOSE = 0.58, 2.0  # [details, voxels]; a tight support cuts the motion off
_MOST_MASS = 0.4  # of the molecule: a piece with more of it is what the others move against


class _Maps(Protocol):
    """What is needed of `runs.maps.HyperMaps`."""

    @property
    def axes(self) -> tuple[StateAxis, ...]:
        """What every state coordinate is."""

    def volume(self, states: Sequence[float]) -> Float32:
        """Density at one state, (z, y, x)."""


class Suggestion(NamedTuple):
    """Regions to be accepted or edited.

    Attributes
    ----------
    labels : (z, y, x) uint8 ndarray
        1: the rest, which stays; 2 and up: what moves, by falling volume.
    names : dict of int to str
        A name for every label.
    """

    labels: NDArray[np.uint8]
    names: dict[int, str]


def state_statistics(maps: _Maps) -> tuple[Float32, Float32]:
    """Mean and standard deviation of the density over the states; (z, y, x) float32 both."""
    axes = maps.axes
    grids = [shown_states(axis, _STOPS) for axis in axes]
    if len(axes) <= 2:
        states = [tuple(s) for s in itertools.product(*grids)]
    else:  # along each axis, the others half way: 5 to the power of many are too many
        middle = middle_states(axes)
        states = [(*middle[:a], t, *middle[a + 1 :]) for a, g in enumerate(grids) for t in g]
    total: NDArray[np.float64] = np.zeros(())
    square = total
    for state in states:
        volume = maps.volume([float(s) for s in state]).astype(np.float64)
        total, square = total + volume, square + volume**2
    mean = total / len(states)
    deviation = np.sqrt(np.maximum(square / len(states) - mean**2, 0))
    return mean.astype(np.float32), deviation.astype(np.float32)


def suggest_components(maps: _Maps, detail: float) -> Suggestion:
    """What moves, in connected regions, and the rest.

    Parameters
    ----------
    maps : HyperMaps
        Of a run with at least one state.
    detail : float
        The finest there is in them [voxels]: box size over band limit. Finer noise there is none.

    Returns
    -------
    Suggestion

    Raises
    ------
    RunFolderError
        If the molecule has no state, or all states look the same.
    """
    if not maps.axes:
        raise RunFolderError("this run is rigid, so nothing varies; run it with one state first")
    mean, deviation = state_statistics(maps)
    deviation = ndimage.gaussian_filter(deviation, max(_SMOOTH * detail, _LEAST_SMOOTH))
    loose = max(_LOOSE * detail, _LEAST_LOOSE)
    highest = float(deviation.max())
    if highest <= 1e-4 * float(np.abs(mean).max()):  # rounding of float32, with room
        raise RunFolderError("all states of this run look the same; nothing to suggest yet")
    moving = _regions(deviation / highest)
    moving = _parts(moving, np.where(mean > _BODY_LEVEL * mean.max(), mean, 0), loose)
    labels = np.zeros(mean.shape, dtype=np.uint8)
    labels[dilated(mean > _BODY_LEVEL * float(mean.max()), loose)] = 1
    n = int(moving.max())
    for number in range(n, 0, -1):  # the largest last, on top of its neighbours
        labels[dilated(moving == number, loose)] = number + 1
    names = {1: "body"} if (labels == 1).any() else {}
    return Suggestion(labels, names | {i + 1: f"moving_{i}" for i in range(1, n + 1)})


def _regions(height: Float32) -> NDArray[np.uint8]:
    """What is higher than the level, each voxel with the prominent peak it belongs to, from 1.

    Flooded downwards, level by level: what connects two regions is shared between them.
    """
    regions = np.zeros(height.shape, dtype=np.uint8)
    peaks: list[float] = [0.0]
    for level in np.linspace(1, _LEVEL, _N_LEVELS, endpoint=True)[1:]:
        flooded, n = ndimage.label(height > level, np.ones((3, 3, 3)))
        for number, box in enumerate(ndimage.find_objects(flooded, n), 1):
            inside, known = flooded[box] == number, regions[box]
            within = np.unique(known[inside & (known > 0)])
            if not len(within):
                if len(peaks) < _MOST_PEAKS:
                    known[inside] = len(peaks)
                    peaks.append(float(height[box][inside].max()))
                continue
            highest, *others = sorted(within.tolist(), key=lambda region: -peaks[region])
            for region in others:
                top = peaks[region]
                if top - level < _PROMINENT or level > _PASS * top:
                    known[known == region] = highest
            seeds = inside & (known > 0)  # not those of another region in the same box
            _, nearest = ndimage.distance_transform_edt(~seeds, return_indices=True)
            known[inside] = known[tuple(nearest)][inside]
    order = np.argsort(-np.bincount(regions.ravel(), minlength=len(peaks))[1:], kind="stable")
    numbers = np.zeros(len(peaks), dtype=np.uint8)
    present = [r for r in order + 1 if (regions == r).any()]
    numbers[present] = np.arange(1, len(present) + 1)
    return np.asarray(numbers[regions])


def _parts(moving: NDArray[np.uint8], mass: Float32, loose: float) -> NDArray[np.uint8]:
    """The pieces that are parts, numbered from 1 by falling volume again."""
    numbers = np.arange(int(moving.max()) + 1)
    volumes, masses = np.bincount(moving.ravel()), np.bincount(moving.ravel(), mass.ravel())
    heaviest = 1 + int(np.argmax(masses[1:]))
    others = masses[1:].sum() - masses[heaviest]
    middle = tuple(np.rint(ndimage.center_of_mass(mass)).astype(int))
    has_body = (
        len(numbers) > 2
        and masses[heaviest] > max(_MOST_MASS * masses.sum(), others)
        and bool(dilated(moving == heaviest, loose)[middle])
    )
    is_part = (numbers > 0) & ~(has_body & (numbers == heaviest))
    is_part &= volumes >= _LEAST * volumes[is_part].max()
    renumbered = np.where(is_part, np.cumsum(is_part), 0).astype(np.uint8)
    return np.asarray(renumbered[moving])

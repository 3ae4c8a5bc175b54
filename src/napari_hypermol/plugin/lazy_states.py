"""The maps of all states as one lazy array: a chunk a state, computed when a slider asks for it.

Not here: what a map is (`runs.maps`), how napari is told about the array (`layers`).
"""

import threading
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.runs.state_axes import StateAxis, shown_states

__all__ = ["STATE_STEPS", "EmptyMaps", "RecentVolumes", "StateMaps", "lazy_states", "stops_of"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

STATE_STEPS = 21  # stops of a slider along a range: 5 % of it apart
_MANY_DIMS = 3  # from here on a grid of 21 stops a slider has too many chunks for dask's graph
_STEPS_OF_MANY = 11
_RECENT_BYTES = 256 * 2**20  # 30 maps of 128^3; scrubbing back and forth is then free


class StateMaps(Protocol):
    """What a layer needs of a hypermolecule: `runs.maps.HyperMaps`, or anything like it."""

    @property
    def box_size(self) -> int:
        """Voxels along an edge."""

    @property
    def dims(self) -> int:
        """Number of state coordinates."""

    @property
    def axes(self) -> tuple[StateAxis, ...]:
        """What every state coordinate is."""

    @property
    def contrast_limits(self) -> tuple[float, float]:
        """Limits that fit every state."""

    def volume(self, states: Any) -> Float32:
        """Density at one state, (z, y, x)."""


class EmptyMaps(NamedTuple):
    """Maps of a molecule that is not known yet: nothing, at every state."""

    axes: tuple[StateAxis, ...]
    box_size: int
    contrast_limits: tuple[float, float] = (0.0, 1.0)

    @property
    def dims(self) -> int:
        """Number of state coordinates."""
        return len(self.axes)

    def volume(self, states: Any) -> Float32:
        """Zeros, (z, y, x)."""
        return np.zeros((self.box_size,) * 3, dtype=np.float32)


def stops_of(axes: Sequence[StateAxis], wanted: int = STATE_STEPS) -> tuple[Float64, ...]:
    """States at which the slider of every axis stops.

    Parameters
    ----------
    axes : sequence of StateAxis
    wanted : int
        Stops along a range, both ends among them; fewer where there are three sliders or more. A
        circle has one less, as far apart, for its end is its beginning; a class one for each.
    """
    steps = wanted if len(axes) < _MANY_DIMS else min(wanted, _STEPS_OF_MANY)
    return tuple(
        shown_states(axis, max(steps - 1, 2) if axis.kind == "circle" else steps) for axis in axes
    )


_AHEAD = ThreadPoolExecutor(1, thread_name_prefix="hypermol-ahead")


class RecentVolumes:
    """Maps by their index on the grid of states, the latest ones remembered.

    While a slider goes from stop to stop, the map of the one after is computed ahead. Safe to be
    called from several threads at once, as napari's asynchronous slicing does.

    Parameters
    ----------
    maps : StateMaps
    stops : tuple of (t,) float64 ndarray
        States along every axis, as `stops_of` has them.
    """

    def __init__(self, maps: StateMaps, stops: tuple[Float64, ...]) -> None:
        self.maps = maps
        self.stops = stops
        self.n_computed = 0
        self._capacity = max(4, _RECENT_BYTES // (4 * maps.box_size**3))
        self._recent: OrderedDict[tuple[int, ...], Future[Float32]] = OrderedDict()
        self._last: tuple[int, ...] = ()
        self._lock = threading.Lock()

    def volume(self, index: tuple[int, ...]) -> Float32:
        """The map at one stop of every slider; (z, y, x), read-only."""
        with self._lock:
            is_new = index not in self._recent
            coming = self._promised(index)
            after = self._after(index)
            self._last = index
            ahead = None if after is None or after in self._recent else self._promised(after)
        if ahead is not None and after is not None:
            _AHEAD.submit(self._compute, after, ahead)
        if is_new:
            self._compute(index, coming)
        return coming.result()

    def _promised(self, index: tuple[int, ...]) -> "Future[Float32]":
        """A map that is known or about to be; it is now the latest."""
        coming = self._recent.setdefault(index, Future())
        self._recent.move_to_end(index)
        while len(self._recent) > self._capacity:
            self._recent.popitem(last=False)
        return coming

    def _after(self, index: tuple[int, ...]) -> tuple[int, ...] | None:
        """The next stop of a slider that went one stop further; None of one that did not."""
        if len(index) != len(self._last):
            return None
        step = tuple(i - j for i, j in zip(index, self._last, strict=True))
        if sum(map(abs, step)) != 1:
            return None
        after = tuple(i + d for i, d in zip(index, step, strict=True))
        is_there = all(0 <= i < len(s) for i, s in zip(after, self.stops, strict=True))
        return after if is_there else None

    def _compute(self, index: tuple[int, ...], coming: "Future[Float32]") -> None:
        """Keep a promise."""
        try:
            states = [float(s[i]) for s, i in zip(self.stops, index, strict=True)]
            volume = self.maps.volume(states)
            volume.flags.writeable = False  # it is shared with whoever asks for this state next
        except BaseException as problem:
            with self._lock:
                self._recent.pop(index, None)  # to be tried again
            coming.set_exception(problem)
            return
        with self._lock:
            self.n_computed += 1
        coming.set_result(volume)

    def chunk(self, block_id: tuple[int, ...]) -> Float32:
        """The map as dask wants it: (1, ..., 1, z, y, x)."""
        dims = self.maps.dims
        volume = self.volume(tuple(int(i) for i in block_id[:dims]))
        return volume.reshape((1,) * dims + volume.shape)


def lazy_states(volumes: RecentVolumes) -> Any:
    """All states as one array of which nothing is computed yet.

    Parameters
    ----------
    volumes : RecentVolumes

    Returns
    -------
    (tau1, ..., tau_d, z, y, x) float32 dask array
        One chunk a state; for a rigid molecule the one map itself, (z, y, x) ndarray.
    """
    dims, size = volumes.maps.dims, volumes.maps.box_size
    if dims == 0:
        return volumes.volume(())
    return da.map_blocks(
        volumes.chunk,
        # dask and napari remember chunks by name: two molecules must never share one
        name=f"hypermol-states-{uuid.uuid4().hex}",
        chunks=(*((1,) * len(stops) for stops in volumes.stops), *((size,),) * 3),
        dtype=np.float32,
        meta=np.empty((0,) * (dims + 3), dtype=np.float32),
    )

"""Images in main memory whose work is done on a GPU, batch after batch.

Batches stay on the device where there is room for all of them, and else are moved there each time,
the next one while the last is worked on. How many particles a batch has is chosen from the memory
that is free; where it turns out not to be enough, the batch is halved and the work goes on. Where
not even one has room, the processor works on them.
"""

import contextlib
import copy
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import (
    DEVICE_OUT_OF_MEMORY,
    array_module,
    as_device,
    as_numpy,
    free_device_memory,
    release_device_memory,
)
from napari_hypermol.coordinates.grids import FourierGrids
from napari_hypermol.errors import ShapeError
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.runs.device_feed import DeviceFeed
from napari_hypermol.runs.pieces import GridsOf, joined, made_here, rows_in
from napari_hypermol.runs.whitening import rows_of
from napari_hypermol.samplers.search import SearchTarget

__all__ = ["DeviceImages"]

_MOST = 16384  # particles at once: their G and tables are of the size of their images
_BATCH_SHARE = 0.2  # of the free memory: images at once; their results want as much again
_RESIDENT_SHARE = 0.5  # of the free memory: all images together


class DeviceImages:
    """Whitened images and the GPU that works on them.

    Parameters
    ----------
    host : WhitenedImages
        In main memory.

    Attributes
    ----------
    host : WhitenedImages
    batch : int
        Particles at once; smaller once memory has run out.
    has_room_for_solves : bool
        Whether coefficients and their Fourier grids may be there too.
    stays : bool
        Whether all images lie on the device; else they come there each time.
    has_room : bool
        Whether the device takes at least one; else the processor works on them.
    """

    def __init__(self, host: WhitenedImages) -> None:
        self.host = host
        self.has_room_for_solves = self.has_room = True
        n = len(host.weights)
        size = sum(column.nbytes for column in host) / max(n, 1)
        free = free_device_memory()
        self.stays = n * size < _RESIDENT_SHARE * free
        at_once = 1 if self.stays else 2  # batches
        self.batch = max(1, min(_MOST, n, int(_BATCH_SHARE * free / size / at_once)))
        self._feed: DeviceFeed | None = None
        self._there: dict[tuple[int, int], WhitenedImages] = {}

    def __len__(self) -> int:
        return len(self.host.weights)

    def others(self, host: WhitenedImages) -> "DeviceImages":
        """Other images for the same device: what has been found out about it is known of them."""
        images = DeviceImages(host)
        images.has_room, images.has_room_for_solves = self.has_room, self.has_room_for_solves
        return images

    @property
    def groups(self) -> NDArray[np.int64]:
        """Optics group of every particle."""
        return self.host.groups

    @property
    def rotations(self) -> NDArray[np.float32]:
        """(n, 3, 3)."""
        return self.host.rotations

    def each(
        self, function: Callable[..., Any], spread: Sequence[Any] = (), shared: Sequence[Any] = ()
    ) -> list[Any]:
        """``function(images, *spread, *shared)`` of every batch, its results in main memory.

        Parameters
        ----------
        function : callable
            Takes arrays of the device and gives some.
        spread : sequence
            One value a particle each: (n, ...) ndarrays, or named tuples with some of them.
        shared : sequence
            Fourier grids and what a search compares with go to the device; everything else is
            small and stays.
        """
        return [found for _, found in self._batches(function, spread, shared, _in_main_memory)]

    def at_poses(
        self, function: Callable[..., Any], spread: Sequence[Any] = (), shared: Sequence[Any] = ()
    ) -> tuple["DeviceImages", Any]:
        """Images whose poses are others, and what else was found.

        Parameters
        ----------
        function : callable
            Gives data (m, 2, k) and rotations (m, 3, 3) of a batch, then anything. They stay on
            the device where there is room for all images.
        spread, shared : sequence
            As for `each`.
        """
        data = np.empty_like(self.host.data, subok=False)
        rotations = np.empty_like(self.host.rotations)
        there: dict[tuple[int, int], WhitenedImages] = {}
        found = []

        def kept(values: Any) -> Any:
            """On the device what stays there; all else, and copies of that, in main memory."""
            return (*values[:2], *_in_main_memory(values))

        for rows, (now, turned, *own) in self._batches(function, spread, shared, kept):
            data[rows], rotations[rows] = own[:2]
            found.append(tuple(own[2:]))
            if self.stays:
                images = self._moved(rows)._replace(data=now, rotations=turned)
                there[rows.start, rows.stop] = images
            else:
                there.clear()
        moved = copy.copy(self)
        moved.host = self.host._replace(data=data, rotations=rotations)
        moved._there, moved._feed = there, None
        return moved, joined(found)

    def _batches(
        self,
        function: Callable[..., Any],
        spread: Sequence[Any],
        shared: Sequence[Any],
        kept: Callable[[Any], Any],
    ) -> Iterator[tuple[slice, Any]]:
        """Rows of each batch and what is kept of its values; smaller ones once memory runs out."""
        start, moved = 0, None
        while start < len(self):
            images = own = found = None
            try:
                if moved is None:
                    moved = [self._shared(value) for value in shared]
                with contextlib.closing(self._images_from(start)) as batches:
                    for rows, images in batches:
                        own = [self._moved_there(rows_in(value, rows)) for value in spread]
                        found = kept(function(images, *own, *moved))
                        yield rows, found
                        start = rows.stop
            except DEVICE_OUT_OF_MEMORY as problem:
                images = own = found = moved = None  # or they would lie beside the halves
                self._halve(problem)
            except ShapeError as problem:  # a block of threads has no room for so many columns
                if not self.has_room:
                    raise
                images = own = found = moved = None
                self._give_up(problem)

    def _images_from(self, start: int) -> Generator[tuple[slice, WhitenedImages]]:
        """Rows and images of every batch, on the device."""
        ends = [min(end + self.batch, len(self)) for end in range(start, len(self), self.batch)]
        batches = [slice(a, b) for a, b in zip([start, *ends], ends, strict=False)]
        if not self.has_room:
            for rows in batches:
                yield rows, rows_of(self.host, rows)
            return
        if self.stays:
            for rows in batches:
                yield rows, self._moved(rows)
            return
        if self._feed is None:
            self._feed = DeviceFeed()
        sources = (partial(rows_of, self.host, rows) for rows in batches)
        with contextlib.closing(self._feed.batches(sources)) as columns:
            for rows, own in zip(batches, columns, strict=True):
                yield rows, WhitenedImages(*own)

    def total(
        self,
        function: Callable[..., Any],
        spread: Sequence[Any] = (),
        shared: Sequence[Any] = (),
        stays: bool = False,
    ) -> Any:
        """The sum of what `each` gives; on the device if it `stays` there."""
        sum_of_all: Any = None
        kept = _as_it_is if stays else _in_main_memory
        for _, found in self._batches(function, spread, shared, kept):
            if sum_of_all is None:
                sum_of_all = found
            elif self.has_room:
                sum_of_all += found
            else:  # what the device has summed up until its memory ran out may be there still
                sum_of_all = _brought(sum_of_all) + found
        return sum_of_all

    def _moved(self, rows: slice) -> WhitenedImages:
        """Images that stay."""
        key = rows.start, rows.stop
        if key in self._there:
            return self._there[key]
        columns: Any = [as_device(np.ascontiguousarray(c)) for c in rows_of(self.host, rows)]
        self._there[key] = images = WhitenedImages(*columns)
        return images

    def leave_to_images(self) -> None:
        """Solve elsewhere from now on: memory ran out, or another solve would."""
        self.has_room_for_solves, self._feed = False, None
        self._there.clear()
        release_device_memory()

    def _shared(self, value: Any) -> Any:
        """Fourier grids are large; what else is shared is small and goes where it is used."""
        if isinstance(value, GridsOf) and value.theta is not None:
            if self.has_room and value.molecule.is_portable and self.has_room_for_solves:
                value = value._replace(theta=as_device(value.theta))
            else:
                value = value._replace(theta=as_numpy(value.theta))
        value = made_here(value)
        if not self.has_room:
            return _brought(value)
        if isinstance(value, FourierGrids):
            return value._replace(values=as_device(value.values))
        if isinstance(value, SearchTarget):
            return SearchTarget(*map(as_device, value))
        return value

    def _moved_there(self, value: Any) -> Any:
        """Arrays of a value where the work is done; numbers stay numbers."""
        return _on_device(value) if self.has_room else _brought(value)

    def _halve(self, problem: Exception) -> None:
        if not self.has_room:
            raise problem
        if self.batch == 1:
            self._give_up("it has no room for a single particle beside it")
        self.batch = max(1, self.batch // 2)
        self._forget()

    def _give_up(self, reason: Any) -> None:
        """Leave the work on images to the processors."""
        warnings.warn(
            f"the molecule is too large for the GPU ({reason}), so the processors work on images; "
            "a lower resolution or state degree takes less",
            stacklevel=2,
        )
        self.has_room, self.batch = False, _MOST
        self._forget()

    def _forget(self) -> None:
        self.stays, self._feed = False, None
        self._there.clear()
        release_device_memory()


def _with(change: Callable[[Any], Any], value: Any) -> Any:
    """A value whose arrays are changed, in (named) tuples too."""
    if not isinstance(value, tuple):
        return change(value)
    columns, kind = [_with(change, column) for column in value], type(value)
    return kind(*columns) if hasattr(value, "_fields") else kind(columns)


def _on_device(value: Any) -> Any:
    return _with(lambda x: as_device(x) if isinstance(x, np.ndarray) else x, value)


def _brought(value: Any) -> Any:
    """What is on the device in main memory; the rest as it is."""
    return _with(lambda x: x if array_module(x) is np else as_numpy(x), value)


def _in_main_memory(value: Any) -> Any:
    """Results, as arrays."""
    return _with(lambda x: None if x is None else as_numpy(x), value)


def _as_it_is(value: Any) -> Any:
    return value

"""Arrays brought to a GPU one batch ahead of the work on them.

A helper reads the next batch and copies it, piece by piece, through memory that is locked in place,
while the device works on the last one: disk, bus and device are busy at the same time. Two batches
are on the device at once, each in memory of its own that is used over and over.
"""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import CopyStream, WorkStream, device_bytes, page_locked

__all__ = ["DeviceFeed"]

_PIECE = 32 * 2**20  # bytes of locked memory, twice: a copy of them takes a millisecond
_ALIGNED = 256  # bytes, of every array on the device

Source = Callable[[], Sequence[NDArray[Any]]]


class _Slot:
    """Memory on the device for one batch, and when the work on the last one in it was given."""

    def __init__(self) -> None:
        self.memory: Any = None
        self.used: Any = None


class _Page:
    """Locked memory, and when the last copy from it is done."""

    def __init__(self) -> None:
        self.memory = page_locked(_PIECE)
        self.sent: Any = None


class DeviceFeed:
    """Brings batches of arrays to the device; one sequence of them at a time.

    Work on them is given by the thread that made the feed, to the stream that is current then.
    """

    def __init__(self) -> None:
        self._copies, self._work = CopyStream(), WorkStream()
        self._pages = _Page(), _Page()
        self._slots = _Slot(), _Slot()
        self._pieces = 0  # so far

    def batches(self, sources: Iterable[Source]) -> Generator[list[Any]]:
        """The arrays of every source, on the device.

        Parameters
        ----------
        sources : iterable of callable
            Each gives the arrays of a batch in main memory; called by another thread, one ahead.

        Yields
        ------
        list of array
            On the device. They are written over once the next batch has been asked for and the
            work given to the device until then is done.

        Raises
        ------
        Exception
            What a source raises; what running out of memory on the device does.
        """
        rest = iter(sources)
        with ThreadPoolExecutor(1, thread_name_prefix="hypermol-feed") as helper:
            waiting = self._next(helper, rest, 0)
            turn = 0
            try:
                while waiting is not None:
                    arrays, arrived = waiting.result()
                    waiting = self._next(helper, rest, turn + 1)
                    self._work.after(arrived)
                    try:
                        yield arrays
                    finally:  # left in the middle, too: others may follow
                        self._slots[turn % 2].used = self._work.mark()
                    turn += 1
            finally:
                if waiting is not None:  # its memory must not be given away while it is written to
                    with contextlib.suppress(Exception):
                        waiting.result()
                self._copies.finish()

    def _next(
        self, helper: ThreadPoolExecutor, rest: Iterator[Source], turn: int
    ) -> "Future[tuple[list[Any], Any]] | None":
        source = next(rest, None)
        return None if source is None else helper.submit(self._brought, source, turn % 2)

    def _brought(self, source: Source, index: int) -> tuple[list[Any], Any]:
        """Arrays of a batch, on their way, and the event of their arrival."""
        columns = [np.ascontiguousarray(column) for column in source()]
        ends = np.cumsum([-(-column.nbytes // _ALIGNED) * _ALIGNED for column in columns])
        slot = self._slots[index]
        if slot.memory is None or len(slot.memory) < ends[-1]:
            slot.memory = None
            slot.memory = device_bytes(int(ends[-1]))
            slot.used = self._work.mark()  # what had this memory before may be at work
        if slot.used is not None:
            self._copies.after(slot.used)
        arrays = []
        for column, start in zip(columns, [0, *ends[:-1].tolist()], strict=True):
            there = slot.memory[start : start + column.nbytes]
            self._send(column.reshape(-1).view(np.uint8), there)
            arrays.append(there.view(column.dtype).reshape(column.shape))
        return arrays, self._copies.mark()

    def _send(self, source: NDArray[np.uint8], target: Any) -> None:
        for start in range(0, len(source), _PIECE):
            part = source[start : start + _PIECE]
            page = self._pages[self._pieces % 2]
            self._pieces += 1
            if page.sent is not None:
                page.sent.synchronize()
            page.memory[: len(part)] = part
            self._copies.copy(page.memory[: len(part)], target[start : start + len(part)])
            page.sent = self._copies.mark()

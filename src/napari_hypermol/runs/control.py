"""How a run is told to wait, to go on or to stop, from whatever thread heard of it first."""

import threading
import time
from collections.abc import Callable

from napari_hypermol.errors import RunCancelled

__all__ = ["Control"]

_LOOK = 0.25  # [s] between looks of a waiting run at `stop`, which may be anybody's event


class Control:
    """A run's brake: it waits, or ends, where it next calls `check`.

    Parameters
    ----------
    stop : threading.Event or None
        Set it to end the run.

    Attributes
    ----------
    stop : threading.Event
    is_waiting : bool
        Whether the run stands still now; a pause that was asked for begins at the next report.
    writing : threading.Lock
        Held while a snapshot is written: nobody should end the process then.
    last_words : callable
        Notes in the run folder that the run was stopped, for a process that ends from another
        thread; `runs.teller` sets it.
    """

    def __init__(self, stop: threading.Event | None = None) -> None:
        self.stop = threading.Event() if stop is None else stop
        self.is_waiting = False
        self.writing = threading.Lock()
        self.last_words: Callable[[], None] = _nothing_to_say
        self._going = threading.Event()
        self._going.set()

    @property
    def is_paused(self) -> bool:
        """Whether the run was asked to wait, and to do no more than that."""
        return not self._going.is_set() and not self.stop.is_set()

    def pause(self) -> None:
        """Let the run wait at its next report, without using the processor."""
        self._going.clear()

    def go_on(self) -> None:
        """End a pause; the run continues exactly where it stood."""
        self._going.set()

    def check(self) -> float:
        """Wait while paused.

        Returns
        -------
        float
            Seconds spent waiting.

        Raises
        ------
        RunCancelled
            If the run was told to stop.
        """
        began = time.monotonic()
        while self.is_paused:
            self.is_waiting = True
            self._going.wait(_LOOK)
        waited = time.monotonic() - began if self.is_waiting else 0.0
        self.is_waiting = False
        if self.stop.is_set():
            raise RunCancelled("stopped; what was computed so far is in the run folder")
        return waited


def _nothing_to_say() -> None:
    """Before there is a run folder."""

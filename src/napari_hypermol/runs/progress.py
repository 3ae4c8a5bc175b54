"""What a run tells while it works, and how it is told to stop."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from napari_hypermol.errors import RunCancelled

__all__ = ["Progress", "Reporter"]


class Progress(NamedTuple):
    """One report.

    Attributes
    ----------
    fraction : float
        Of the whole run, in [0, 1].
    seconds_left : float or None
        None until it can be estimated.
    message : str
        A line for a person.
    maps : HyperMaps or None
        The molecule so far, when it is new.
    """

    fraction: float
    seconds_left: float | None
    message: str
    maps: Any


@dataclass
class Reporter:
    """Turns finished work into fractions and times, and raises when it was told to stop.

    Parameters
    ----------
    on_progress : callable or None
        Called with a `Progress`.
    stop : threading.Event or None
        Set it to stop the run at the next report; `RunCancelled` is raised there.
    """

    on_progress: Callable[[Progress], None] | None = None
    stop: threading.Event | None = None
    total: float = 1.0
    done: float = 0.0
    _started: float = field(default_factory=time.monotonic)

    def plan(self, total: float) -> None:
        """Set the whole amount of work, in any unit."""
        self.total, self.done, self._started = total, 0.0, time.monotonic()

    def advance(self, work: float, message: str, maps: Any = None) -> None:
        """Report that `work` units more are done."""
        self.done = min(self.done + work, self.total)
        if self.on_progress is not None:
            fraction = self.done / self.total
            elapsed = time.monotonic() - self._started
            left = elapsed * (1 - fraction) / fraction if fraction > 0.02 else None
            self.on_progress(Progress(fraction, left, message, maps))
        self.check()

    def check(self) -> None:
        """Raise `RunCancelled` if the run was told to stop."""
        if self.stop is not None and self.stop.is_set():
            raise RunCancelled("stopped; what was computed so far is in the run folder")

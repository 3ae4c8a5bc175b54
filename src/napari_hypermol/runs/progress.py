"""What a run tells while it works, and where it heeds a request to wait or to stop."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from napari_hypermol.runs.compiling import seconds_compiling
from napari_hypermol.runs.control import Control

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
    row : dict or None
        What a sweep that is over has to say of itself: its stage, log likelihood, ...
    """

    fraction: float
    seconds_left: float | None
    message: str
    maps: Any
    row: dict[str, Any] | None = None


@dataclass
class Reporter:
    """Turns finished work into fractions and times, and heeds requests to wait or to stop.

    Parameters
    ----------
    on_progress : callable or None
        Called with a `Progress`.
    control : Control or None
        A run that was told to stop raises `RunCancelled` at its next report.
    """

    on_progress: Callable[[Progress], None] | None = None
    control: Control | None = None
    total: float = 1.0
    done: float = 0.0
    _started: float = field(default_factory=time.monotonic)
    _says_compiling: bool = False
    _compiled: float = field(default_factory=seconds_compiling)

    def plan(self, total: float) -> None:
        """Set the whole amount of work, in any unit."""
        self.total, self.done, self._started = total, 0.0, time.monotonic()
        self._compiled = seconds_compiling()

    def quiet(self) -> "Reporter":
        """A reporter that tells nobody and heeds the same requests: for work that has no plan."""
        return Reporter(None, self.control)

    def advance(
        self, work: float, message: str, maps: Any = None, row: dict[str, Any] | None = None
    ) -> None:
        """Report that `work` units more are done."""
        self.done = min(self.done + work, self.total)
        if self.on_progress is not None:
            fraction = self.done / self.total if self.total else 1.0
            # compiling, like waiting, is no measure of the work
            elapsed = time.monotonic() - self._started - (seconds_compiling() - self._compiled)
            left = elapsed * (1 - fraction) / fraction if fraction > 0.02 else None
            self.on_progress(Progress(fraction, left, message, maps, row))
            self._says_compiling = False
        self.check()

    def compiling(self) -> None:
        """Tell that what follows takes longer than it ever will again; once between reports."""
        if self.on_progress is not None and not self._says_compiling:
            self._says_compiling = True
            fraction = self.done / self.total if self.total else 1.0
            self.on_progress(Progress(fraction, None, "compiling, in the first run only", None))

    def spare(self, work: float, message: str) -> None:
        """Report that `work` units of the plan need not be done."""
        self.total = max(self.total - work, self.done)
        self.advance(0.0, message)

    def check(self) -> None:
        """Wait while the run is paused; raise `RunCancelled` if it was told to stop."""
        if self.control is not None:
            self._started += self.control.check()  # time spent waiting is no measure of the work

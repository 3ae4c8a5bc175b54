"""Tells a run's folder what the run does, and listens there for requests.

A thread of its own writes the heartbeat, so that a long computation is not taken for a dead one. No
trouble with these files ends a run: they are for those who watch.
"""

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from napari_hypermol.errors import HypermolError, RunCancelled
from napari_hypermol.runs.control import Control
from napari_hypermol.runs.lock import holding
from napari_hypermol.runs.preview import forget_preview, write_preview
from napari_hypermol.runs.progress import Progress
from napari_hypermol.runs.requests import asked, forget
from napari_hypermol.runs.status import RunStatus, this_host, write_status
from napari_hypermol.runs.trace import append_row

__all__ = ["Teller"]

_LOOK = 0.25  # [s] between looks at requests, and at least between two writings of the status
_BEAT = 2.0  # [s] between heartbeats when there is nothing new
_PREVIEW = 2.0  # [s] at least between previews,
_PREVIEW_SHARE = 0.05  # and so long that writing them takes no more than this share of the time


class _Said(NamedTuple):
    """What changes of a status."""

    phase: str
    fraction: float
    seconds_left: float | None
    message: str


class Teller:
    """A run's voice and ear in its folder.

    Parameters
    ----------
    folder : Path
        Need not exist before `begin`.
    control : Control
        Is told what is asked for.
    on_progress : callable or None
        Hears every report as well.

    Notes
    -----
    A context: leaving it notes how the run ended, if it had begun.
    """

    def __init__(
        self,
        folder: Path,
        control: Control,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.folder = folder
        self._control = control
        self._on_progress = on_progress
        self._phase = "starting"
        self._progress = Progress(0.0, None, "starting", None)
        self._started = time.time()
        self._token = uuid.uuid4().hex
        self._ended = threading.Event()
        self._guard = threading.Lock()  # of the status file, which two threads write
        self._written: _Said | None = None
        self._written_at = self._preview_due = 0.0
        self._held = contextlib.ExitStack()
        self._thread = threading.Thread(target=self._listen, name="hypermol-teller", daemon=True)

    def __enter__(self) -> "Teller":
        return self

    def begin(self) -> None:
        """Take hold of the folder, which exists now.

        Raises
        ------
        RunFolderError
            If another process works on it.
        """
        self._held.enter_context(holding(self.folder))
        forget(self.folder)
        self._control.last_words = self._last_words
        self._tell()
        self._thread.start()

    @property
    def has_begun(self) -> bool:
        """Whether there is a folder to tell."""
        return self._thread.ident is not None

    def phase(self, phase: str) -> None:
        """Say what is done from now on: reading, running."""
        self._phase = phase
        if self.has_begun:
            self._tell()

    def report(self, progress: Progress) -> None:
        """Hear a report; sweeps go to the trace, molecules to the preview."""
        self._progress = progress._replace(maps=None)
        if self.has_begun and progress.row is not None:
            with contextlib.suppress(OSError):
                append_row(self.folder, progress.row | {"time": time.time()})
                self._preview(progress.maps, progress.row)
        if self._on_progress is not None:
            self._on_progress(progress)

    def _preview(self, maps: Any, row: dict[str, Any]) -> None:
        began = time.monotonic()
        if maps is None or began < self._preview_due:
            return
        write_preview(self.folder, maps, row)
        taken = time.monotonic() - began
        self._preview_due = began + max(_PREVIEW, taken / _PREVIEW_SHARE)

    def _listen(self) -> None:
        while not self._ended.wait(_LOOK):
            wish = asked(self.folder, self._token)
            if wish == "stop":
                self._control.stop.set()
            elif wish == "pause":
                self._control.pause()
            elif wish == "continue":
                self._control.go_on()
            if self._is_news():
                self._tell()

    def _now(self) -> _Said:
        phase = self._phase
        if self._control.stop.is_set():
            phase = "stopping"
        elif self._control.is_waiting:
            phase = "paused"
        progress = self._progress
        left = None if phase in ("paused", "stopping") else progress.seconds_left
        return _Said(phase, progress.fraction, left, progress.message)

    def _is_news(self) -> bool:
        return self._now() != self._written or time.monotonic() - self._written_at > _BEAT

    def _tell(self, end: _Said | None = None) -> None:
        with self._guard, contextlib.suppress(OSError):
            if self._ended.is_set() and end is None:
                return
            said = end or self._now()
            self._written, self._written_at = said, time.monotonic()
            write_status(
                self.folder,
                RunStatus(
                    phase=said.phase,
                    fraction=said.fraction,
                    seconds_left=said.seconds_left,
                    message=said.message,
                    pid=os.getpid(),
                    host=this_host(),
                    token=self._token,
                    started=self._started,
                    heartbeat=time.time(),
                ),
            )

    def _last_words(self) -> None:
        self._end("stopped", "stopped; what was computed so far is kept")

    def _end(self, phase: str, message: str) -> None:
        self._ended.set()
        fraction = 1.0 if phase == "done" else self._progress.fraction
        self._tell(_Said(phase, fraction, None, message))
        forget(self.folder)
        self._held.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self.has_begun:
            return
        if problem is None:
            with contextlib.suppress(OSError):
                forget_preview(self.folder)
            self._end("done", "done")
        elif isinstance(problem, RunCancelled | KeyboardInterrupt):
            self._last_words()
        elif isinstance(problem, HypermolError | OSError):
            self._end("failed", str(problem))
        else:
            kind_of = type(problem).__name__
            self._end("failed", f"stopped by an error of the program: {kind_of}: {problem}")
        self._thread.join(2 * _LOOK)

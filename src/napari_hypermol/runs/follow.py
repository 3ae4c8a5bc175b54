"""A run seen from outside: look at its folder again and again, be told what is new.

Works the same for a process of this machine, for one on a cluster that shares the file system, and
for a run that ended long ago.
"""

from pathlib import Path
from typing import Any, NamedTuple

from napari_hypermol.errors import HypermolError
from napari_hypermol.runs.launch import Launch
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.preview import NAME as PREVIEW
from napari_hypermol.runs.preview import read_preview
from napari_hypermol.runs.run_facts import is_run_folder
from napari_hypermol.runs.status import read_status, status_sentence, this_host
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.trace import NAME as TRACE
from napari_hypermol.runs.trace import read_trace

__all__ = ["GONE", "Follower", "Look", "missing_particles"]

GONE = "gone"  # the phase of a run whose process died without a word
_LARGE = (
    50e6  # bytes of a particle file that is not opened only to see whether its stacks are there
)


class Look(NamedTuple):
    """What a look at a run has shown.

    Attributes
    ----------
    phase : str
        Of its status, or `GONE`.
    fraction : float
    seconds_left : float or None
    message : str
        A sentence for a person.
    is_over : bool
        No more will come.
    run : Run or None
        The run at a snapshot that was not seen before.
    maps : HyperMaps or None
        A molecule that was not seen before: of `run`, or a preview.
    rows : list of dict or None
        All sweeps, where there are new ones.
    """

    phase: str
    fraction: float
    seconds_left: float | None
    message: str
    is_over: bool
    run: Run | None = None
    maps: HyperMaps | None = None
    rows: list[dict[str, Any]] | None = None


class Follower:
    """Follows one run; `look` may take as long as reading a snapshot does.

    Parameters
    ----------
    folder : Path
    launch : Launch or None
        Its process, where it was started here.
    """

    def __init__(self, folder: Path, launch: Launch | None = None) -> None:
        self.folder = folder
        self.launch = launch
        self._run: Run | None = None
        self._position = 0
        self._seen: dict[str, Any] = {}

    @property
    def run(self) -> Run:
        """The run as it was last seen.

        Raises
        ------
        RunFolderError
            If there is no run folder yet.
        """
        return self._run or Run.open(self.folder)

    def look(self) -> Look:
        """What is new since the last look."""
        is_alive = self.launch is not None and self.launch.is_alive  # before its last words
        look = self._status(is_alive)
        if not is_run_folder(self.folder):
            return look
        run = self._new_run()
        maps = run.maps if run is not None else self._new_preview()
        rows = read_trace(self.folder) if self._is_new(TRACE) else None
        if look.is_over and self.launch is None and (missing := missing_particles(self.run)):
            look = look._replace(message=f"{look.message}. {missing}")
        return look._replace(run=run, maps=maps, rows=rows)

    def _status(self, is_alive: bool) -> Look:
        status, launch = read_status(self.folder), self.launch
        if launch is not None and (status is None or not launch.is_told_by(status.token)):
            if not is_alive and launch.is_stopped:
                said = "stopped before there was anything to keep"
                return Look("stopped", 0.0, None, said, True)
            if not is_alive:
                return Look("failed", 0.0, None, launch.problem, True)
            report = launch.said
            message = report.get("message", "starting: Python and the particle file are read")
            return Look("starting", report.get("fraction", 0.0), None, message, False)
        if status is None:
            return self._untold()
        phase, is_over = status.phase, status.is_over
        if status.is_gone() or (launch is not None and not is_alive and not is_over):
            phase, is_over = GONE, True
        message = status.message
        if phase == GONE:
            message = "the run's process is gone; its last stage is kept; Resume continues it"
        elif status.host != this_host():
            message = status_sentence(status)
        return Look(phase, status.fraction, status.seconds_left, message, is_over)

    def _untold(self) -> Look:
        """A run of a version that told no status, or no run at all."""
        if not is_run_folder(self.folder):
            return Look("failed", 0.0, None, f"{self.folder}: is not a run folder", True)
        is_done = Run.open(self.folder).metrics.get("is_done", False)
        if is_done:
            return Look("done", 1.0, None, "done", True)
        return Look("stopped", 0.0, None, "not finished; Resume continues it", True)

    def _new_run(self) -> Run | None:
        run = Run.open(self.folder)
        positions = run.snapshots()
        is_done = (self.folder / "report.html").is_file()  # the same snapshot, but all is written
        if not positions or (positions[-1], is_done) == self._seen.get("snapshot"):
            return None
        self._seen["snapshot"] = (positions[-1], is_done)
        _ = run.snapshot  # read here, not where it is shown
        self._run, self._position = run, positions[-1]
        return run

    def _new_preview(self) -> HyperMaps | None:
        if not self._is_new(PREVIEW):
            return None
        self._run = self._run or Run.open(self.folder)
        preview = read_preview(self._run)
        if preview is None or preview.position <= self._position:
            return None
        return preview.maps

    def _is_new(self, name: str) -> bool:
        try:
            stat = (self.folder / name).stat()
        except OSError:
            return False
        mark = (stat.st_mtime_ns, stat.st_size)
        is_new = self._seen.get(name) != mark
        self._seen[name] = mark
        return is_new


def missing_particles(run: Run) -> str | None:
    """A sentence where the images that a run was made from are not there; it shows its maps still.

    Parameters
    ----------
    run : Run
    """
    path = Path(run.facts["particles"])
    tail = "; its maps can be seen, but not resumed or checked"
    if not path.is_file():
        return f"{path}: the particle file of this run is not there any more{tail}"
    if path.stat().st_size > _LARGE:
        return None
    try:
        run.read_particles()
    except HypermolError as problem:
        return f"{problem}{tail}"
    return None

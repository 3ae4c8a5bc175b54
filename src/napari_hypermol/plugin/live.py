"""A run beside the window: computed in a thread, told to the main thread, stopped on request.

The sampler works in a plain thread; a napari worker passes on its reports, at least twice a second,
so that the window stays alive and closing it stops the run. Nothing here touches a layer.

A run can stop where it reports: after each chunk of images that is read, and after each sweep.
"""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from napari.qt.threading import GeneratorWorker, create_worker

from napari_hypermol.errors import HypermolError, RunCancelled
from napari_hypermol.plugin.lazy_states import StateMaps
from napari_hypermol.runs.progress import Progress
from napari_hypermol.runs.reconstruct import Job, reconstruct
from napari_hypermol.runs.state_axes import middle_states
from napari_hypermol.runs.store import Run

__all__ = ["LiveRun", "Outcome", "Update", "follow"]

_HEARTBEAT = 0.25  # [s] between looks at the queue; a closing window waits this long
# One run at a time: two would fight for the cores, and the simplest of numba's thread pools ends
# the process when two threads enter it.
_busy = threading.Lock()


class Update(NamedTuple):
    """One report of a run, ready to be shown.

    Attributes
    ----------
    fraction : float
        Of the whole run, in [0, 1].
    seconds_left : float or None
    message : str
    maps : HyperMaps or None
        The molecule so far, where it is new; its first map and contrast limits are computed.
    pixel_size : float or None
        Edge of a voxel of `maps` [Å].
    """

    fraction: float
    seconds_left: float | None
    message: str
    maps: StateMaps | None
    pixel_size: float | None


class Outcome(NamedTuple):
    """How a run ended.

    Attributes
    ----------
    run : Run or None
        The run folder, where it holds a molecule.
    problem : HypermolError or None
        Why it ended early; `RunCancelled` if the user wanted it to.
    seconds : float
    """

    run: Run | None
    problem: HypermolError | None
    seconds: float


class _Thread(threading.Thread):
    """`reconstruct` in a thread of its own; what it says goes into a queue.

    A daemon: a run folder survives being left at any instant, so a closing window need not wait.
    """

    def __init__(self, make_job: Callable[[], Job], stop: threading.Event) -> None:
        super().__init__(name="hypermol-run", daemon=True)
        self._make_job = make_job
        self._stop_event = stop
        self.reports: queue.SimpleQueue[Progress] = queue.SimpleQueue()
        self.job: Job | None = None
        self.result: Run | None = None
        self.problem: BaseException | None = None

    def run(self) -> None:
        """Work until done, stopped or failed."""
        try:
            with _only_run():
                self.job = self._make_job()
                self.result = reconstruct(self.job, self.reports.put, self._stop_event)
        except BaseException as problem:  # every one is raised or shown by `follow`
            self.problem = problem


@contextmanager
def _only_run() -> Iterator[None]:
    """Hold the one place there is for a run in this process."""
    if not _busy.acquire(blocking=False):
        raise HypermolError("another run is at work in this napari; stop it or wait for it")
    try:
        yield
    finally:
        _busy.release()


def follow(
    make_job: Callable[[], Job], stop: threading.Event, states: Callable[[], Any] = lambda: None
) -> Generator[Update | None, None, Outcome]:
    """Run a job in a thread of its own and pass on what it reports.

    Parameters
    ----------
    make_job : callable
        Makes the job, in that thread: reading a large particle file takes a while.
    stop : threading.Event
        Set it to stop the run.
    states : callable
        The state on the screen, or None; its map is computed before it is needed.

    Yields
    ------
    Update or None
        None when there is nothing new, so that a worker can look whether it is wanted.

    Returns
    -------
    Outcome

    Raises
    ------
    Exception
        A bug; what is wrong with the input is in the outcome.
    """
    began = time.monotonic()
    thread = _Thread(make_job, stop)
    thread.start()
    try:
        while thread.is_alive():
            yield _next_update(thread, states)
        yield from _last_updates(thread, states)
    finally:
        stop.set()  # the worker was told to quit, or it is over anyway
    seconds = time.monotonic() - began
    if thread.problem is None:
        return Outcome(thread.result, None, seconds)
    if not isinstance(thread.problem, HypermolError):
        raise thread.problem
    run = _usable_run(thread.job) if isinstance(thread.problem, RunCancelled) else None
    return Outcome(run, thread.problem, seconds)


def _next_update(thread: _Thread, states: Callable[[], Any]) -> Update | None:
    """The newest report, waiting for one as long as a heartbeat; older ones are dropped."""
    try:
        newest = thread.reports.get(timeout=_HEARTBEAT)
    except queue.Empty:
        return None
    maps = newest.maps
    while not thread.reports.empty():
        newest = thread.reports.get()
        maps = newest.maps or maps
    return _prepared(newest._replace(maps=maps), thread, states)


def _last_updates(thread: _Thread, states: Callable[[], Any]) -> list[Update]:
    """What came between the last look and the end."""
    return [] if thread.reports.empty() else [u for u in [_next_update(thread, states)] if u]


def _prepared(progress: Progress, thread: _Thread, states: Callable[[], Any]) -> Update:
    """Compute here, off the main thread, what showing the molecule takes."""
    maps, size = progress.maps, None
    if maps is not None and thread.job is not None:
        wanted = states()
        is_fitting = wanted is not None and len(wanted) == maps.dims
        maps.volume(wanted if is_fitting else middle_states(maps.axes))
        _ = maps.contrast_limits
        size = Run.open(thread.job.out).pixel_size
    return Update(progress.fraction, progress.seconds_left, progress.message, maps, size)


def _usable_run(job: Job | None) -> Run | None:
    """The folder of a stopped run, if its first stage was done."""
    if job is None:
        return None
    try:
        run = Run.open(job.out)
    except HypermolError:
        return None
    return run if run.snapshots() else None


class _Worker(GeneratorWorker):
    """napari's worker, which tells the run itself when it is told to quit."""

    def __init__(
        self, func: Any, make_job: Callable[[], Job], stop: threading.Event, states: Any
    ) -> None:
        super().__init__(func, make_job, stop, states)
        self._stop_event = stop

    def quit(self) -> None:
        """Stop the run and leave it; a closing window calls this."""
        self._stop_event.set()
        super().quit()


class LiveRun:
    """A run that a widget follows; its functions belong to the main thread.

    Parameters
    ----------
    make_job : callable
        Makes the job; called in the run's thread.
    on_update, on_outcome, on_failure : callable
        Bound methods, called in the main thread with an `Update`, with the `Outcome` or with the
        exception of a bug, which napari reports by itself.
    """

    def __init__(
        self,
        make_job: Callable[[], Job],
        on_update: Callable[[Update], None],
        on_outcome: Callable[[Outcome], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self.states: tuple[float, ...] | None = None  # on the screen; the widget keeps it current
        self._stop_event = threading.Event()
        connections = {"yielded": on_update, "returned": on_outcome, "errored": on_failure}
        self._worker = create_worker(
            follow,
            make_job,
            self._stop_event,
            self._wanted_states,
            _worker_class=_Worker,
            _start_thread=False,
            _connect=connections,
        )

    def _wanted_states(self) -> tuple[float, ...] | None:
        return self.states

    def start(self) -> None:
        """Begin; returns at once."""
        self._worker.start()

    def stop(self) -> None:
        """Ask the run to end at its next report; its outcome still comes."""
        self._stop_event.set()

    def leave(self) -> None:
        """Stop the run and hear no more of it: the widget or the window is closing."""
        self._worker.quit()

    @property
    def is_stopping(self) -> bool:
        """Whether the run was asked to end."""
        return self._stop_event.is_set()

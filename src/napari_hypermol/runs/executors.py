"""Where chunks of particles are worked on: in this process, or by the workers of a Dask scheduler.

A function that works on a chunk has never heard of either; results come back in order, so where
they were computed makes no difference. A worker may die at any time: what it held is made again by
others from the files, for a chunk is known by how it is made.
"""

import collections
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any

import dask

from napari_hypermol.errors import DeviceError
from napari_hypermol.protocols import Executor

__all__ = ["DaskExecutor", "InlineExecutor", "executor_at"]

_AHEAD = 4  # chunks in flight for every worker: it never waits, and memory stays bounded
_MERGED = 4  # results summed at once: a shallow tree, and little for one worker to take in
_LOOK = 2.0  # [s] between looks at whether there still are workers
_PATIENCE = 120.0  # [s] without any worker before a run gives up
_STALLED = 300.0  # [s] with the same work under way and none ended: a chunk takes seconds
_QUEUED = 7 * 24 * 3600.0  # [s] a batch system may take to start the first one
_LARGE = "4GiB"  # Dask warns of values that go by the scheduler, as moments do on purpose


class InlineExecutor:
    """One chunk after the other, here."""

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """``function(item)`` for every item, in order."""
        return map(function, items)


@dataclass(frozen=True)
class _Opaque:
    """Keeps Dask from looking into an item, which may hold lazy arrays."""

    function: Callable[[Any], Any]
    item: Any

    def run(self) -> Any:
        return self.function(self.item)


def _run(task: _Opaque) -> Any:
    return task.run()


def _itself(value: Any) -> Any:
    return value


def _summed(*parts: Any) -> Any:
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total


@dataclass(frozen=True)
class DaskExecutor:
    """Chunks on the workers of a Dask scheduler, which must see the same files.

    Parameters
    ----------
    client : distributed.Client
    patience : float
        How long to go on without any worker [s].
    stalled : float
        After how long without anything ended workers are started anew [s]; twice as long the next
        time, in case the work does take so long.
    """

    client: Any
    patience: float = _PATIENCE
    stalled: float = _STALLED

    def n_workers(self) -> int:
        """Workers at this moment."""
        return len(self.client.scheduler_info(n_workers=-1)["workers"])

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """``function(item)`` for every item, in order; a few chunks ahead of what is taken."""
        limit = _AHEAD * max(1, self.n_workers())
        waiting: collections.deque[Any] = collections.deque()
        for item in items:
            waiting.append(self.submit(_run, _Opaque(function, item)))
            if len(waiting) >= limit:
                yield self.result(waiting.popleft())
        while waiting:
            yield self.result(waiting.popleft())

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The future of ``function(*arguments)``, where arguments may be futures."""
        return self.client.submit(function, *arguments, pure=False)

    def share(self, value: Any) -> Any:
        """A future of `value`.

        Not scattered: what is scattered is lost with the workers that have it, and with it all that
        is made from it. So the scheduler keeps it, for as long as the future is.
        """
        return self.submit(_run, _Opaque(_itself, value))

    def total(self, parts: Sequence[Any]) -> Any:
        """The future of the sum of futures of arrays, merged in a tree whose shape is fixed."""
        parts = list(parts)
        while len(parts) > 1:
            groups = [parts[i : i + _MERGED] for i in range(0, len(parts), _MERGED)]
            parts = [self.submit(_summed, *group) if len(group) > 1 else group[0]
                     for group in groups]  # fmt: skip
        return parts[0]

    def results(self, futures: Sequence[Any]) -> list[Any]:
        """What futures hold, in order."""
        for future in futures:  # all of them first: fetched together they cost one conversation
            self._settled(future)
        return list(self.client.gather(list(futures)))

    def result(self, future: Any) -> Any:
        """What a future holds, as soon as it does.

        Raises
        ------
        DeviceError
            If a chunk brings its workers down, or there are none.
        """
        self._settled(future)
        return future.result()

    def _settled(self, future: Any) -> None:
        """Wait for a future, for as long as there are workers."""
        from distributed import KilledWorker, wait

        under_way, since, stalled = None, time.monotonic(), self.stalled
        while not future.done():
            with contextlib.suppress(TimeoutError):
                wait([future], timeout=_LOOK)
                break
            self.wait_for_workers(self.patience)
            now = {worker: keys for worker, keys in self.client.processing().items() if keys}
            if now != under_way:
                under_way, since = now, time.monotonic()
            elif time.monotonic() - since > stalled:
                # seen once in some twenty runs whose workers were killed under load
                self._start_anew(list(now))
                since, stalled = time.monotonic(), 2 * stalled
        if future.status == "error" and isinstance(problem := future.exception(), KilledWorker):
            raise DeviceError(
                "Dask workers died again and again on the same particles, most likely for want of "
                "memory: give each worker more, or start fewer on a machine, and resume the run"
            ) from problem

    def _start_anew(self, workers: list[str]) -> None:
        """Restart workers that stand still, or all; others make what they held."""
        everybody = list(self.client.scheduler_info(n_workers=-1)["workers"])
        with contextlib.suppress(Exception):  # such as workers that nobody watches over
            self.client.restart_workers(workers or everybody, raise_for_error=False)

    def wait_for_workers(self, patience: float) -> None:
        """Until there is one; `DeviceError` if it takes longer than `patience` [s]."""
        began = time.monotonic()
        while not self.n_workers():
            if time.monotonic() - began > patience:
                raise DeviceError(
                    f"the Dask scheduler has had no worker for {patience:.0f} s; start some, and "
                    "resume the run"
                )
            time.sleep(0.2)


@contextlib.contextmanager
def executor_at(where: str | None) -> Iterator[Executor]:
    """The executor at a place; workers that are started for it end with it.

    Parameters
    ----------
    where : str or None
        None: this process. ``local:N``: N processes of this machine. ``slurm:N``: N jobs, as
        dask-jobqueue is configured. ``gpus``: a process for every GPU of this machine. Else the
        address of a scheduler.

    Raises
    ------
    DeviceError
        If no scheduler answers, or none can be started.
    """
    if where is None:
        yield InlineExecutor()
        return
    from distributed import Client

    threshold = {"distributed.admin.large-graph-warning-threshold": _LARGE}
    with dask.config.set(threshold), _cluster(where) as cluster:
        try:
            client = Client(where if cluster is None else cluster, timeout=10)
        except (OSError, ValueError) as problem:
            raise DeviceError(
                f"--scheduler {where}: no Dask scheduler answers there ({problem}); start one with "
                "`dask scheduler` and give its address, such as tcp://host:8786, or let "
                "`--scheduler local:4` start four processes here"
            ) from None
        with client:
            executor = DaskExecutor(client)
            executor.wait_for_workers(_QUEUED if where.startswith("slurm") else _PATIENCE)
            yield executor


def _cluster(where: str) -> contextlib.AbstractContextManager[Any]:
    """A cluster of our own, or None for an address."""
    kind, _, count = where.partition(":")
    if where == "gpus":
        return _one_worker_a_gpu()  # type: ignore[no-any-return]
    if kind not in ("local", "slurm"):
        return contextlib.nullcontext()
    cores = os.cpu_count() or 1
    if count and not (count.isdigit() and int(count) > 0):
        raise DeviceError(f"--scheduler {where}: expected a number of workers, such as {kind}:4")
    n = int(count) if count else cores
    if kind == "local":
        from distributed import LocalCluster

        threads = max(1, cores // n)
        # Ctrl-C ends workers before they tidy up, which Python's own watcher then complains of
        os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
        with _deaf_to_ctrl_c():
            cluster: Any = LocalCluster(
                n_workers=n, threads_per_worker=1, dashboard_address=":0",
                silence_logs=logging.CRITICAL,  # one that dies is our business, and said if it is
                env={"NUMBA_NUM_THREADS": str(threads)},
            )  # fmt: skip
        return cluster  # type: ignore[no-any-return]
    try:
        from dask_jobqueue import SLURMCluster

        cluster = SLURMCluster()
    except ImportError:
        raise DeviceError(
            f"--scheduler {where}: dask-jobqueue is not installed; install napari-hypermol[cluster]"
        ) from None
    except (ValueError, RuntimeError) as problem:
        raise DeviceError(
            f"--scheduler {where}: {problem}; cores and memory of a job are set in "
            "~/.config/dask/jobqueue.yaml"
        ) from None
    cluster.scale(jobs=n)
    return cluster  # type: ignore[no-any-return]


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Threads begun in here, and all processes that they ever start, do not hear SIGINT.

    It goes to every process of a terminal; workers are to be ended by the run, which hears it too.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # begun by the first process otherwise, whose thread hears SIGINT from then on
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _one_worker_a_gpu() -> Any:
    try:
        from dask_cuda import LocalCUDACluster
    except ImportError:
        raise DeviceError(
            "--scheduler gpus: dask-cuda is not installed; install napari-hypermol[cluster]"
        ) from None
    with _deaf_to_ctrl_c():
        return LocalCUDACluster(dashboard_address=":0")

"""Where chunks of particles are worked on: in this process, or by the workers of a Dask scheduler.

A function that works on a chunk has never heard of either; results come back in order, so where
they were computed makes no difference.
"""

import collections
import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from napari_hypermol.errors import DeviceError
from napari_hypermol.protocols import Executor

__all__ = ["DaskExecutor", "InlineExecutor", "executor_at"]

_AHEAD = 4  # chunks in flight for every worker: it never waits, and memory stays bounded


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


@dataclass(frozen=True)
class DaskExecutor:
    """Chunks on the workers of a Dask scheduler, which must see the same files.

    Parameters
    ----------
    client : distributed.Client
    """

    client: Any

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """``function(item)`` for every item, in order; a few chunks ahead of what is taken."""
        limit = _AHEAD * max(1, len(self.client.scheduler_info()["workers"]))
        waiting: collections.deque[Any] = collections.deque()
        for item in items:
            waiting.append(self.client.submit(_run, _Opaque(function, item), pure=False))
            if len(waiting) >= limit:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextlib.contextmanager
def executor_at(address: str | None) -> Iterator[Executor]:
    """The executor at a scheduler's address, this process for None.

    Raises
    ------
    DeviceError
        If no scheduler answers there.
    """
    if address is None:
        yield InlineExecutor()
        return
    from distributed import Client

    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as problem:
        raise DeviceError(
            f"--scheduler {address}: no Dask scheduler answers there ({problem}); start one with "
            "`dask scheduler` and give its address, such as tcp://host:8786"
        ) from None
    with client:
        yield DaskExecutor(client)

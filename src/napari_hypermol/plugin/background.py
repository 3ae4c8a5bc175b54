"""Work of one page off the main thread, one thing after the other.

One after the other, because two threads must not both enter numba's loops; and of the same kind of
work only the latest that was asked for, so that a marker that is dragged leaves no queue behind.
"""

from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker

from napari_hypermol.errors import HypermolError

__all__ = ["Background"]


class _Work:
    def __init__(self, function: Any, args: Any, then: Any, failed: Any) -> None:
        self.function, self.args, self.then, self.failed = function, args, then, failed


def _outcome(work: _Work) -> tuple[Any, str]:
    """What came of it, or the sentence that says why nothing did."""
    try:
        return work.function(*work.args), ""
    except (HypermolError, OSError, MemoryError) as problem:
        return None, str(problem) or type(problem).__name__


class Background:
    """A queue of work; its functions belong to the main thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Work] = {}
        self._now: _Work | None = None
        self._is_gone = False

    @property
    def is_busy(self) -> bool:
        """Whether anything is at work or waits for it."""
        return self._now is not None or bool(self._waiting)

    def do(
        self,
        kind: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        then: Callable[[Any], None],
        failed: Callable[[str], None],
    ) -> None:
        """Call a function later, in a thread.

        Parameters
        ----------
        kind : str
            Work of the same kind that has not begun is forgotten.
        function : callable
            Touches neither layers nor widgets.
        args : tuple
        then, failed : callable
            Bound methods, called in the main thread with the result, or with what is wrong.
        """
        self._waiting.pop(kind, None)
        self._waiting[kind] = _Work(function, args, then, failed)
        self._next()

    def _next(self) -> None:
        if self._now is not None or not self._waiting or self._is_gone:
            return
        self._now = self._waiting.pop(next(iter(self._waiting)))
        connections = {"returned": self._on_returned, "errored": self._on_errored}
        create_worker(_outcome, self._now, _connect=connections)

    def _on_returned(self, outcome: tuple[Any, str]) -> None:
        work, self._now = self._now, None
        if self._is_gone or work is None:
            return
        result, problem = outcome
        if problem:
            work.failed(problem)
        else:
            work.then(result)
        self._next()

    def _on_errored(self, problem: Exception) -> None:
        """A bug, which napari reports by itself."""
        self._now = None
        self._next()

    def let_go(self) -> None:
        """Forget all: the page is closing."""
        self._is_gone = True
        self._waiting.clear()

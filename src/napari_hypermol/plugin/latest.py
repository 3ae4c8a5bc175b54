"""One question at a time to a worker, and only the newest answer: sliders ask faster than it reads.

Bad input comes back as an answer too, so that the window can put it in its own words.
"""

from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker

from napari_hypermol.errors import HypermolError

__all__ = ["Latest"]


class Latest:
    """Calls functions in a worker, one after the other; waiting questions give way to newer ones.

    Parameters
    ----------
    on_answer : callable
        Given what the function returned, in the main thread.
    on_problem : callable
        Given the `HypermolError` or `OSError` it raised.
    owner : QObject, optional
        No answers once it is gone, as when the viewer closes.
    """

    def __init__(
        self,
        on_answer: Callable[[Any], None],
        on_problem: Callable[[Exception], None],
        owner: Any = None,
    ) -> None:
        if owner is not None:
            owner.destroyed.connect(self.let_go)
        self._on_answer: Callable[[Any], None] | None = on_answer
        self._on_problem = on_problem
        self._waiting: tuple[Any, ...] | None = None
        self._worker: Any = None

    @property
    def is_busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._worker is not None

    def ask(self, function: Callable[..., Any], *values: Any) -> None:
        """Call ``function(*values)``, after the call that is under way and instead of others."""
        self._waiting = (function, *values)
        if self._worker is None:
            self._start()

    def let_go(self, *_: Any) -> None:
        """No answers any more."""
        self._on_answer = self._waiting = None

    def _start(self) -> None:
        waiting, self._waiting = self._waiting, None
        self._worker = create_worker(_answer, waiting, _start_thread=False)
        self._worker.returned.connect(self._on_returned)
        self._worker.errored.connect(self._on_errored)
        self._worker.start()

    def _on_errored(self, problem: Exception) -> None:
        # a mistake of ours, which napari reports; the next question has its turn
        self._on_returned((None, problem))

    def _on_returned(self, answer: tuple[Any, Exception | None]) -> None:
        self._worker = None
        if self._on_answer is None:
            return
        value, problem = answer
        if self._waiting is not None:
            self._start()
        elif problem is None:
            self._on_answer(value)
        else:
            self._on_problem(problem)


def _answer(question: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    function, *values = question
    try:
        return function(*values), None
    except (HypermolError, OSError) as problem:
        return None, problem

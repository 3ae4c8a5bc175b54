"""How long this process has been compiling, which its first run does and no later one.

Minutes on a slow machine: no measure of the work that is left, and something to be told.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from numba.core import event

__all__ = ["seconds_compiling", "telling_of_compilation"]


class _Clock(event.Listener):  # type: ignore[misc]
    """Adds up what compilers take; functions that others call are compiled within those."""

    def __init__(self) -> None:
        self.depth, self.began, self.seconds = 0, 0.0, 0.0
        self.told: list[Callable[[], None]] = []

    def on_start(self, event: event.Event) -> None:
        if self.depth == 0:
            self.began = time.monotonic()
        self.depth += 1
        if self.depth == 1:
            for tell in self.told:
                tell()

    def on_end(self, event: event.Event) -> None:
        self.depth -= 1
        if self.depth == 0:
            self.seconds += time.monotonic() - self.began


_CLOCK = _Clock()
event.register("numba:compile", _CLOCK)


def seconds_compiling() -> float:
    """Of this process until now."""
    under_way = time.monotonic() - _CLOCK.began if _CLOCK.depth else 0.0
    return _CLOCK.seconds + under_way


@contextlib.contextmanager
def telling_of_compilation(tell: Callable[[], None]) -> Iterator[None]:
    """Have `tell` called whenever something is about to be compiled; not for what is loaded."""
    _CLOCK.told.append(tell)
    try:
        yield
    finally:
        _CLOCK.told.remove(tell)

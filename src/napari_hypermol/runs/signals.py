"""SIGINT and SIGTERM stop a run, within a second and with everything saved.

Python runs its signal handlers between two steps of the main thread, and one step of ours may be
a computation of minutes. So a thread is woken by the signal itself, and ends the process where the
run has not come to a report in time: a run folder survives being left at any instant.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from napari_hypermol.runs.control import Control

__all__ = ["INTERRUPTED", "leave", "stopping_on_signals"]

INTERRUPTED = 128 + 2  # the shells' exit code after SIGINT; of runs stopped by request as well
_GRACE = 0.5  # [s] for a run to come to its next report
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_KEPT = "stopped; what was computed so far is kept, --resume goes on from there"


@contextlib.contextmanager
def stopping_on_signals(control: Control) -> Iterator[Callable[[], int]]:
    """Stop the run of this process on SIGINT, SIGTERM, or when `control` is told to.

    For the main thread of a process that has nothing else to do: it ends, if need be from another
    thread, with exit code 128 plus the number of the signal.

    Parameters
    ----------
    control : Control
        Of the run that is called inside.

    Yields
    ------
    callable
        The exit code of a run that was stopped, for `leave`.
    """
    codes = [INTERRUPTED]
    finished = threading.Event()

    def on_signal(number: int, frame: FrameType | None = None) -> None:
        if not control.stop.is_set():
            codes[0] = 128 + number
        control.stop.set()

    def listen() -> None:
        with inside:
            while data := inside.recv(1):
                on_signal(data[0])

    def leave_in_time() -> None:
        control.stop.wait()
        if finished.wait(_GRACE):
            return
        with control.writing:  # a snapshot is finished first
            control.last_words()
            leave(codes[0])

    inside, outside = socket.socketpair()
    outside.setblocking(False)
    former = [signal.signal(number, on_signal) for number in _SIGNALS]
    wakeup = signal.set_wakeup_fd(outside.fileno(), warn_on_full_buffer=False)
    for target in (listen, leave_in_time):
        threading.Thread(target=target, name=f"hypermol-{target.__name__}", daemon=True).start()
    try:
        yield lambda: codes[0]
    finally:
        finished.set()
        control.stop.set()  # the threads have nothing left to do
        signal.set_wakeup_fd(wakeup)
        for number, handler in zip(_SIGNALS, former, strict=True):
            signal.signal(number, handler)
        outside.close()


def leave(code: int) -> None:
    """End the process at once; everything is saved, and tearing Python down takes a second."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        print(f"\n{_KEPT}", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(code)

"""What a run says of itself in its folder, ``status.json``, and whether it is still alive.

Written by `runs.teller` while the run works; read by whoever follows it, on this machine or on
another one that sees the same files.
"""

import json
import socket
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import psutil

from napari_hypermol.io.replacing import replace_text

__all__ = [
    "OVER",
    "RunStatus",
    "process_is_there",
    "read_status",
    "status_sentence",
    "this_host",
    "write_status",
]

NAME = "status.json"
OVER = ("done", "failed", "stopped")
# Heartbeats come every 2 s; shared file systems show them up to half a minute late.
SILENCE = 60.0
_SAME_START = 2.0  # [s] within which a process is the one that wrote: process ids are used again


@dataclass(frozen=True)
class RunStatus:
    """One look at a run.

    Attributes
    ----------
    phase : str
        starting, reading, running, paused, stopping, done, failed or stopped.
    fraction : float
        Of the whole run, in [0, 1].
    seconds_left : float or None
    message : str
        A line for a person; of a failed run, its sentence.
    pid : int
    host : str
    token : str
        Of this attempt at the run; requests name it, so that none outlives it.
    started, heartbeat : float
        Seconds since 1970.
    """

    phase: str
    fraction: float
    seconds_left: float | None
    message: str
    pid: int
    host: str
    token: str
    started: float
    heartbeat: float

    @property
    def is_over(self) -> bool:
        """Whether the run says that it has ended."""
        return self.phase in OVER

    def is_gone(self, now: float | None = None) -> bool:
        """Whether the run's process died without saying so."""
        if self.is_over:
            return False
        if self.host == this_host():
            return not process_is_there(self.pid, self.started)
        return (time.time() if now is None else now) - self.heartbeat > SILENCE


def this_host() -> str:
    """Name of this machine."""
    return socket.gethostname()


def process_is_there(pid: int, since: float) -> bool:
    """Whether a process of this machine is alive that has been so at that time [s since 1970]."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return bool(process.create_time() <= since + _SAME_START)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def write_status(folder: Path, status: RunStatus) -> None:
    """Replace the folder's status in one step."""
    replace_text(folder / NAME, json.dumps(asdict(status)) + "\n")


def read_status(folder: Path) -> RunStatus | None:
    """The folder's status; None where there is none that can be read, as in older runs."""
    try:
        values: Any = json.loads((folder / NAME).read_text(encoding="utf-8"))
        status = RunStatus(**{field.name: values[field.name] for field in fields(RunStatus)})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    words = (status.phase, status.message, status.host, status.token)
    numbers = (status.fraction, status.started, status.heartbeat, status.seconds_left or 0)
    is_sound = (
        all(isinstance(word, str) for word in words)
        and all(type(number) in (int, float) and abs(number) < 1e12 for number in numbers)
        and type(status.pid) is int
        and 0 <= status.pid < 2**31
    )
    return status if is_sound else None


def status_sentence(status: RunStatus, now: float | None = None) -> str:
    """What a person wants to know of a run, in a line."""
    if status.is_gone(now):
        return "the run's process is gone; its last stage is kept; Resume continues it"
    where = "" if status.host == this_host() else f" on {status.host}"
    if status.is_over:
        return status.message
    words = {"paused": "paused", "stopping": "stopping"}.get(status.phase, "at work")
    return f"{words}{where}: {status.message}"

"""One process a run folder: who works on it, and what to say to the second.

The lock is a file that only one process can make. It names the process and its machine, so that
one that died is seen through.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from napari_hypermol.errors import RunFolderError
from napari_hypermol.runs.status import SILENCE, process_is_there, read_status, this_host

__all__ = ["Holder", "check_free", "holder_of", "holding"]

NAME = "run.lock"


@dataclass(frozen=True)
class Holder:
    """Who works on a run folder, since when [s since 1970]."""

    pid: int
    host: str
    since: float


def holder_of(folder: Path) -> Holder | None:
    """Who works on a folder; None where nobody does, or no longer."""
    path = folder / NAME
    try:
        age = time.time() - path.stat().st_mtime
        holder = Holder(**json.loads(path.read_text(encoding="utf-8")))
        if not (type(holder.pid) is int and 0 < holder.pid < 2**31 and 0 < holder.since < 1e12):
            raise ValueError("no process")
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, RecursionError):
        # made and not written yet, or by a full disk never
        return Holder(0, "an unknown machine", time.time()) if age < SILENCE else None
    if holder.host == this_host():
        return holder if process_is_there(holder.pid, holder.since) else None
    status = read_status(folder)
    beat = holder.since if status is None else max(status.heartbeat, holder.since)
    return holder if time.time() - beat <= SILENCE else None


def check_free(folder: Path) -> None:
    """Refuse to touch a folder that somebody works on.

    Raises
    ------
    RunFolderError
    """
    holder = holder_of(folder)
    if holder is not None:
        raise RunFolderError(
            f"{folder}: process {holder.pid} on {holder.host} works on it already; follow that "
            "run, stop it, or choose another folder"
        )


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Work on a folder alone.

    Raises
    ------
    RunFolderError
        If somebody else does.
    """
    path = folder / NAME
    mine = Holder(os.getpid(), this_host(), time.time())
    check_free(folder)
    path.unlink(missing_ok=True)  # of a process that is gone
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(asdict(mine)))
    except FileExistsError:  # two began at one instant
        check_free(folder)
        raise
    try:
        yield
    finally:
        path.unlink(missing_ok=True)

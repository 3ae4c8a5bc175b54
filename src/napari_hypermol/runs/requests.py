"""Pause, continue, stop: asked of a run through its folder, from any machine that sees it.

A request names the attempt at the run that it is meant for, so that one that came too late is not
taken for one to the next attempt.
"""

import contextlib
import json
from pathlib import Path

from napari_hypermol.errors import RunFolderError
from napari_hypermol.io.replacing import replace_text
from napari_hypermol.runs.status import RunStatus, read_status, status_sentence

__all__ = ["WISHES", "ask", "asked", "forget"]

NAME = "request.json"
WISHES = ("pause", "continue", "stop")


def ask(folder: Path, wish: str) -> RunStatus:
    """Ask the run of a folder to pause, to continue or to stop.

    Parameters
    ----------
    folder : Path
    wish : {'pause', 'continue', 'stop'}

    Returns
    -------
    RunStatus
        As it is before the run has heard of it, a fraction of a second later.

    Raises
    ------
    RunFolderError
        If no run is at work there.
    """
    if wish not in WISHES:
        raise ValueError(f"{wish!r}: expected one of {WISHES}")
    status = read_status(folder)
    if status is None:
        raise RunFolderError(f"{folder}: no run has told its status there; is it a run folder?")
    if status.is_over or status.is_gone():
        raise RunFolderError(
            f"{folder}: there is no run at work to {wish} ({status_sentence(status)})"
        )
    replace_text(folder / NAME, json.dumps({"wish": wish, "of": status.token}) + "\n")
    return status


def asked(folder: Path, token: str) -> str | None:
    """What this attempt at a run is asked for now; None for nothing."""
    try:
        request = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return str(request["wish"]) if request["of"] == token else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget(folder: Path) -> None:
    """Remove a request that was heeded, or that came too late."""
    with contextlib.suppress(OSError):
        (folder / NAME).unlink(missing_ok=True)

"""A run started as a process of its own, which outlives whoever started it.

What it says before it has a folder is caught here: how far it is with reading the images, and the
sentence of an input that is refused. No pipe, which would end the run with its reader.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from napari_hypermol.errors import HypermolError
from napari_hypermol.runs.requests import ask
from napari_hypermol.runs.status import read_status
from napari_hypermol.runs.store import Run

__all__ = ["Launch", "Order", "with_absolute_masks"]

_LOW_PRIORITY = 10  # of 19
if sys.platform == "win32":
    _LOW_PRIORITY = psutil.BELOW_NORMAL_PRIORITY_CLASS


@dataclass(frozen=True)
class Order:
    """What to run.

    Attributes
    ----------
    out : Path
        Run folder: to be made, or to be resumed.
    particles : Path or None
        None to resume.
    draft : mapping or None
        Recipe as its YAML file has it; None or empty for one ball with one state.
    folder : Path or None
        Where the draft's relative paths start.
    seed : int or None
    """

    out: Path
    particles: Path | None = None
    draft: Mapping[str, Any] | None = None
    folder: Path | None = None
    seed: int | None = None

    @property
    def is_resumed(self) -> bool:
        """Whether the folder is there and goes on."""
        return self.particles is None


def with_absolute_masks(draft: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A draft whose mask files are found from anywhere; what is not a path is left as it is."""

    def absolute(value: Any, key: str = "") -> Any:
        if isinstance(value, Mapping):
            return {name: absolute(part, name) for name, part in value.items()}
        if key in ("mask", "solvent_mask") and isinstance(value, str):
            return str(folder / Path(value).expanduser())
        return value

    return {name: absolute(part, name) for name, part in draft.items()}


def _step_back(pid: int) -> None:
    """Let windows and what draws them come first: a run takes what they leave, nearly all there is.

    Linux weighs sessions against one another where it groups processes by them, and priorities
    inside a session only; a run is a session of its own.
    """
    with contextlib.suppress(psutil.Error, OSError):
        psutil.Process(pid).nice(_LOW_PRIORITY)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(f"{_LOW_PRIORITY}")


class Launch:
    """A run of this machine, in a process of its own.

    Parameters
    ----------
    order : Order

    Raises
    ------
    RunFolderError
        If there is no run to resume.
    """

    def __init__(self, order: Order) -> None:
        self.folder = order.out
        self.is_stopped = False  # by us
        status = read_status(order.out)
        self._former = None if status is None else status.token  # of the attempt to be resumed
        self._desk = Path(tempfile.mkdtemp(prefix="hypermol-"))
        command = [sys.executable, "-m", "napari_hypermol", "reconstruct"]
        if order.particles is not None:
            command.append(str(order.particles))
        command += ["--out", str(order.out), "--lines"]
        if order.is_resumed:
            # by the folder's own recipe and seed; the command wants the particles named
            command[4:4] = [str(Run.open(order.out).facts["particles"])]
            command.append("--resume")
        if order.draft:
            command += ["--recipe", str(self._recipe(order))]
        if order.seed is not None:
            command += ["--seed", str(order.seed)]
        apart: dict[str, Any] = {"start_new_session": True}  # a Ctrl-C in our terminal is not its
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, **apart
            )
        _step_back(self._process.pid)

    @property
    def _out(self) -> Path:
        return self._desk / "out.txt"

    @property
    def _err(self) -> Path:
        return self._desk / "err.txt"

    def _recipe(self, order: Order) -> Path:
        draft = with_absolute_masks(order.draft or {}, order.folder or Path.cwd())
        path = self._desk / "recipe.yaml"
        path.write_text(yaml.safe_dump(draft, sort_keys=False), encoding="utf-8")
        return path

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def is_told_by(self, token: str) -> bool:
        """Whether a status is this attempt's, not that of the one before it."""
        return token != self._former

    @property
    def said(self) -> dict[str, Any]:
        """The latest report on its output; empty before the first."""
        try:
            lines = self._out.read_text(encoding="utf-8", errors="replace").splitlines()
            report: dict[str, Any] = json.loads(lines[-1])
            return report
        except (OSError, ValueError, IndexError):
            return {}

    @property
    def problem(self) -> str:
        """The sentence it ended with, or what is left of one."""
        try:
            lines = self._err.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            lines = []
        own = [line for line in lines if line.startswith("hypermol: ") and ": note: " not in line]
        if own:
            return own[-1].removeprefix("hypermol: ")
        last = f": {lines[-1]}" if lines else ""
        return f"the run's process ended with code {self._process.returncode}{last}"

    def stop(self) -> None:
        """Stop the run; what is done is kept."""
        self.is_stopped = True
        try:
            status = read_status(self.folder)
            if status is None or not self.is_told_by(status.token):
                raise HypermolError("no folder yet, so nothing to keep")
            ask(self.folder, "stop")
        except HypermolError:
            self._process.terminate()

    def stop_now(self) -> None:
        """As `stop`, by a signal where there are signals: its process ends within a second."""
        if sys.platform == "win32":
            self.stop()
        else:
            self.is_stopped = True
            self._process.terminate()

    def tidy(self) -> None:
        """Remove what the process said; it may go on."""
        with contextlib.suppress(OSError):
            shutil.rmtree(self._desk, ignore_errors=os.name == "nt")

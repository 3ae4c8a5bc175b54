"""A run between two snapshots: what its next sweep begins from, in ``halfway.npz``.

A snapshot is written after a stage; a stage may take hours. What is kept here in between is one
file, replaced in one step, so that there is always one that is whole. It holds all that the next
sweep depends on, the state of its random generator too: a run that was killed at any instant goes
on from it as if nothing had happened.
"""

import json
import os
import time
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import RunFolderError
from napari_hypermol.io.admission import admit_size
from napari_hypermol.io.replacing import sync_folder

__all__ = ["Halfway", "Keeper", "forget_halfway", "generator_at", "read_halfway", "write_halfway"]

NAME = "halfway.npz"
_SHARE = 0.05  # of the time, at most, goes into writing; on a slow disk that means less often


class Halfway(NamedTuple):
    """Where a run stands.

    Attributes
    ----------
    place : str
        What it was doing: "poses", "stage" or "draws".
    facts : dict
        Numbers and words, as JSON has them.
    arrays : dict of str to ndarray
        All else.
    """

    place: str
    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def generator_at(facts: dict[str, Any]) -> np.random.Generator:
    """A random generator that goes on where that of ``facts["random"]`` stood."""
    bits = np.random.PCG64()
    bits.state = facts["random"]
    return np.random.Generator(bits)


def write_halfway(folder: Path, halfway: Halfway) -> None:
    """Replace the file in one step; it is on the disk when this returns."""
    temporary = folder / f".{NAME}.{os.getpid()}"
    about = json.dumps({"place": halfway.place, "facts": halfway.facts}, default=float)
    try:
        with temporary.open("wb") as file:
            arrays: dict[str, Any] = {"about": np.array(about), **halfway.arrays}
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / NAME)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(folder)


def read_halfway(folder: Path) -> Halfway | None:
    """What was kept last; None where there is nothing, or nothing that can be read."""
    path = folder / NAME
    try:
        if path.is_symlink() or not path.is_file():
            return None
        with zipfile.ZipFile(path) as packed:
            wanted = sum(item.file_size for item in packed.infolist())
        admit_size(path, path.stat().st_size, wanted, RunFolderError)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays.pop("about")))
        return Halfway(str(about["place"]), dict(about["facts"]), arrays)
    except Exception:  # whatever is wrong with it, the last snapshot is there
        return None


def forget_halfway(folder: Path) -> None:
    """Remove the file of a run that is done."""
    (folder / NAME).unlink(missing_ok=True)


class Keeper:
    """Keeps where a run stands, every so often.

    Parameters
    ----------
    folder : Path
    every : float
        At least so many seconds lie between two writings, by a clock that never jumps; 0 writes
        after every sweep.
    is_resumed : bool
        Whether what lies in the folder is to be gone on from.
    writing : lock or None
        Held while the file is written.
    on_trouble : callable
        Told in a sentence that it could not be written; the run goes on and tries again.
    """

    def __init__(
        self,
        folder: Path,
        every: float = 60.0,
        is_resumed: bool = False,
        writing: AbstractContextManager[Any] | None = None,
        on_trouble: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self.folder, self.every = folder, every
        self.found = read_halfway(folder) if is_resumed else None
        self._writing = writing or nullcontext()
        self._on_trouble = on_trouble
        self._make: Callable[[], Halfway] | None = None
        self._due = time.monotonic() + every

    def begun(self, place: str, **facts: Any) -> Halfway | None:
        """Where a part of the run stood when it was interrupted; None if it has not begun."""
        found = self.found
        if found is None or found.place != place:
            return None
        is_it = all(found.facts.get(name) == value for name, value in facts.items())
        return found if is_it else None

    def offer(self, make: Callable[[], Halfway]) -> None:
        """Between two sweeps: write where the run stands if it is time, else remember it."""
        self._make = make
        if time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Write what was offered last, if it was not written."""
        if self._make is None:
            return
        began = time.monotonic()
        try:
            with self._writing:
                write_halfway(self.folder, self._make())
            self._make = None
        except OSError as problem:
            self._on_trouble(
                f"{self.folder / NAME}: could not be written ({problem.strerror}); the run goes "
                "on, and the last one that was written is kept"
            )
        taken = time.monotonic() - began
        self._due = began + (max(self.every, taken / _SHARE) if self.every else 0.0)

    def forget(self) -> None:
        """Nothing offered so far is of use any more: a snapshot says more."""
        self._make = None

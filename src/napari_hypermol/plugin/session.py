"""What one viewer works on: particles, a recipe in the making, a run. No Qt.

Every page of the studio shows and sets this one object and hears of what the others did; two
viewers in one process have two.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_hypermol.io.particle_file import ParticleFile
from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.recipe_text import recipe_from
from napari_hypermol.runs.run_particles import open_particles
from napari_hypermol.runs.store import Run

__all__ = ["Session", "session_of"]


class Session:
    """What one viewer works on.

    Attributes
    ----------
    particles : str
        STAR or .cs file; empty for none.
    draft : dict
        The recipe as its YAML file would have it, unchecked: a form is wrong while it is filled in.
    folder : Path
        Where the draft's relative paths start.
    run : Run or None
        The run on the screen, opened at its latest snapshot.
    selection : (n,) bool array or None
        Particles chosen, in the order of the file; None for no choice.

    Notes
    -----
    Signals: `particles_changed` (path), `draft_changed` (draft), `run_changed` (run or
    None: another folder), `run_updated` (run: the same folder, at a newer snapshot),
    `selection_changed` (mask or None). They come in the thread that sets; widgets set from the
    main thread.
    """

    particles_changed = Signal(str)
    draft_changed = Signal(dict)
    run_changed = Signal(object)
    run_updated = Signal(object)
    selection_changed = Signal(object)

    def __init__(self) -> None:
        self._particles = ""
        self._file: ParticleFile | None = None
        self._draft: dict[str, Any] = {}
        self._loaded: dict[str, Any] = {}
        self.folder = Path.cwd()
        self._run: Run | None = None
        self._selection: NDArray[np.bool_] | None = None

    @property
    def particles(self) -> str:
        """The particle file; empty for none."""
        return self._particles

    @particles.setter
    def particles(self, path: str) -> None:
        if path != self._particles:
            self.selection = None
            self._particles, self._file = path, None
            self.particles_changed.emit(path)

    def particle_file(self) -> ParticleFile:
        """The particles, opened once.

        Raises
        ------
        HypermolError
            If there are none, or they cannot be read.
        """
        if self._file is None:
            self._file = open_particles(Path(self._particles).expanduser())
        return self._file

    def file_if_read(self) -> ParticleFile | None:
        """The particles, if that takes no reading."""
        return self._file

    def take(self, file: ParticleFile) -> None:
        """Work on particles that were read elsewhere, in a worker or by napari's reader."""
        if self._particles and _place(self._particles) == _place(file.path):
            self._file = file
            return
        self.selection = None
        self._particles, self._file = str(file.path), file
        self.particles_changed.emit(self._particles)

    @property
    def draft(self) -> dict[str, Any]:
        """The recipe in the making; change it through `put`."""
        return self._draft

    def put(self, **sections: Any) -> None:
        """Replace sections of the draft (`components`, `priors`, ...); None takes one out."""
        draft = {**self._draft, **sections}
        self._replace({name: value for name, value in draft.items() if value is not None})

    def load(self, draft: Mapping[str, Any], folder: Path) -> None:
        """Replace the whole draft, as when a YAML file is opened."""
        self.folder = folder
        self._loaded = dict(draft)
        self._replace(dict(draft))

    @property
    def is_changed(self) -> bool:
        """Whether the draft differs from what was loaded last."""
        return self._draft != self._loaded

    def _replace(self, draft: dict[str, Any]) -> None:
        if draft != self._draft:
            self._draft = draft
            self.draft_changed.emit(draft)

    def recipe(self) -> Recipe:
        """The draft, checked.

        Raises
        ------
        RecipeError
            With the key and what is expected there.
        """
        return recipe_from(self._draft)

    @property
    def run(self) -> Run | None:
        """The run on the screen."""
        return self._run

    @run.setter
    def run(self, run: Run | None) -> None:
        is_same = run is not None and self._run is not None and run.path == self._run.path
        if not is_same:
            self.selection = None
        self._run = run
        (self.run_updated if is_same else self.run_changed).emit(run)

    @property
    def selection(self) -> NDArray[np.bool_] | None:
        """The particles chosen."""
        return self._selection

    @selection.setter
    def selection(self, mask: NDArray[np.bool_] | None) -> None:
        if mask is not None or self._selection is not None:
            self._selection = mask
            self.selection_changed.emit(mask)


def _place(path: str | Path) -> Path:
    return Path(path).expanduser().resolve()


_sessions: "WeakKeyDictionary[Any, Session]" = WeakKeyDictionary()


def session_of(viewer: Any) -> Session:
    """The session of a viewer, made when first asked for; it goes with the viewer."""
    # napari hands plugins a new proxy each time; what it wraps is the viewer
    return _sessions.setdefault(getattr(viewer, "__wrapped__", viewer), Session())

"""What napari asks when files or folders are opened: are they ours, and which layers do they make.

A file that is not ours is declined without an error, so that other plugins get their turn. One that
is ours and cannot be used ends in a sentence for the user, not in a traceback.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from napari.utils.notifications import show_error

from napari_hypermol.errors import HypermolError
from napari_hypermol.io.mrc import is_stack, read_volume
from napari_hypermol.io.mrc_header import read_header
from napari_hypermol.io.particle_file import is_particle_file
from napari_hypermol.plugin.layers import (
    LayerData,
    particles_layer,
    run_layer,
    stack_layer,
    volume_layer,
)
from napari_hypermol.plugin.preferences import preferences
from napari_hypermol.runs.run_facts import is_run_folder
from napari_hypermol.runs.run_particles import open_particles
from napari_hypermol.runs.store import Run

__all__ = ["get_reader", "layers_of"]

Paths = str | Path | Sequence[str | Path]

PARTICLES = (".star", ".cs")
MRC = (".mrc", ".mrcs", ".map")
COMPRESSED = (".gz", ".bz2")
NOTHING = [(None,)]  # what napari takes for "read, but no layer came of it"


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """The reader of `path`, or None if any of it is not ours; never raises."""
    try:
        is_ours = all(_is_ours(one) for one in _listed(path))
    except (HypermolError, OSError, ValueError):
        return None
    return _read if is_ours else None


def layers_of(path: str | Path, steps: int) -> list[LayerData]:
    """The layers of one file or run folder.

    Parameters
    ----------
    path : path
        STAR, .cs, MRC volume or stack, run folder or the run.json in it.
    steps : int
        Stops of each state's slider.

    Returns
    -------
    list of (data, attributes, type)

    Raises
    ------
    HypermolError
        With the file, what is wrong with it and what to do.
    """
    path = Path(path)
    if path.name == "run.json":
        path = path.parent
    if path.is_dir():
        return [run_layer(Run.open(path), steps)]
    if path.suffix.lower() in PARTICLES:
        return [particles_layer(open_particles(path))]
    if is_stack(path):
        return [stack_layer(path)]
    return [volume_layer(read_volume(path), path)]


def _listed(path: Paths) -> list[Path]:
    return [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]


def _is_ours(path: Path) -> bool:
    """Whether the beginning of a file says that we can read it."""
    if path.is_dir():
        return is_run_folder(path)
    if path.name == "run.json":
        return is_run_folder(path.parent)
    if path.suffix.lower() in PARTICLES:
        return is_particle_file(path)
    endings = [suffix.lower() for suffix in path.suffixes]
    if endings and endings[-1] in COMPRESSED:
        endings.pop()
    if not endings or endings[-1] not in MRC:
        return False
    read_header(path)
    return True


def _read(path: Paths) -> list[LayerData]:
    steps = preferences().state_steps
    layers: list[LayerData] = []
    try:
        for one in _listed(path):
            layers += layers_of(one, steps)
    except HypermolError as problem:
        show_error(str(problem))
        return NOTHING
    return layers

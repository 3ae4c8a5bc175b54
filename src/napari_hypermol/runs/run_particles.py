"""Particle files as people name them, those that a run wrote among them.

A run writes ``particles.star`` with the image names of the file it was made from, which may start
at that file's folder: they mean the same images from the folder of the run.
"""

import os
from pathlib import Path
from typing import Any

from napari_hypermol.errors import HypermolError
from napari_hypermol.io.particle_file import ParticleFile, read_particles
from napari_hypermol.runs.run_facts import is_run_folder, read_facts

__all__ = ["open_particles"]

_MOST_RUNS = 100  # one made from another; more is a circle


def open_particles(
    path: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    pixel_size: float | None = None,
) -> ParticleFile:
    """Open a particle file; of one in a run folder, images are where those of its source are.

    Parameters
    ----------
    path : path
    data_dir : path, optional
        Folder to look in first for the image stacks; of a run's file, else the run's.
    pixel_size : float, optional
        [Å], instead of what the file says; of a run's file, else the run's.

    Returns
    -------
    ParticleFile

    Raises
    ------
    ParticleFileError
        If the file or a stack it names cannot be used.
    """
    sources: list[Path] = []
    facts = _facts_beside(Path(path))
    while facts and len(sources) < _MOST_RUNS:
        sources.append(Path(facts["particles"]))
        data_dir = facts.get("data_dir") if data_dir is None else data_dir
        pixel_size = facts["pixel_size"] if pixel_size is None else pixel_size
        facts = _facts_beside(sources[-1])
    return read_particles(path, data_dir=data_dir, pixel_size=pixel_size, made_from=sources)


def _facts_beside(path: Path) -> dict[str, Any]:
    """Of the run in whose folder a file is; empty if it is in none, or in a damaged one."""
    folder = path.absolute().parent
    if not is_run_folder(folder):
        return {}
    try:
        return read_facts(folder)
    except HypermolError:
        return {}

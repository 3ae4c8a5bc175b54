"""From ``000012@Extract/a.mrcs`` to the file it means and the image in it.

Not here: whether the file holds such an image (`stack`).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io.admission import shown
from napari_hypermol.particles import IntArray

__all__ = ["ImagePlaces", "locate_images"]

PROJECT_FILE = "default_pipeline.star"  # in the folder where RELION's relative names start
# Folders above a particle file that are looked in where no project is found: RELION's
# Select/job012/subset/, cryoSPARC's exports/groups/J12_particles/.
LEVELS_ABOVE = 3


class ImagePlaces(NamedTuple):
    """Where the images of n particles lie.

    Attributes
    ----------
    paths : tuple of Path
        The distinct stacks, in the order they are first named.
    file_of : (n,) int32 ndarray
        Index into `paths`.
    index_of : (n,) int32 ndarray
        Image in that stack, from 0.
    """

    paths: tuple[Path, ...]
    file_of: IntArray
    index_of: IntArray


def locate_images(
    names: Sequence[str],
    particle_file: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    made_from: Sequence[str | os.PathLike[str]] = (),
) -> ImagePlaces:
    """Find the stacks that image names mean.

    Parameters
    ----------
    names : sequence of str, length n
        ``index@stack`` with the index from 1, or ``stack`` for its first image.
    particle_file : path
        Relative names are looked for in its folder, then in those above up to RELION's project
        (the folder of ``default_pipeline.star``; three levels where there is none), then in the
        current one: RELION's names start at the project, which is above the job. Absolute names
        and links are taken as they are.
    data_dir : path, optional
        Looked in first, with the whole name and then with its last part only.
    made_from : sequence of path
        Particle files that this one comes from; looked around in the same way, last.

    Returns
    -------
    places : ImagePlaces

    Raises
    ------
    ParticleFileError
        If a name has no valid index, climbs out of its folder without `data_dir`, or means no
        file.
    """
    particle_file = Path(particle_file)
    numbers: dict[str, int] = {}
    file_of = np.empty(len(names), dtype=np.int32)
    index_of = np.empty(len(names), dtype=np.int32)
    for row, name in enumerate(names):
        index, _, stack = name.rpartition("@")
        # nobody writes more digits, and Python refuses to read some thousands
        if index and not (index.isdecimal() and len(index) < 20 and 0 < int(index) < 2**31):
            raise ParticleFileError(
                f"{particle_file}: image name {shown(name)!r} in row {row + 1}, expected "
                "index@stack with an index from 1; repair or remove that row"
            )
        index_of[row] = int(index) - 1 if index else 0
        file_of[row] = numbers.setdefault(stack, len(numbers))
    folders = _folders(particle_file, data_dir, made_from)
    paths = tuple(_found(stack, folders, particle_file, data_dir) for stack in numbers)
    _require_distinct(paths, list(numbers), particle_file)
    return ImagePlaces(paths, file_of, index_of)


def _folders(
    particle_file: Path,
    data_dir: str | os.PathLike[str] | None,
    made_from: Sequence[str | os.PathLike[str]],
) -> list[Path]:
    """Where to look for relative names, in this order, each once."""
    home = particle_file.absolute().parent
    folders = [home, *_above(home), Path.cwd()]
    for source in made_from:
        before = Path(source).absolute().parent
        folders += [before, *_above(before)]
    if data_dir is not None:
        folders.insert(0, Path(data_dir))
    return list(dict.fromkeys(folders))


def _above(home: Path) -> list[Path]:
    """Folders above `home` that belong to its project."""
    parents = list(home.parents)
    for level, folder in enumerate(parents, start=1):
        if (folder / PROJECT_FILE).is_file():
            return parents[:level]
    return parents[:LEVELS_ABOVE]


def _found(
    stack: str,
    folders: list[Path],
    particle_file: Path,
    data_dir: str | os.PathLike[str] | None,
) -> Path:
    """Find the file a name means."""
    name = Path(stack)
    if name.is_absolute():
        candidates = [name]
    else:
        if os.path.normpath(stack).startswith("..") and data_dir is None:
            raise ParticleFileError(
                f"{particle_file}: image stack {shown(stack)} lies outside the folder of the "
                "particle file, expected a name inside it; name its folder with --data-dir"
            )
        candidates = [folder / name for folder in folders]
    if data_dir is not None:
        candidates.insert(1, Path(data_dir) / name.name)
    for candidate in candidates:
        if _is_file(candidate):
            return candidate
    looked = ", ".join(shown(candidate.parent, 200) for candidate in candidates[:3])
    more = f" and {len(candidates) - 3} folders above" if len(candidates) > 3 else ""
    raise ParticleFileError(
        f"{particle_file}: image stack {shown(stack)} does not exist (looked in {looked}{more}); "
        "name its folder with --data-dir"
    )


def _is_file(path: Path) -> bool:
    """Whether there is a regular file; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _require_distinct(paths: Sequence[Path], stacks: Sequence[str], particle_file: Path) -> None:
    """Refuse stacks of one name from two folders that `data_dir` has thrown together."""
    named: dict[Path, str] = {}
    for path, stack in zip(paths, stacks, strict=True):
        other = named.setdefault(path, stack)
        if os.path.normpath(other) != os.path.normpath(stack):
            raise ParticleFileError(
                f"{particle_file}: {shown(other)} and {shown(stack)} are both taken for {path}, "
                "expected a file each; name the folder that holds both folders with --data-dir"
            )

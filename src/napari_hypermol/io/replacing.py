"""Output files that appear complete or not at all.

Not here: what is written into them.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_hypermol.errors import HypermolError, OutputExistsError

__all__ = ["replace_text", "replacing", "sync_folder", "sync_tree"]


def replace_text(path: Path, text: str) -> None:
    """Write or replace a small text file in one step: nobody ever reads half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


@contextmanager
def replacing(path: str | os.PathLike[str], overwrite: bool) -> Iterator[Path]:
    """Give a temporary name; it becomes `path` when the block ends without an error.

    Parameters
    ----------
    path : path
    overwrite : bool
        Whether an existing file may be replaced.

    Yields
    ------
    temporary : Path
        Same name, in a folder of its own beside `path` (a rename across disks is not atomic).

    Raises
    ------
    OutputExistsError
        If `path` exists and `overwrite` is False, or is a folder.
    HypermolError
        If the folder of `path` does not exist.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputExistsError(f"{path}: is a folder, expected the name of a file to write")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path}: exists already; choose another name or allow overwriting")
    if not path.parent.is_dir():
        raise HypermolError(f"{path}: folder {path.parent} does not exist; create it first")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        temporary = Path(folder) / path.name
        yield temporary
        os.replace(temporary, path)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system can."""
    if os.name != "posix":
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def sync_tree(folder: Path) -> None:
    """Put all of a folder on the disk, so that its renaming never comes before its contents."""
    for root, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(root, name), "rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(root))

"""What a file must be before any of it is believed, and how much of it a message repeats.

Files come from anywhere. One that is read is a regular file (a pipe or a device never ends), and
takes no more memory than its size gives reason for. Which folders are looked in: relative names
lead down from the file that names them, never up or out; what lies elsewhere is named by an
absolute path. Links are followed, RELION's projects are made of them, but not inside run folders.
"""

import os
from pathlib import Path

from napari_hypermol.errors import HypermolError

__all__ = ["admit_file", "admit_size", "inside", "shown"]

EXPANSION = 10  # times its size that a compressed file may take
# A mask is nearly all zeros and one and may shrink a thousandfold; this holds one of 640^3.
EXPANSION_BYTES = 2**30
_SHOWN, _SHOWN_PATH = 60, 400  # characters of a file's own text in a message, of a path


def admit_file(path: Path, expected: str, error: type[HypermolError]) -> None:
    """Refuse what is missing, a folder, or no regular file.

    Parameters
    ----------
    path : Path
    expected : str
        Such as "a STAR file", for the message.
    error : type
        What to raise.
    """
    name = shown(path, _SHOWN_PATH)
    try:
        is_folder, is_there, is_regular = path.is_dir(), path.exists(), path.is_file()
    except (OSError, ValueError):  # a name too long, or with a zero byte
        is_folder = is_there = is_regular = False
    if is_folder:
        raise error(f"{name}: is a folder, expected {expected}; name the file in it")
    if not is_there:
        raise error(f"{name}: does not exist, expected {expected}; check the path")
    if not is_regular:
        raise error(f"{name}: is a pipe or a device, expected {expected}; copy it to a file")


def admit_size(path: Path, stored: int, wanted: int, error: type[HypermolError]) -> None:
    """Refuse compressed numbers that would take much more memory than they are stored in.

    Parameters
    ----------
    path : Path
    stored, wanted : int
        On disk and in memory [bytes].
    error : type
        What to raise.
    """
    if wanted > max(EXPANSION * stored, EXPANSION_BYTES):
        raise error(
            f"{path}: {stored} bytes announce {wanted} when uncompressed, expected at most 1 GB or "
            f"{EXPANSION} times as many; is it damaged? If not, uncompress it first"
        )


def inside(name: str) -> bool:
    """Whether a name leads down from where it is looked for, as it is written."""
    return not os.path.isabs(name) and not os.path.normpath(name).startswith("..")


def shown(text: object, length: int = _SHOWN) -> str:
    """Some text of a file for a message: on one line, and not too long."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text)[: length + 1])
    return line if len(line) <= length else line[: length - 3] + "..."

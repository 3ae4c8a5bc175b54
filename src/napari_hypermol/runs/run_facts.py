"""What a run folder is, and what its run.json says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_hypermol.errors import RunFolderError
from napari_hypermol.io.admission import shown
from napari_hypermol.runs.arrays import read_json

__all__ = ["FORMAT_VERSION", "is_run_folder", "read_facts"]

FORMAT_VERSION = 1
_MOST_BOX, _MOST_PARTICLES = 4096, 2**31  # more is damage, not data


def _whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


# What run.json must say.
_FACTS: dict[str, Callable[[Any], bool]] = {
    "box_size": _whole(1, _MOST_BOX),
    "pixel_size": lambda value: type(value) in (int, float) and 1e-3 < value < 1e6,
    "particles": _is_path,
    "n_particles": _whole(1, _MOST_PARTICLES),
    "data_dir": lambda value: value is None or _is_path(value),
}


def is_run_folder(path: Path) -> bool:
    """Whether a folder looks like a run; never raises."""
    try:
        return (path / "recipe.yaml").is_file() and (path / "run.json").is_file()
    except OSError:
        return False


def read_facts(path: Path) -> dict[str, Any]:
    """What run.json of a run folder says, checked.

    Raises
    ------
    RunFolderError
        If it is damaged, or of another version.
    """
    facts = read_json(path / "run.json")
    version = facts.get("format")
    if version != FORMAT_VERSION:
        raise RunFolderError(
            f"{path}: has format {shown(version)}, this version reads {FORMAT_VERSION}"
        )
    wrong = [key for key, is_right in _FACTS.items() if not is_right(facts.get(key))]
    if wrong:
        raise RunFolderError(
            f"{path / 'run.json'}: is damaged ({', '.join(wrong)} missing or impossible); "
            "run it again"
        )
    return facts

"""Recipes in the making, as plain values: opened from YAML, saved with the masks they name."""

import filecmp
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from napari_hypermol.errors import RecipeError
from napari_hypermol.io.replacing import replacing
from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.schema import keys_of

__all__ = ["free_path", "open_draft", "save_draft"]


def open_draft(path: Path) -> dict[str, Any]:
    """The plain values of a recipe file, unchecked: wrong ones are to be shown and mended.

    Raises
    ------
    RecipeError
        If it is not YAML with keys.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        reason = str(problem).splitlines()[0]
        raise RecipeError(f"{path}: cannot be read as a recipe ({reason})") from problem
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: expected keys such as 'components:', got {values!r:.40}")
    return values


def save_draft(draft: dict[str, Any], folder: Path, path: Path, overwrite: bool) -> dict[str, Any]:
    """Write a draft as YAML; masks that lie elsewhere are copied to ``masks`` beside it.

    Parameters
    ----------
    draft : dict
    folder : Path
        Where its relative paths start.
    path : Path
    overwrite : bool
        Whether `path` may be replaced; a mask never is.

    Returns
    -------
    dict
        The draft as it was written: its paths start at the folder of `path`.

    Raises
    ------
    HypermolError
        If `path` exists and may not be replaced, or its folder does not exist.
    """
    path = path.absolute()
    with replacing(path, overwrite) as temporary:
        saved: dict[str, Any] = _with_files(draft, lambda name: _beside(folder, name, path.parent))
        if isinstance(saved.get("particles"), str):
            particles = (folder / saved["particles"]).absolute()
            saved["particles"] = os.path.relpath(particles, path.parent)
        text = yaml.safe_dump(saved, sort_keys=False, default_flow_style=None, width=100)
        temporary.write_text(text, encoding="utf-8")
    return saved


def free_path(path: Path) -> Path:
    """`path`, or the first of ``name_2``, ``name_3``, ... that does not exist."""
    found, number = path, 1
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem}_{number}{path.suffix}")
    return found


def _beside(folder: Path, name: str, target: Path) -> str:
    """A file's path from `target`, copied there if it lies elsewhere."""
    source = (folder / name).absolute()
    if source.is_relative_to(target) or not source.is_file():
        return os.path.relpath(source, target) if source.is_relative_to(target) else str(source)
    copy = target / "masks" / source.name
    if not (copy.is_file() and filecmp.cmp(source, copy, shallow=False)):
        copy.parent.mkdir(exist_ok=True)
        copy = free_path(copy)
        shutil.copyfile(source, copy)
    return copy.relative_to(target).as_posix()


def _with_files(values: Any, change: Callable[[str], str]) -> Any:
    """A copy of plain values in which every file of the schema has another name."""
    if isinstance(values, dict):
        return {
            k: change(v) if k in _FILE_KEYS and isinstance(v, str) else _with_files(v, change)
            for k, v in values.items()
        }
    return [_with_files(v, change) for v in values] if isinstance(values, list) else values


def _file_keys(model: type[BaseModel]) -> set[str]:
    found = {key.name for key in keys_of(model) if key.is_file}
    inside = [c.model for key in keys_of(model) for c in key.choices if c.model is not None]
    return found.union(*map(_file_keys, inside))


_FILE_KEYS = _file_keys(Recipe)

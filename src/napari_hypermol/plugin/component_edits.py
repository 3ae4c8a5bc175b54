"""What the mouse does to the components of a draft: plain values in, plain values out."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from napari_hypermol.plugin.balls import Ball

__all__ = ["COLORS", "ball_of", "colored", "free_name", "moved_to", "path_from", "renamed"]

# told apart by most eyes, on dark and on light
COLORS = ("#e69f00", "#56b4e9", "#2fbf8f", "#cc79a7", "#d55e00", "#8c7ae6", "#b8a900", "#8a8a8a")


def free_name(stem: str, taken: Collection[str]) -> str:
    """The first of ``stem_1``, ``stem_2``, ... that is not taken."""
    number = 1
    while f"{stem}_{number}" in taken:
        number += 1
    return f"{stem}_{number}"


def renamed(components: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """The components with another name for one of them; copies of it follow."""
    found = {new if name == old else name: value for name, value in components.items()}
    for name, value in found.items():
        if isinstance(value, dict) and value.get("share") == old:
            found[name] = {**value, "share": new}
    return found


def ball_of(values: Any) -> Ball | None:
    """The ball of a component, if it has a right one."""
    try:
        given = values["support"]["ball"]
        x, y, z = (float(v) for v in given.get("center", (0.0, 0.0, 0.0)))
        radius = float(given["radius"])
    except (TypeError, KeyError, ValueError, AttributeError):
        return None  # the form says what is wrong
    return Ball((x, y, z), radius) if radius > 0 else None


def moved_to(values: Mapping[str, Any], ball: Ball) -> dict[str, Any]:
    """A component whose ball is elsewhere; its other values stay."""
    support = values["support"]
    moved = {**support["ball"], "center": list(ball.center), "radius": ball.radius}
    return {**values, "support": {**support, "ball": moved}}


def colored(names: Collection[str], old: Mapping[str, str]) -> dict[str, str]:
    """A colour for every name: the one it had, else one that no other has while there are any."""
    found = {name: old.get(name, "") for name in names}
    for index, name in enumerate(names):
        if not found[name]:
            free = [color for color in COLORS if color not in found.values()]
            found[name] = free[0] if free else COLORS[index % len(COLORS)]
    return found


def path_from(folder: Path, path: Path) -> str:
    """A path as the draft has it: from its folder, where it lies below it."""
    folder, path = folder.absolute(), path.absolute()
    return os.path.relpath(path, folder) if path.is_relative_to(folder) else str(path)

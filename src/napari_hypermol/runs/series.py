"""MRC series of a hypermolecule along its states, and the ChimeraX script that plays them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_hypermol.errors import HypermolError, OutputExistsError
from napari_hypermol.io.mrc import write_volume
from napari_hypermol.runs.maps import HyperMaps

__all__ = ["parse_states", "write_run_volumes", "write_series"]


def parse_states(text: str, dims: int) -> tuple[float, ...]:
    """One state as the user writes it: ``"0.1,0.5"``.

    Raises
    ------
    HypermolError
        If it is not `dims` numbers in [0, 1].
    """
    values: tuple[float, ...] | None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = None
    if values is None or len(values) != dims or not all(0 <= v <= 1 for v in values):
        example = ",".join(["0.5"] * max(dims, 1))
        raise HypermolError(
            f"state {text!r}: expected {dims} number(s) from 0 to 1, such as {example!r}"
        )
    return values


def write_series(
    maps: HyperMaps,
    states: Sequence[Sequence[float]],
    pixel_size: float,
    folder: Path,
    stem: str,
    overwrite: bool = False,
) -> list[Path]:
    """One MRC a state and a .cxc script that opens them as a series.

    Returns
    -------
    list of Path
        The maps, in the order of `states`.

    Raises
    ------
    OutputExistsError
        If the first map exists and `overwrite` is False.
    """
    folder.mkdir(parents=True, exist_ok=True)
    width = max(2, len(str(len(states) - 1)))
    paths = [folder / f"{stem}_{i:0{width}d}.mrc" for i in range(len(states))]
    script = folder / f"{stem}.cxc"
    taken = [p for p in (*paths, script) if p.exists()]
    if taken and not overwrite:
        raise OutputExistsError(f"{taken[0]}: exists already; choose another --out or --overwrite")
    for path, state in zip(paths, states, strict=True):
        write_volume(path, maps.volume(state), pixel_size, overwrite=True)
    level = 0.25 * maps.contrast_limits[1]
    names = " ".join(p.name for p in paths)
    lines = [
        f"# {stem}: open this file in ChimeraX",
        f"open {names} vseries true",
        f"volume #1 level {level:.6g}",
    ]
    if len(paths) > 1:
        lines.append("vseries play #1 loop true direction oscillate maxFrameRate 8")
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return paths


def write_run_volumes(
    maps: HyperMaps, pixel_size: float, folder: Path, steps: int = 10, overwrite: bool = False
) -> list[Path]:
    """A series along every state, the others half way; a rigid molecule's one map.

    Parameters
    ----------
    steps : int
        Maps in a series, from 0 to 1.
    """
    if steps < 1:
        raise HypermolError(f"--steps {steps}: expected at least 1")
    if maps.dims == 0:
        return write_series(maps, [()], pixel_size, folder, "map", overwrite)
    scripts = [folder / f"{name}.cxc" for name in maps.axis_names]
    if not overwrite and any(script.exists() for script in scripts):  # before the first is written
        taken = next(script for script in scripts if script.exists())
        raise OutputExistsError(f"{taken}: exists already; choose another --out or --overwrite")
    paths = []
    for axis, name in enumerate(maps.axis_names):
        states = np.full((steps, maps.dims), 0.5)
        states[:, axis] = np.linspace(0, 1, steps)
        paths += write_series(maps, states.tolist(), pixel_size, folder, name, overwrite)
    return paths

"""MRC series of a hypermolecule along its states, and the ChimeraX script that plays them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import HypermolError, OutputExistsError
from napari_hypermol.io.mrc import write_volume
from napari_hypermol.protocols import StateKind
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.state_axes import StateAxis, middle_states, shown_states

__all__ = [
    "deviation_paths",
    "nearest_deviation",
    "parse_states",
    "series_states",
    "write_deviations",
    "write_run_volumes",
    "write_series",
]


# how ChimeraX plays them [frames per second]: classes have no way from one to the next
_PLAYED = {
    "interval": "direction oscillate maxFrameRate 8",
    "circle": "direction forward maxFrameRate 8",
    "class": "direction forward maxFrameRate 1",
}


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
    kind: StateKind = "interval",
) -> list[Path]:
    """One MRC a state and a .cxc script that opens them as a series.

    Parameters
    ----------
    maps : HyperMaps
    states : sequence of (d,) sequences of float
    pixel_size : float
        [Å]
    folder : Path
    stem : str
        Of all names.
    overwrite : bool
    kind : StateKind
        Of the coordinate that varies. A range is played to and fro, a circle round and round,
        classes slowly one after the other, named by their number.

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
    paths = [folder / f"{stem}_{name}.mrc" for name in _names(len(states), kind)]
    script = folder / f"{stem}.cxc"
    taken = [p for p in (*paths, script) if p.exists()]
    if taken and not overwrite:
        raise OutputExistsError(f"{taken[0]}: exists already; choose another folder or --overwrite")
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
        lines.append(f"vseries play #1 loop true {_PLAYED[kind]}")
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return paths


def _names(n: int, kind: StateKind) -> list[str]:
    """Numbers of n maps; they sort in order."""
    if kind == "class":
        return [f"class{k:0{len(str(n))}d}" for k in range(1, n + 1)]
    return [f"{i:0{max(2, len(str(n - 1)))}d}" for i in range(n)]


def write_run_volumes(
    maps: HyperMaps, pixel_size: float, folder: Path, steps: int = 10, overwrite: bool = False
) -> list[Path]:
    """A series along every state, the others half way; a rigid molecule's one map.

    Parameters
    ----------
    steps : int
        Maps in a series: of a range from 0 to 1, of a circle once round; classes have one each.
    """
    if steps < 1:
        raise HypermolError(f"--steps {steps}: expected at least 1")
    if maps.dims == 0:
        return write_series(maps, [()], pixel_size, folder, "map", overwrite)
    scripts = [folder / f"{name}.cxc" for name in maps.axis_names]
    if not overwrite and any(script.exists() for script in scripts):  # before the first is written
        taken = next(script for script in scripts if script.exists())
        raise OutputExistsError(f"{taken}: exists already; choose another folder or --overwrite")
    paths = []
    for axis, states in zip(maps.axes, series_states(maps.axes, steps), strict=True):
        paths += write_series(
            maps, states.tolist(), pixel_size, folder, axis.name, overwrite, axis.kind
        )
    return paths


def series_states(axes: Sequence[StateAxis], steps: int = 10) -> list[NDArray[np.float64]]:
    """States of the series along every axis, the others half way; (t, d) each.

    A rigid molecule has one, of one map.
    """
    if not axes:
        return [np.zeros((1, 0))]
    series = []
    for index, axis in enumerate(axes):
        along = shown_states(axis, steps)
        states = np.tile(middle_states(axes), (len(along), 1))
        states[:, index] = along
        series.append(states)
    return series


def write_deviations(
    axes: Sequence[StateAxis], volumes: NDArray[np.float32], pixel_size: float, folder: Path
) -> list[Path]:
    """Standard deviations of the maps of all series, ``std_<their name>.mrc``.

    Parameters
    ----------
    axes : sequence of StateAxis
    volumes : (t, z, y, x) float32 ndarray
        At the states of `series_states`, one series after the other.
    pixel_size : float
        [Å]
    folder : Path

    Returns
    -------
    list of Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = deviation_paths(axes, folder)
    for path, volume in zip(paths, volumes, strict=True):
        write_volume(path, volume, pixel_size, overwrite=True)
    return paths


def deviation_paths(axes: Sequence[StateAxis], folder: Path) -> list[Path]:
    """Where `write_deviations` writes the maps of `series_states`, one after the other."""
    stems = [axis.name for axis in axes] or ["map"]
    kinds: list[StateKind] = [axis.kind for axis in axes] or ["interval"]
    paths = []
    for stem, kind, states in zip(stems, kinds, series_states(axes), strict=True):
        paths += [folder / f"std_{stem}_{name}.mrc" for name in _names(len(states), kind)]
    return paths


def nearest_deviation(
    axes: Sequence[StateAxis], folder: Path, state: Sequence[float]
) -> tuple[Path, tuple[float, ...]] | None:
    """The standard deviation map nearest to a state.

    Parameters
    ----------
    axes : sequence of StateAxis
    folder : Path
        ``volumes`` of a run.
    state : (d,) sequence of float

    Returns
    -------
    path, state : Path, (d,) tuple of float
        The map's file and its own state; None where the posterior was not sampled.
    """
    paths, states = deviation_paths(axes, folder), np.concatenate(series_states(axes))
    away = np.abs(states - np.asarray(state, dtype=np.float64))
    for column, axis in enumerate(axes):
        if axis.kind == "circle":
            away[:, column] = np.minimum(away[:, column], 1 - away[:, column])
    for index in np.argsort((away**2).sum(axis=1), kind="stable"):
        if paths[index].is_file():
            return paths[index], tuple(float(t) for t in states[index])
    return None

"""What a simulation knows: true states, contrasts and maps, read from its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io.mrc import read_volume
from napari_hypermol.io.star import numeric, read_star

__all__ = ["TrueComponent", "Truth", "read_truth"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrueComponent:
    """A true component: its maps at a grid of its states; one map if rigid."""

    name: str
    states: Float64
    volumes: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Truth:
    """What a simulation knows.

    Attributes
    ----------
    states : (n, d) float64 ndarray
    contrasts : (n,) float64 ndarray or None
    components : list of TrueComponent, or None
        None where the true maps were not found; `why` says so.
    """

    states: Float64
    contrasts: Float64 | None
    components: list[TrueComponent] | None
    why: str = ""

    @property
    def moving(self) -> list[TrueComponent]:
        """Components with a state, in the order of the columns of `states`."""
        return [c for c in self.components or [] if len(c.states) > 1]


def read_truth(path: Path, maps: Path | None = None) -> Truth:
    """A truth file: a STAR with trueState columns, and the true maps beside it.

    Parameters
    ----------
    path : Path
        Has ``trueState1`` (or ``trueState``) ..., ``trueContrast`` and, for one map a state,
        ``trueMap``.
    maps : Path, optional
        Folder of the true maps; else ``truth/`` or the folder of `path`.

    Raises
    ------
    ParticleFileError
        If there is no trueState column.
    """
    blocks = read_star(path)
    table = next((t for t in blocks.values() if _state_columns(t)), None)
    if table is None:
        raise ParticleFileError(
            f"{path}: has no column trueState or trueState1; is it a truth file?"
        )
    columns = _state_columns(table)
    states = np.stack([numeric(table, c, path) for c in columns], axis=1)
    contrasts = numeric(table, "trueContrast", path) if "trueContrast" in table else None
    components, why = _true_components(table, states, path, maps)
    return Truth(states, contrasts, components, why)


def _state_columns(table: Any) -> list[str]:
    if "trueState" in table:
        return ["trueState"]
    return sorted((c for c in table if str(c).startswith("trueState")), key=lambda c: int(c[9:]))


def _true_components(
    table: Any, states: Float64, path: Path, maps: Path | None
) -> tuple[list[TrueComponent] | None, str]:
    folder = maps or path.parent / "truth"
    if (folder / "truth.yaml").is_file():
        listing = yaml.safe_load((folder / "truth.yaml").read_text(encoding="utf-8"))["components"]
        return [
            TrueComponent(
                item["name"],
                np.array(item.get("states", [0.0]), dtype=np.float64),
                np.stack([read_volume(folder / name).values for name in item["volumes"]]),
            )
            for item in listing
        ], ""
    if "trueMap" not in table:
        return None, f"no true maps: neither {folder / 'truth.yaml'} nor a column trueMap"
    names = table["trueMap"].to_numpy()
    order = np.unique(states[:, 0])
    found = []
    for value in order:
        name = Path(str(names[np.flatnonzero(states[:, 0] == value)[0]])).name
        places = [p for p in ((maps or path.parent) / name, folder / name) if p.is_file()]
        if not places:
            return None, f"true map {name} is not beside {path}; give its folder with --truth-maps"
        found.append(read_volume(places[0]).values)
    return [TrueComponent("molecule", order, np.stack(found))], ""

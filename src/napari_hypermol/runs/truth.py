"""What a simulation knows: true states, contrasts, poses and maps, read from its files."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.stats import beta

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io.mrc import read_volume
from napari_hypermol.io.relion_columns import RelionColumns
from napari_hypermol.io.relion_optics import pixel_size_of
from napari_hypermol.io.relion_poses import ORIGINS_IN_PIXELS, rotations_of, shifts_of
from napari_hypermol.io.star import numeric, read_star

__all__ = ["TrueComponent", "TrueHinge", "Truth", "read_truth"]

Float64 = NDArray[np.float64]
_KINDS = ("interval", "circle", "class")


@dataclass(frozen=True, eq=False)
class TrueComponent:
    """A true component: its maps at a grid of its states; one map if rigid.

    Parameters
    ----------
    name : str
    states : (t,) float64 ndarray
        Ascending. Of a full turn, the first and the last may be the same, 0 and 1.
    volumes : (t, z, y, x) float32 ndarray
    kind : str
        ``interval`` (a range with two ends), ``circle`` (a full turn) or ``class`` (K classes, one
        map each).
    occupancy : tuple
        Of a class: shares of the classes. Of the others: a mixture of Beta densities, each
        (share, a, b). Empty where it is not known.
    """

    name: str
    states: Float64
    volumes: NDArray[np.float32]
    kind: str = "interval"
    occupancy: tuple[Any, ...] = ()

    def shares(self, edges: Float64) -> Float64:
        """True shares of the particles between `edges` (b + 1,) of a continuous state; (b,)."""
        below = sum(share * beta.cdf(edges, a, b) for share, a, b in self.occupancy)
        return np.diff(below)

    def log_prior(self) -> Float64:
        """Logarithm of the occupancy at each of `states`; even where it is not known."""
        t = len(self.states)
        if self.kind == "class" and self.occupancy:
            return np.log(np.maximum(np.asarray(self.occupancy, dtype=np.float64), 1e-12))
        if not self.occupancy or all(a == b == 1 for _, a, b in self.occupancy):
            return np.full(t, -np.log(t))
        middles = 0.5 * (self.states[1:] + self.states[:-1])
        shares = self.shares(np.concatenate([[0.0], middles, [1.0]]))
        if self.kind == "circle":  # what lies behind the last middle is also next to state 0
            shares[0] += self.shares(np.array([0.5 * (1 + self.states[-1]), 1.0]))[0]
            shares[-1] -= self.shares(np.array([0.5 * (1 + self.states[-1]), 1.0]))[0]
        return np.log(np.maximum(shares, 1e-12))


class TrueHinge(NamedTuple):
    """About what a component turns rigidly: `axis` (x, y, z), `pivot` from the box centre [Å]."""

    component: str
    axis: tuple[float, ...]
    pivot: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Truth:
    """What a simulation knows.

    Attributes
    ----------
    states : (n, d) float64 ndarray
    contrasts : (n,) float64 ndarray or None
    components : list of TrueComponent, or None
        None where the true maps were not found; `why` says so.
    hinge : TrueHinge or None
    rotations : (n, 3, 3) float64 ndarray or None
        True ones, molecule to image; None where the file has no angles.
    shifts : (n, 2) float64 ndarray or None
        [Å]; None where `rotations` is.
    symmetry : str
        Point group whose rotations are hard to tell apart, ``Cn`` or ``Dn``.
    """

    states: Float64
    contrasts: Float64 | None
    components: list[TrueComponent] | None
    why: str = ""
    hinge: TrueHinge | None = None
    rotations: Float64 | None = None
    shifts: Float64 | None = None
    symmetry: str = "C1"

    @property
    def moving(self) -> list[TrueComponent]:
        """Components with a state, in the order of the columns of `states`."""
        return [c for c in self.components or [] if len(c.states) > 1]


def read_truth(path: Path, maps: Path | None = None) -> Truth:
    """A truth file: a STAR with trueState columns, and the true maps beside it.

    Parameters
    ----------
    path : Path
        Has ``trueState1`` (or ``trueState``) ..., of a rigid molecule only ``trueContrast``; for
        one map a state, ``trueMap``; and the true poses in RELION's columns.
    maps : Path, optional
        Folder of the true maps; else ``truth/`` or the folder of `path`.

    Raises
    ------
    ParticleFileError
        If there is no trueState column.
    """
    blocks = read_star(path)
    table = next((t for t in blocks.values() if _state_columns(t) or "trueContrast" in t), None)
    if table is None:
        raise ParticleFileError(
            f"{path}: has no column trueState, trueState1 or trueContrast; is it a truth file?"
        )
    columns = _state_columns(table)
    states = np.zeros((len(table), len(columns)))  # of a rigid molecule there is none
    for index, column in enumerate(columns):
        states[:, index] = numeric(table, column, path)
    contrasts = numeric(table, "trueContrast", path) if "trueContrast" in table else None
    folder = maps or path.parent / "truth"
    columns_of = RelionColumns.of(path, table, blocks.get("optics"))
    rotations: Any = rotations_of(columns_of)
    told = Truth(
        states,
        contrasts,
        components=None,
        rotations=rotations,
        shifts=None if rotations is None else _shifts(columns_of),
    )
    if (folder / "truth.yaml").is_file():
        facts = yaml.safe_load((folder / "truth.yaml").read_text(encoding="utf-8"))
        components, hinge = _listed(folder, facts)
        symmetry = _symmetry(folder / "truth.yaml", facts)
        return replace(told, components=components, hinge=hinge, symmetry=symmetry)
    if not columns:
        return replace(told, why=f"no true maps: no {folder / 'truth.yaml'}")
    one_a_state, why = _one_map_a_state(table, states, path, maps)
    return replace(told, components=one_a_state, why=why)


def _shifts(columns: RelionColumns) -> Float64:
    """[Å], also of origins in pixels."""
    in_pixels = any(columns.has(name) for name in ORIGINS_IN_PIXELS)
    return np.asarray(shifts_of(columns, pixel_size_of(columns, None) if in_pixels else 1.0))


def _symmetry(path: Path, facts: dict[str, Any]) -> str:
    name = str(facts.get("symmetry", "C1"))
    if not re.fullmatch(r"[CD][1-9]\d*", name):
        raise ParticleFileError(f"{path}: symmetry {name!r}; expected Cn or Dn, such as C2")
    return name


def _state_columns(table: Any) -> list[str]:
    if "trueState" in table:
        return ["trueState"]
    return sorted((c for c in table if str(c).startswith("trueState")), key=lambda c: int(c[9:]))


def _listed(folder: Path, facts: dict[str, Any]) -> tuple[list[TrueComponent], TrueHinge | None]:
    """What ``truth.yaml`` lists."""
    components = []
    for item in facts["components"]:
        kind = item.get("kind", "interval")
        if kind not in _KINDS:
            raise ParticleFileError(
                f"{folder / 'truth.yaml'}: {item['name']} has a state of kind {kind!r}; "
                f"expected {', '.join(_KINDS)}"
            )
        occupancy = item.get("populations", item.get("betas", ()))
        components.append(
            TrueComponent(
                item["name"],
                np.array(item.get("states", [0.0]), dtype=np.float64),
                np.stack([read_volume(folder / name).values for name in item["volumes"]]),
                kind,
                tuple(occupancy if kind == "class" else map(tuple, occupancy)),
            )
        )
    told = facts.get("hinge")
    if told is None:
        return components, None
    return components, TrueHinge(told["component"], tuple(told["axis"]), tuple(told["pivot"]))


def _one_map_a_state(
    table: Any, states: Float64, path: Path, maps: Path | None
) -> tuple[list[TrueComponent] | None, str]:
    """True maps named in a column ``trueMap``, as other programs' simulations have them."""
    folder = maps or path.parent / "truth"
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

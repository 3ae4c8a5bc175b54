"""How good a run is, against a simulation's truth and against what the data allow.

The ORACLE reads the states with the true molecule, true poses and the run's noise: no method can
order the particles better on average, so a result is a fraction of it. Everything is aligned over
the gauge first: the direction of a state coordinate, its parametrisation, and which of several like
components is which.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.stats import spearmanr

from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.coordinates.grids import FourierGrids
from napari_hypermol.errors import HypermolError, ParticleFileError
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.io.mrc import read_volume
from napari_hypermol.io.star import numeric, read_star
from napari_hypermol.posterior.likelihood import overlaps
from napari_hypermol.posterior.states import MAX_ENTRIES, StateTable, table_posterior
from napari_hypermol.runs.chunks import read_fourier_stack, stage_problem
from napari_hypermol.runs.fsc import fourier_shell_correlation, resolution_at
from napari_hypermol.runs.store import Run
from napari_hypermol.samplers.gibbs import gibbs_posterior

__all__ = ["Truth", "oracle_states", "read_truth", "score"]

Float64 = NDArray[np.float64]
_MAP_STATES = 10


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


# ---- oracle ----------------------------------------------------------------------------------


def _truth_grids(truth: Truth, box_size: int) -> tuple[FourierGrids, Placements, list[slice]]:
    """The true maps as Fourier grids: every map one function, none of them mixed."""
    assert truth.components is not None
    pieces, shapes, origins, counts, scales = [], [], [], [], []
    edge = box_size + box_size % 2
    mask = np.ones((edge, edge, edge), dtype=np.float32)
    basis = VoxelBasis(mask, edge, box_size)
    pad = (edge - box_size, 0)  # the origin of an odd box is one voxel lower than of the next even
    for component in truth.components:
        cubes = np.pad(component.volumes, ((0, 0), pad, pad, pad))
        grid = basis.fourier_grid(cubes.reshape(len(cubes), -1))
        pieces.append(grid.view(np.float32).reshape(-1))
        shapes.append(basis.grid_shape)
        origins.append(basis.grid_origin)
        counts.append(len(cubes))
        scales.append(basis.grid_scale)
    m = len(pieces)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    grids = FourierGrids(
        values=np.concatenate(pieces),
        offsets=np.concatenate([[0], np.cumsum([len(p) for p in pieces])[:-1]]).astype(np.int64),
        sizes=np.array(shapes, dtype=np.int64),
        origins=np.array(origins, dtype=np.int64),
        n_functions=np.array(counts, dtype=np.int64),
        scales=np.array(scales, dtype=np.float32),
    )
    placements = Placements(
        np.arange(m),
        np.tile(np.eye(3, dtype=np.float32), (m, 1, 1)),
        np.zeros((m, 3), dtype=np.float32),
        starts.astype(np.int64),
    )
    return grids, placements, [slice(s, s + c) for s, c in zip(starts, counts, strict=True)]


def oracle_states(run: Run, truth: Truth) -> tuple[Float64, float]:
    """States read with the true molecule, true poses and the run's noise.

    Parameters
    ----------
    run : Run
        For the images, the noise spectra and the spread of contrasts.
    truth : Truth
        With its maps.

    Returns
    -------
    states : (n, d) float64 ndarray
        Posterior means.
    scale : float
        Factor from the true maps to the images, fitted by least squares: true maps may come on
        any scale.
    """
    file = run.read_particles()
    particles, snapshot = file.particles, run.snapshot
    box_size = run.box_size
    # Up to the run's own band limit, beyond which the noise has not been estimated.
    radius = snapshot.stage.max_radius
    stack = read_fourier_stack(particles, radius)
    rows = np.arange(file.n)
    noise = snapshot.estimate.noise
    problem = stage_problem(particles, stack, snapshot.molecule, radius, noise, rows)
    grids, placements, columns = _truth_grids(truth, box_size)
    b, g = overlaps(problem.images, grids, placements, problem.samples)
    assert truth.components is not None
    tables = tuple(
        StateTable(
            component.states[:, None],
            np.eye(len(component.states)),
            np.full(len(component.states), -np.log(len(component.states))),
            place,
        )
        for component, place in zip(truth.components, columns, strict=True)
        if len(component.states) > 1
    )
    contrast_std = snapshot.estimate.contrast_std
    scale = _fitted_scale(b, g, truth, columns)
    b, g = (b * scale).astype(np.float32), (g * scale**2).astype(np.float32)
    entries = int(np.prod([len(t.states) for t in tables], dtype=np.int64))
    if len(tables) <= 2 and entries <= MAX_ENTRIES:
        posterior = table_posterior(b, g, tables, contrast_std)
    else:
        posterior = gibbs_posterior(np.random.default_rng(0), b, g, tables, contrast_std)
    return posterior.state_mean, scale


def _fitted_scale(
    b: NDArray[np.float32], g: NDArray[np.float32], truth: Truth, columns: list[slice]
) -> float:
    """Least-squares factor of the true images at the true states."""
    c = np.zeros(b.shape)
    axis = 0
    assert truth.components is not None
    for component, place in zip(truth.components, columns, strict=True):
        if len(component.states) == 1:
            c[:, place] = 1.0
            continue
        nearest = np.abs(truth.states[:, axis, None] - component.states).argmin(axis=1)
        c[np.arange(len(c)), place.start + nearest] = 1.0
        axis += 1
    linear = float(np.einsum("nq,nq->", c, b))
    square = float(np.einsum("nq,nqp,np->", c, g, c, optimize=True))
    return linear / square


# ---- score -----------------------------------------------------------------------------------


def _matching(found: Float64, true: Float64) -> list[int]:
    """Which found coordinate stands for each true one: the best permutation by |Spearman|."""
    d = true.shape[1]
    table = np.abs(
        [[_spearman(found[:, f], true[:, t]) for f in range(found.shape[1])] for t in range(d)]
    )
    best = max(
        itertools.permutations(range(found.shape[1]), d),
        key=lambda p: sum(table[t, f] for t, f in enumerate(p)),
    )
    return list(best)


def _spearman(a: Float64, b: Float64) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a, b).statistic)


def _spearman_error(value: float, n: int) -> float:
    """Standard error of a Spearman coefficient (Fisher's z, factor 1.03 for ranks)."""
    return float(1.03 * (1 - value**2) / np.sqrt(max(n - 3, 1)))


def _aligned(found: Float64, true: Float64, at: Float64) -> Float64:
    """The found coordinate that corresponds to true states `at`: same quantile, same direction."""
    is_reversed = _spearman(found, true) < 0
    ordered = np.sort(true)  # ties, as of discrete states, stand for the middle of their ranks
    left, right = (np.searchsorted(ordered, at, side=side) for side in ("left", "right"))
    levels = 0.5 * (left + right) / len(true)
    return np.asarray(1 - levels if is_reversed else levels)


def _map_scores(run: Run, truth: Truth, order: list[int]) -> list[dict[str, Any]]:
    """Correlation of (state map - mean map) along every state, the others at their mean map."""
    scores = []
    maps, edge = run.maps, run.box_size * run.pixel_size
    for axis, component in enumerate(truth.moving):
        at = _map_states(component)
        true = _interpolated(component, at)
        levels = _population_quantile(run, order[axis], _aligned(
            run.states[:, order[axis]], truth.states[:, axis], at
        ))  # fmt: skip
        found = []
        for level in levels:
            state = [0.5] * maps.dims
            state[order[axis]] = float(level)
            found.append(maps.volume(state))
        result = np.array(found)
        difference, wanted = result - result.mean(axis=0), true - true.mean(axis=0)
        pairs = zip(difference, wanted, strict=True)
        per_state = [float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in pairs]
        rest = _rest(truth, component)
        fsc = [fourier_shell_correlation(f, t + rest) for f, t in zip(result, true, strict=True)]
        scores.append(
            {
                "component": component.name,
                "true_states": [round(float(v), 4) for v in at],
                "found_states": [round(float(v), 4) for v in levels],
                "difference_correlation": float(
                    np.corrcoef(difference.ravel(), wanted.ravel())[0, 1]
                ),
                "difference_correlation_per_state": [round(v, 4) for v in per_state],
                "resolution_at_half": [round(resolution_at(c, 0.5, edge), 3) for c in fsc],
            }
        )
    return scores


def _map_states(component: TrueComponent) -> Float64:
    """Ten states in the middle of ten equal parts, or the true ones where they are fewer."""
    if len(component.states) < _MAP_STATES:
        return component.states
    return (np.arange(_MAP_STATES) + 0.5) / _MAP_STATES


def _interpolated(component: TrueComponent, at: Float64) -> NDArray[np.float32]:
    """True maps at any state, linear between the written ones."""
    position = np.interp(at, component.states, np.arange(len(component.states)))
    low = np.minimum(position.astype(int), len(component.states) - 2)
    share = (position - low)[:, None, None, None].astype(np.float32)
    mixed = (1 - share) * component.volumes[low] + share * component.volumes[low + 1]
    return np.asarray(mixed, dtype=np.float32)


def _rest(truth: Truth, moving: TrueComponent) -> NDArray[np.float32]:
    """The other true components half way, to compare whole maps."""
    total: NDArray[np.float32] = np.zeros_like(moving.volumes[0])
    for component in truth.components or []:
        if component is not moving:
            half = np.array([0.5 * (component.states[0] + component.states[-1])])
            is_rigid = len(component.states) == 1
            total += component.volumes[0] if is_rigid else _interpolated(component, half)[0]
    return total


def _population_quantile(run: Run, axis: int, levels: Float64) -> Float64:
    """States at which the run's own population (sum of posteriors) reaches `levels`."""
    tables = run.snapshot.posterior.tables
    sizes = [c.dims for c in run.maps.molecule.components if c.dims]
    if any(size != 1 for size in sizes) or axis >= len(tables):
        return np.quantile(run.states[:, axis], np.clip(levels, 0, 1))
    histogram = tables[axis].sum(axis=0, dtype=np.float64)
    edges = np.linspace(0, 1, len(histogram) + 1)
    cumulated = np.concatenate([[0], np.cumsum(histogram)]) / histogram.sum()
    return np.interp(levels, cumulated, edges)


def score(run: Run, truth: Truth) -> dict[str, Any]:
    """Compare a run with its truth.

    Parameters
    ----------
    run : Run
    truth : Truth
        Rows in the order of the run's particles.

    Returns
    -------
    dict
        ``states`` (per true coordinate: spearman and its standard error, oracle, fraction of the
        oracle), ``contrast_correlation``, ``maps`` (per moving component), ``seconds``.

    Raises
    ------
    HypermolError
        If the truth belongs to other particles.
    """
    n = len(run.contrasts)
    if len(truth.states) != n:
        raise HypermolError(
            f"truth has {len(truth.states)} particles, the run {n}; are they of one stack?"
        )
    sizes = {c.volumes.shape[-1] for c in truth.components or []} - {run.box_size}
    if sizes:
        raise HypermolError(f"true maps of {sizes.pop()} voxels, the run's box has {run.box_size}")
    found, true = run.states, truth.states
    if found.shape[1] < true.shape[1]:
        raise HypermolError(
            f"the truth has {true.shape[1]} states, the run found {found.shape[1]}; "
            "give the recipe a component for each"
        )
    order = _matching(found, true)
    oracle, scale = (None, None)
    if truth.components is not None:
        oracle, scale = oracle_states(run, truth)
    states = []
    for axis, index in enumerate(order):
        value = abs(_spearman(found[:, index], true[:, axis]))
        entry: dict[str, Any] = {
            "true": axis + 1,
            "found": f"hypermolState{index + 1}",
            "spearman": value,
            "standard_error": _spearman_error(value, n),
        }
        if oracle is not None:
            best = abs(_spearman(oracle[:, axis], true[:, axis]))
            entry |= {"oracle": best, "fraction_of_oracle": value / best if best > 0 else None}
        states.append(entry)
    result: dict[str, Any] = {"n_particles": n, "states": states}
    if truth.contrasts is not None:
        result["contrast_correlation"] = _correlation(run.contrasts, truth.contrasts)
    if truth.components is not None:
        result["true_map_scale"] = scale
        result["maps"] = _map_scores(run, truth, order)
    else:
        result["oracle"] = None
        result["why_no_oracle"] = truth.why
    result["seconds"] = run.metrics.get("seconds")
    return result


def _correlation(a: Float64, b: Float64) -> float | None:
    """Pearson's coefficient; None where one of them does not vary."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])

"""How good a run is, against a simulation's truth and against what the data allow.

Everything is aligned over the gauge first: the direction of a state coordinate, its
parametrisation, and which of several like components is which.
"""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from napari_hypermol.errors import HypermolError
from napari_hypermol.runs.fsc import fourier_shell_correlation, resolution_at
from napari_hypermol.runs.oracle import oracle_states
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.truth import TrueComponent, Truth

__all__ = ["score"]

Float64 = NDArray[np.float64]
_MAP_STATES = 10


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

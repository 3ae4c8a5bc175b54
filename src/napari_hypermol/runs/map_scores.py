"""How well found maps agree with true ones along every state."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.runs.correspondence import Correspondence
from napari_hypermol.runs.fsc import fourier_shell_correlation, resolution_at
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.truth import TrueComponent, Truth

__all__ = ["map_scores", "true_maps", "whole_map_score"]

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
_MAP_STATES = 10


def map_scores(run: Run, truth: Truth, found: list[Correspondence]) -> list[dict[str, Any]]:
    """Correlation of (state map - mean map) along every state, the other components at rest.

    Parameters
    ----------
    run : Run
    truth : Truth
        With its maps.
    found : list of Correspondence
        One for each true coordinate.

    Returns
    -------
    list of dict
        For each moving component. A true class for which nothing was found counts as the mean map:
        it explains no difference.
    """
    scores = []
    edge = run.box_size * run.pixel_size
    for component, its in zip(truth.moving, found, strict=True):
        at = _map_states(component)
        true, levels = true_maps(component, at), its.found_at(at)
        result = _found_maps(run, found, its, levels)
        difference, wanted = result - result.mean(axis=0), true - true.mean(axis=0)
        rounding = 1e-6 * float(np.abs(result).max())  # single precision: 6e-8, and some sums
        pairs = zip(difference, wanted, strict=True)
        per_state = [_correlation(a, b, rounding) for a, b in pairs]
        rest = _rest(truth, component, found)
        fsc = [fourier_shell_correlation(f, t + rest) for f, t in zip(result, true, strict=True)]
        scores.append(
            {
                "component": component.name,
                "true_states": [round(float(v), 4) for v in at],
                "found_states": [_rounded(v) for v in levels],
                "difference_correlation": _correlation(difference, wanted, rounding),
                "difference_correlation_per_state": [_rounded(v) for v in per_state],
                "resolution_at_half": [round(resolution_at(c, 0.5, edge), 3) for c in fsc],
            }
        )
    return scores


def whole_map_score(run: Run, truth: Truth, found: list[Correspondence]) -> dict[str, Any]:
    """Correlation and resolution of the whole map, every component at rest.

    Parameters
    ----------
    run, truth, found
        As in `map_scores`; a molecule without states has one map.

    Returns
    -------
    dict
        ``correlation``, Pearson's over the box, and ``resolution_at_half`` [Å].
    """
    state = [0.5] * run.maps.dims
    for its in found:
        state[its.axis] = its.rest[1]
    result, true = run.maps.volume(state), _at_rest(truth, found)
    fsc = fourier_shell_correlation(result, true)
    return {
        "correlation": _correlation(result, true, 0.0),
        "resolution_at_half": round(resolution_at(fsc, 0.5, run.box_size * run.pixel_size), 3),
    }


def _found_maps(
    run: Run, found: list[Correspondence], its: Correspondence, levels: Float64
) -> Float32:
    """Maps at `levels` of one coordinate; their mean where a level is not known."""
    state = [0.5] * run.maps.dims
    for other in found:
        state[other.axis] = other.rest[1]
    maps = []
    for level in levels[np.isfinite(levels)]:
        state[its.axis] = float(level)
        maps.append(run.maps.volume(state))
    result = np.broadcast_to(np.mean(maps, axis=0), (len(levels), *maps[0].shape)).copy()
    result[np.isfinite(levels)] = maps
    return result


def _correlation(a: Float32, b: Float32, rounding: float) -> float | None:
    """Pearson's coefficient; None where one of them does not vary, but for rounding of `a`."""
    if not (a.std() > rounding and b.std() > 0):
        return None
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 4)


def _map_states(component: TrueComponent) -> Float64:
    """Ten states in the middle of ten equal parts, or the true ones where they are fewer."""
    if component.kind == "class" or len(component.states) < _MAP_STATES:
        return component.states
    return (np.arange(_MAP_STATES) + 0.5) / _MAP_STATES


def true_maps(component: TrueComponent, at: Float64) -> Float32:
    """True maps at states `at`: linear between the written ones, or those of the classes."""
    position = np.interp(at, component.states, np.arange(len(component.states)))
    if component.kind == "class":
        return np.asarray(component.volumes[np.rint(position).astype(int)])
    low = np.minimum(position.astype(int), len(component.states) - 2)
    share = (position - low)[:, None, None, None].astype(np.float32)
    mixed = (1 - share) * component.volumes[low] + share * component.volumes[low + 1]
    return np.asarray(mixed, dtype=np.float32)


def _rest(truth: Truth, moving: TrueComponent, found: list[Correspondence]) -> Float32:
    """The other true components at rest, to compare whole maps."""
    return _at_rest(truth, found, without=moving)


def _at_rest(
    truth: Truth, found: list[Correspondence], without: TrueComponent | None = None
) -> Float32:
    """The true molecule with every component at rest."""
    components = truth.components or []
    total: Float32 = np.zeros_like(components[0].volumes[0])
    rests = iter(found)
    for component in components:
        is_rigid = len(component.states) == 1
        rest = 0.0 if is_rigid else next(rests).rest[0]
        if component is not without:
            still = component.volumes if is_rigid else true_maps(component, np.array([rest]))
            total += still[0]
    return total

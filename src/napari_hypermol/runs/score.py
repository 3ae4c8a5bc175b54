"""How good a run is, against a simulation's truth and against what the data allow.

Everything is aligned over the gauge first: the direction of a state coordinate, its
parametrisation, where a full turn starts, the order of classes, and which of several like
components is which.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import HypermolError
from napari_hypermol.runs.correspondence import Correspondence, correspondences, true_kinds
from napari_hypermol.runs.hinge_scores import hinge_errors
from napari_hypermol.runs.map_scores import map_scores
from napari_hypermol.runs.occupancy_scores import occupancy_score
from napari_hypermol.runs.oracle import oracle_states
from napari_hypermol.runs.state_scores import (
    CircularMatch,
    ClassMatch,
    circular_match,
    class_match,
    spearman,
    spearman_error,
)
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.truth import TrueComponent, TrueHinge, Truth

__all__ = ["score"]

Float64 = NDArray[np.float64]


def _range_entry(found: Float64, true: Float64, oracle: Float64 | None) -> dict[str, Any]:
    value = abs(spearman(found, true))
    entry: dict[str, Any] = {
        "spearman": value, "standard_error": spearman_error(value, len(true)),
    }  # fmt: skip
    if oracle is not None:
        best = abs(spearman(oracle, true))
        entry |= {"oracle": best, "fraction_of_oracle": value / best if best > 0 else None}
    return entry


def _turn_entry(match: CircularMatch, true: Float64, oracle: Float64 | None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "circular_correlation": match.correlation, "median_error_turns": match.median_error,
    }  # fmt: skip
    if oracle is not None:
        best = circular_match(oracle, true)
        share = match.correlation / best.correlation if best.correlation > 0 else None
        entry |= {
            "oracle": best.correlation,
            "oracle_median_error_turns": best.median_error,
            "fraction_of_oracle": share,
        }
    return entry


def _class_entry(
    match: ClassMatch, component: TrueComponent, true: Float64, oracle: Float64 | None
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "classification_error": match.error, "adjusted_rand_index": match.rand_index,
    }  # fmt: skip
    if oracle is not None:
        n = len(component.states)
        best = class_match(_nearest(oracle, component), _nearest(true, component), n, n)
        entry |= {
            "oracle": best.error,
            "oracle_adjusted_rand_index": best.rand_index,
            "fraction_of_oracle": (1 - match.error) / (1 - best.error) if best.error < 1 else None,
        }
    return entry


def _nearest(states: Float64, component: TrueComponent) -> NDArray[np.int64]:
    return np.asarray(np.abs(states[:, None] - component.states).argmin(axis=1))


def _state_entries(
    run: Run, truth: Truth, found: list[Correspondence], oracle: Float64 | None
) -> list[dict[str, Any]]:
    entries = []
    for index, (component, its) in enumerate(zip(true_kinds(truth), found, strict=True)):
        true = truth.states[:, index]
        best = None if oracle is None else oracle[:, index]
        entry: dict[str, Any] = {
            "true": index + 1,
            "found": f"hypermolState{its.axis + 1}",
            "kind": "interval" if component is None else component.kind,
        }
        if isinstance(its.match, CircularMatch):
            entry |= _turn_entry(its.match, true, best)
        elif isinstance(its.match, ClassMatch) and component is not None:
            entry |= _class_entry(its.match, component, true, best)
        else:
            entry |= _range_entry(run.states[:, its.axis], true, best)
            occupancy = None if component is None else occupancy_score(run, component, its, true)
            if occupancy is not None:
                entry["occupancy"] = occupancy
        entries.append(entry)
    return entries


def _hinge_entry(run: Run, hinge: TrueHinge | None) -> dict[str, float] | None:
    """Errors of the recovered hinge; None if there is none to compare."""
    trajectories = run.metrics.get("trajectories") or {}
    if hinge is None or not trajectories:
        return None
    if hinge.component not in trajectories and len(trajectories) > 1:
        return None  # of several, none of that name: which one is meant is not known
    its = trajectories.get(hinge.component) or next(iter(trajectories.values()))
    if "axis" not in its or "pivot" not in its:
        return None
    angle, distance = hinge_errors(its["axis"], its["pivot"], hinge.axis, hinge.pivot)
    return {"axis_error_degrees": angle, "pivot_error_pixels": distance / run.pixel_size}


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
        ``states``, per true coordinate by its kind: of an interval ``spearman`` and its standard
        error, and ``occupancy``; of a circle ``circular_correlation`` and ``median_error_turns``;
        of a class ``classification_error`` and ``adjusted_rand_index``; each with its ``oracle``
        and ``fraction_of_oracle`` (of classes, the share of particles in the right one over the
        oracle's). ``hinge`` where one was to be found, ``contrast_correlation``, ``maps`` (per
        moving component), ``seconds``.

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
    matched = correspondences(run, truth)
    oracle, scale = (None, None)
    if truth.components is not None:
        oracle, scale = oracle_states(run, truth)
    states = _state_entries(run, truth, matched, oracle)
    result: dict[str, Any] = {"n_particles": n, "states": states}
    hinge = _hinge_entry(run, truth.hinge)
    if hinge is not None:
        result["hinge"] = hinge
    if truth.contrasts is not None:
        result["contrast_correlation"] = _correlation(run.contrasts, truth.contrasts)
    if truth.components is not None:
        result["true_map_scale"] = scale
        result["maps"] = map_scores(run, truth, matched)
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

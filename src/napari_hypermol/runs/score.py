"""How good a run is, against a simulation's truth and against what the data allow.

Everything is aligned over the gauge first: the direction of a state coordinate, its
parametrisation, where a full turn starts, the order of classes, and which of several like
components is which.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import HypermolError
from napari_hypermol.molecules.sharing import point_group
from napari_hypermol.runs.correspondence import Correspondence, correspondences, true_kinds
from napari_hypermol.runs.found_frame import exchanged, truth_in_frame
from napari_hypermol.runs.hinge_scores import hinge_errors
from napari_hypermol.runs.map_scores import map_scores, whole_map_score
from napari_hypermol.runs.occupancy_scores import occupancy_score
from napari_hypermol.runs.oracle import oracle_states
from napari_hypermol.runs.pose_scores import PoseScores, pose_scores
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
_WITHIN = (5, 10, 15)  # degrees
_SAME_ANGLE, _SAME_SHIFT = 0.01, 0.01  # degrees, pixels: files have six decimals
_FEWEST = 4  # aligned particles, for a correlation to have a standard error


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
        moving component), ``whole_map``, ``seconds``.

        Where poses were not known, ``poses``: median errors and shares of the particles within 5,
        10 and 15 degrees, after the best rotation, hand and offset, and of symmetric molecules
        modulo the symmetry; ``states_of_aligned``: as ``states``, of the particles within 15
        degrees, where those seen from a symmetric side have the true states of the components
        exchanged. Maps are then compared in the found frame. The oracle has the true poses.

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
    if run.states.shape[1] < truth.states.shape[1]:
        raise HypermolError(
            f"the truth has {truth.states.shape[1]} states, the run found {run.states.shape[1]}; "
            "give the recipe a component for each"
        )
    oracle, scale = (None, None)
    if truth.components is not None:
        oracle, scale = oracle_states(run, truth)
    result: dict[str, Any] = {"n_particles": n}
    poses = _found_poses(run, truth)
    seen = truth if poses is None else truth_in_frame(truth, poses, run.pixel_size)
    matched = correspondences(run, seen)
    result["states"] = _state_entries(run, seen, matched, oracle)
    if poses is not None:
        result["poses"] = _poses_entry(run, truth, poses)
        if poses.is_aligned.sum() >= _FEWEST:
            view, seen, best = _aligned(run, seen, oracle, poses, _exchanged(truth, poses))
            matched = correspondences(view, seen)
            result["states_of_aligned"] = _state_entries(view, seen, matched, best)
    hinge = _hinge_entry(run, seen.hinge)
    if hinge is not None:
        result["hinge"] = hinge
    if truth.contrasts is not None:
        result["contrast_correlation"] = _correlation(run.contrasts, truth.contrasts)
    if truth.components is not None:
        result["true_map_scale"] = scale
        result["maps"] = map_scores(run, seen, matched)
        result["whole_map"] = whole_map_score(run, seen, matched)
    else:
        result["oracle"] = None
        result["why_no_oracle"] = truth.why
    result["seconds"] = run.metrics.get("seconds")
    return result


# ---- poses -----------------------------------------------------------------------------------


def _in_pixels(
    run: Run, rotations: NDArray[np.floating], shifts: NDArray[np.floating]
) -> tuple[Float64, Float64]:
    return np.asarray(rotations, np.float64), np.asarray(shifts, np.float64) / run.pixel_size


def _found_poses(run: Run, truth: Truth) -> PoseScores | None:
    """The run's poses against the true ones; None where they are the same, or not known."""
    told = run.read_poses()
    if told is None or truth.rotations is None or truth.shifts is None:
        return None
    found = _in_pixels(run, *told)
    true = _in_pixels(run, truth.rotations, truth.shifts)
    traces = np.einsum("nij,nij->n", found[0], true[0])
    angles = np.degrees(np.arccos(np.clip((traces - 1) / 2, -1, 1)))
    if angles.max() < _SAME_ANGLE and abs(found[1] - true[1]).max() < _SAME_SHIFT:
        return None
    return pose_scores(found, true, point_group(truth.symmetry))


def _poses_entry(run: Run, truth: Truth, poses: PoseScores) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "median_angle_degrees": poses.median_angle,
        "median_shift_pixels": poses.median_shift_error,
    }
    entry |= {f"within_{a}_degrees": poses.within(a) for a in _WITHIN}
    if truth.symmetry != "C1":
        median = float(np.median(poses.angles_modulo_symmetry))
        entry |= {"symmetry": truth.symmetry, "median_angle_degrees_modulo_symmetry": median}
        for angle in _WITHIN:
            entry[f"within_{angle}_degrees_modulo_symmetry"] = poses.within(angle, True)
    entry |= {
        "n_aligned": int(poses.is_aligned.sum()),
        "is_mirrored": poses.is_mirrored,
        "rotation": poses.rotation.tolist(),
        "offset_pixels": poses.offset.tolist(),
    }
    given = run.read_particles().particles
    if given.rotations is not None and truth.rotations is not None and truth.shifts is not None:
        before = pose_scores(
            _in_pixels(run, given.rotations, given.shifts),
            _in_pixels(run, truth.rotations, truth.shifts),
            point_group(truth.symmetry),
        )
        entry["before"] = {
            "median_angle_degrees": before.median_angle,
            "median_shift_pixels": before.median_shift_error,
        }
    return entry


def _exchanged(truth: Truth, poses: PoseScores) -> NDArray[np.int64]:
    """Column of the true states that is seen in the place of each; (n, d)."""
    if truth.components is None:
        places = np.arange(truth.states.shape[1])
        return np.tile(places, (len(poses.operations), 1))
    return np.asarray(exchanged(truth, point_group(truth.symmetry))[poses.operations])


def _aligned(
    run: Run,
    truth: Truth,
    oracle: Float64 | None,
    poses: PoseScores,
    places: NDArray[np.int64],
) -> tuple[Run, Truth, Float64 | None]:
    """The run, its truth and the oracle of the particles that are seen as they are."""
    rows = np.flatnonzero(poses.is_aligned)

    def of_rows(states: Float64) -> Float64:
        return np.asarray(np.take_along_axis(states, places, axis=1)[rows])

    posterior = run.snapshot.posterior
    alone = {name: getattr(posterior, name)[rows] for name in posterior._fields if name != "tables"}
    alone["tables"] = tuple(table[rows] for table in posterior.tables)
    view = Run(run.path, run.facts)
    view.__dict__["snapshot"] = replace(run.snapshot, posterior=type(posterior)(**alone))
    contrasts = None if truth.contrasts is None else truth.contrasts[rows]
    its = replace(truth, states=of_rows(truth.states), contrasts=contrasts)
    return view, its, None if oracle is None else of_rows(oracle)


def _correlation(a: Float64, b: Float64) -> float | None:
    """Pearson's coefficient; None where one of them does not vary."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])

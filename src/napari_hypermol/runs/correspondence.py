"""Which found state stands for which true one.

A state has no direction, no start and no parametrisation of its own, classes have no order, and
components may come in any order: what a score compares is decided here, from the particles' states.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.runs.state_scores import (
    CircularMatch,
    ClassMatch,
    best_cuts,
    circular_match,
    class_match,
    class_of,
    spearman,
)
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.truth import TrueComponent, Truth

__all__ = ["Correspondence", "correspondences", "found_classes", "found_occupancy", "true_kinds"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Correspondence:
    """The found state coordinate that stands for one true coordinate.

    Parameters
    ----------
    axis : int
        Column of the found states.
    found_at : callable
        True states (s,) -> found states (s,); NaN where nothing was found for a true class.
    rest : (true, found)
        The state at which this component is held while another is looked at.
    match : CircularMatch, ClassMatch or None
        None for a range.
    """

    axis: int
    found_at: Callable[[Float64], Float64]
    rest: tuple[float, float]
    match: CircularMatch | ClassMatch | None = None


def true_kinds(truth: Truth) -> list[TrueComponent | None]:
    """The moving component of each true coordinate; None where their maps are not known."""
    if truth.components is None:
        return [None] * truth.states.shape[1]
    return list(truth.moving)


def found_classes(run: Run, axis: int) -> int | None:
    """Number of classes of a found state coordinate; None if it is continuous."""
    recipe = run.recipe.components
    item = recipe.get(run.maps.axis_components[axis])
    if item is not None and item.share is not None:
        item = recipe[item.share]
    if item is None or item.state is None or str(item.state.basis) != "classes":
        return None
    return int(getattr(item.state, "classes"))  # noqa: B009  only classes have it


def correspondences(run: Run, truth: Truth) -> list[Correspondence]:
    """For each true coordinate its found one: the permutation with the highest agreement."""
    components = true_kinds(truth)
    table = [
        [_agreement(run, axis, component, true) for axis in range(run.states.shape[1])]
        for component, true in zip(components, truth.states.T, strict=True)
    ]
    order = max(
        itertools.permutations(range(run.states.shape[1]), len(components)),
        key=lambda axes: sum(row[axis] for row, axis in zip(table, axes, strict=True)),
    )
    return [
        _correspondence(run, axis, component, true)
        for axis, component, true in zip(order, components, truth.states.T, strict=True)
    ]


def _agreement(run: Run, axis: int, component: TrueComponent | None, true: Float64) -> float:
    """Between 0 and 1, by the kind of the true state."""
    found = run.states[:, axis]
    if component is None or component.kind == "interval":
        return abs(spearman(found, true))
    if component.kind == "circle":
        return circular_match(found, true).correlation
    return max(_class_labels(run, axis, component, true)[0].rand_index, 0.0)


def _class_labels(
    run: Run, axis: int, component: TrueComponent, true: Float64
) -> tuple[ClassMatch, NDArray[np.int64], int]:
    """Match, found class of every particle, and number of found classes."""
    n_true = len(component.states)
    wanted = np.abs(true[:, None] - component.states).argmin(axis=1)
    found = run.states[:, axis]
    n_found = found_classes(run, axis)
    if n_found is None:
        labels, n_found = best_cuts(found, wanted, n_true), n_true
    else:
        labels = class_of(found, n_found)
    return class_match(labels, wanted, n_found, n_true), labels, n_found


def _correspondence(
    run: Run, axis: int, component: TrueComponent | None, true: Float64
) -> Correspondence:
    found = run.states[:, axis]
    if component is not None and component.kind == "circle":
        match = circular_match(found, true)
        return Correspondence(axis, match.found_at, (0.5, float(match.found_at(0.5))), match)
    if component is not None and component.kind == "class":
        return _class_correspondence(run, axis, component, true)

    def same_quantile(at: Float64) -> Float64:
        return _occupancy_quantile(run, axis, _levels(found, true, at))

    return Correspondence(axis, same_quantile, (0.5, 0.5))


def _class_correspondence(
    run: Run, axis: int, component: TrueComponent, true: Float64
) -> Correspondence:
    match, labels, n_found = _class_labels(run, axis, component, true)
    found = run.states[:, axis]
    levels = np.full(len(component.states), np.nan)
    for index, label in enumerate(match.found_class):
        if label >= 0:
            members = found[labels == label]
            levels[index] = np.median(members) if len(members) else (label + 0.5) / n_found

    def of_the_class(at: Float64) -> Float64:
        return np.asarray(levels[np.abs(at[:, None] - component.states).argmin(axis=1)])

    known = int(np.flatnonzero(np.isfinite(levels))[0])
    rest = (float(component.states[known]), float(levels[known]))
    return Correspondence(axis, of_the_class, rest, match)


def _levels(found: Float64, true: Float64, at: Float64) -> Float64:
    """Quantile of the found coordinate for true states `at`: the same one, in its direction."""
    ordered = np.sort(true)  # ties, as of discrete states, stand for the middle of their ranks
    left, right = (np.searchsorted(ordered, at, side=side) for side in ("left", "right"))
    levels = 0.5 * (left + right) / len(true)
    return np.asarray(1 - levels if spearman(found, true) < 0 else levels)


def found_occupancy(run: Run, axis: int) -> Float64 | None:
    """The run's own occupancy along a state coordinate: the sum of the posteriors, normalised.

    On equal cells of [0, 1]; None where the run's tables are not of one coordinate each.
    """
    tables = run.snapshot.posterior.tables
    sizes = [c.dims for c in run.maps.molecule.components if c.dims]
    if any(size != 1 for size in sizes) or axis >= len(tables):
        return None
    histogram = tables[axis].sum(axis=0, dtype=np.float64)
    return np.asarray(histogram / histogram.sum())


def _occupancy_quantile(run: Run, axis: int, levels: Float64) -> Float64:
    """States at which the run's own occupancy reaches `levels`."""
    shares = found_occupancy(run, axis)
    if shares is None:
        return np.quantile(run.states[:, axis], np.clip(levels, 0, 1))
    edges = np.linspace(0, 1, len(shares) + 1)
    return np.interp(levels, np.concatenate([[0], np.cumsum(shares)]), edges)

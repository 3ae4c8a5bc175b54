"""Two independent halves: the FSC of every state between molecules that share no particle."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.particles import Particles
from napari_hypermol.runs.chunks import stage_problem
from napari_hypermol.runs.fourier_stack import AnyStack
from napari_hypermol.runs.fsc import fourier_shell_correlation, resolution_at
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.recover import recover
from napari_hypermol.runs.snapshot import RecoverySettings, Snapshot
from napari_hypermol.runs.state_axes import (
    StateAxis,
    class_numbers,
    middle_states,
    shown_states,
)
from napari_hypermol.runs.state_scores import circular_match, class_match, spearman
from napari_hypermol.runs.sweep import expectation, state_tables

__all__ = [
    "HalfSetCurves",
    "half_set_curves",
    "half_set_fsc",
    "half_set_rows",
    "same_state",
    "states_along",
    "states_compared",
]

Float64 = NDArray[np.float64]
_STATES = 5  # along each axis, the others half way; of classes every one
_PROBES = 1000  # particles both halves' molecules are asked about, to bring their states together


class HalfSetCurves(NamedTuple):
    """FSC between the halves, of some states.

    Attributes
    ----------
    axis : str
        Along which the states lie; the others are half way.
    names : list of str
    frequency : (s,) float64 ndarray
        [1/Å].
    fsc : list of (s,) float64 ndarray
    resolution : list of float
        [Å].
    threshold : float
    """

    axis: str
    names: list[str]
    frequency: Float64
    fsc: list[Float64]
    resolution: list[float]
    threshold: float


def half_set_rows(particles: Particles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the two halves: rlnRandomSubset, or every other particle where there is none.

    Raises
    ------
    ParticleFileError
        If the file's halves are not two.
    """
    n = int(particles.images.shape[0])
    halves = np.arange(n) % 2 + 1 if particles.half_sets is None else particles.half_sets
    one, two = np.flatnonzero(halves == 1), np.flatnonzero(halves == 2)
    if min(len(one), len(two)) < 0.05 * n:
        raise ParticleFileError(
            f"rlnRandomSubset puts {len(one)} and {len(two)} of {n} particles in the halves; "
            "expected two halves of similar size"
        )
    return one, two


def half_set_fsc(
    particles: Particles,
    stack: AnyStack,
    composite: Composite,
    settings: RecoverySettings,
    seed: int,
    reporter: Reporter,
) -> dict[str, Any]:
    """Recover each half from its own random start and compare them state by state.

    Returns
    -------
    dict
        ``states`` (list), ``fsc`` (one list per state), ``resolution`` [Å] per state at FSC 0.143.
    """
    halves = half_set_rows(particles)
    snapshots = []
    for index, rows in enumerate(halves):
        rng = np.random.default_rng([seed, index + 1])
        half = reporter.quiet()
        snapshots.append(recover(particles, stack, composite, settings, rows, rng, half))
        reporter.advance(0.5 * (reporter.total - reporter.done), f"half {index + 1} of 2 recovered")
    readings = _readings(particles, stack, snapshots)
    one, two = (s.maps for s in snapshots)
    partners = [same_state(axis, *(r[:, d] for r in readings)) for d, axis in enumerate(one.axes)]
    edge = composite.box_size * particles.pixel_size
    limit = edge / min(s.stage.max_radius for s in snapshots)
    states = states_compared(one.axes)
    curves = []
    for state in states:
        other = [partner(t) for t, partner in zip(state, partners, strict=True)]
        curves.append(fourier_shell_correlation(one.volume(state), two.volume(other)))
    return {
        "states": states,
        "fsc": [[round(float(v), 4) for v in c] for c in curves],
        # beyond the band limit the halves share only the edge of their supports
        "resolution": [max(resolution_at(c, 0.143, edge), limit) for c in curves],
        "threshold": 0.143,
    }


def half_set_curves(
    halves: dict[str, Any], axes: Sequence[StateAxis], edge: float
) -> list[HalfSetCurves]:
    """What `half_set_fsc` found, axis by axis.

    Parameters
    ----------
    halves : dict
    axes : sequence of StateAxis
        Of the molecule; none of a rigid one.
    edge : float
        Of the box [Å].
    """
    curves = [np.asarray(curve, dtype=np.float64) for curve in halves["fsc"]]
    found, start = [], 0
    for index in range(max(len(axes), 1)):
        part = slice(start, start + (len(states_along(axes[index])) if axes else 1))
        start = part.stop
        states = halves["states"][part]
        found.append(
            HalfSetCurves(
                axes[index].name if axes else "the map",
                [axes[index].text(s[index]) for s in states] if axes else ["map"],
                np.arange(len(curves[0])) / edge,
                curves[part],
                halves["resolution"][part],
                halves["threshold"],
            )
        )
    return found


def states_compared(axes: Sequence[StateAxis]) -> list[list[float]]:
    """States along each axis in turn, the others half way; one of no coordinates if rigid."""
    if not axes:
        return [[]]
    states = []
    for index, axis in enumerate(axes):
        for value in states_along(axis):
            state = middle_states(axes)
            state[index] = float(value)
            states.append(state)
    return states


def states_along(axis: StateAxis) -> Float64:
    """The states of one axis at which the halves are compared; (t,)."""
    return shown_states(axis, _STATES, 0.1, 0.9)


def same_state(axis: StateAxis, one: Float64, two: Float64) -> Callable[[float], float]:
    """Where the second half's molecule has a state of the first half's.

    Parameters
    ----------
    axis : StateAxis
    one, two : (n,) float64 ndarray
        The same particles' states, read by either molecule.

    Returns
    -------
    callable
        State of the first molecule -> state of the second: a range runs the same way or the other,
        a circle also begins elsewhere, classes come in another order.
    """
    if axis.kind == "circle":
        turned = circular_match(two, one)
        return lambda state: float(turned.found_at(state))
    if axis.kind == "class":
        k = axis.n_classes
        first, second = (class_numbers(states, k) - 1 for states in (one, two))
        order = class_match(second, first, k, k).found_class
        return lambda state: float(order[class_numbers(np.array([state]), k)[0] - 1] + 0.5) / k
    is_reversed = spearman(one, two) < 0
    return lambda state: 1 - state if is_reversed else state


def _readings(particles: Particles, stack: AnyStack, snapshots: list[Snapshot]) -> list[Float64]:
    """States of the same particles as either half's molecule reads them; (n, d) each."""
    n = int(particles.images.shape[0])
    rows = np.unique(np.linspace(0, n - 1, min(n, _PROBES)).astype(np.int64))
    readings = []
    for snapshot in snapshots:
        radius = snapshot.stage.max_radius
        estimate = snapshot.estimate
        problem = stage_problem(particles, stack, snapshot.molecule, radius, estimate.noise, rows)
        tables = state_tables(snapshot.molecule, estimate.occupancies)
        posterior = expectation(problem, estimate, tables, np.random.default_rng(0))
        readings.append(posterior.state_mean)
    return readings

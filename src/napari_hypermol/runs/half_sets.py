"""Two independent halves: the FSC of every state between molecules that share no particle."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.particles import Particles
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.chunks import FourierStack, stage_problem
from napari_hypermol.runs.fsc import fourier_shell_correlation, resolution_at
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.recover import RecoverySettings, Snapshot, recover
from napari_hypermol.runs.sweep import expectation, state_tables

__all__ = ["half_set_fsc", "half_set_rows"]

_STATES = 5  # along each axis, the others half way
_PROBES = 1000  # particles both halves' molecules are asked about, to bring their states together


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
    stack: FourierStack,
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
        half = Reporter(None, reporter.stop)
        snapshots.append(recover(particles, stack, composite, settings, rows, rng, half))
        reporter.advance(0.5 * (reporter.total - reporter.done), f"half {index + 1} of 2 recovered")
    flips = _flips(particles, stack, snapshots)
    one, two = (s.maps for s in snapshots)
    edge = composite.box_size * particles.pixel_size
    limit = edge / min(s.stage.max_radius for s in snapshots)
    states = _states(one)
    curves = []
    for state in states:
        other = [1 - t if flip else t for t, flip in zip(state, flips, strict=True)]
        curves.append(fourier_shell_correlation(one.volume(state), two.volume(other)))
    return {
        "states": states,
        "fsc": [[round(float(v), 4) for v in c] for c in curves],
        # beyond the band limit the halves share only the edge of their supports
        "resolution": [max(resolution_at(c, 0.143, edge), limit) for c in curves],
        "threshold": 0.143,
    }


def _states(maps: HyperMaps) -> list[list[float]]:
    if maps.dims == 0:
        return [[]]
    states = []
    for axis in range(maps.dims):
        for value in np.linspace(0.1, 0.9, _STATES):
            state = [0.5] * maps.dims
            state[axis] = float(value)
            states.append(state)
    return states


def _flips(
    particles: Particles,
    stack: FourierStack,
    snapshots: list[Snapshot],
) -> list[bool]:
    """Which state coordinates run the other way in the second half's molecule."""
    n = int(particles.images.shape[0])
    rows = np.unique(np.linspace(0, n - 1, min(n, _PROBES)).astype(np.int64))
    readings: list[ParticlePosterior] = []
    for snapshot in snapshots:
        radius = snapshot.stage.max_radius
        estimate = snapshot.estimate
        problem = stage_problem(particles, stack, snapshot.molecule, radius, estimate.noise, rows)
        tables = state_tables(snapshot.molecule)
        readings.append(expectation(problem, estimate, tables, np.random.default_rng(0)))
    one, two = (r.state_mean for r in readings)
    return [bool(spearmanr(one[:, d], two[:, d]).statistic < 0) for d in range(one.shape[1])]

"""How far a run with known poses will get, from mean maps of some of its particles.

Its finest stage and what is left of loose supports decide how much memory its grids take, and both
depend on the images. The mean of a thousand particles says where there is density; how alike its
two halves are says how much finer detail all particles are going to show.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.composite import Composite
from napari_hypermol.particles import Particles
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.chunks import stage_problem, starting_noise
from napari_hypermol.runs.coefficient_step import maximisation
from napari_hypermol.runs.fourier_stack import FourierStack
from napari_hypermol.runs.fsc import fourier_shell_correlation
from napari_hypermol.runs.snapshot import RecoverySettings, Snapshot
from napari_hypermol.runs.stage_start import carried
from napari_hypermol.runs.trimming import trimmed
from napari_hypermol.schedules.marching import EXHAUSTED, final_stage
from napari_hypermol.schedules.stage import Stage

__all__ = ["FEWEST", "MOST", "foreseen"]

Float64 = NDArray[np.float64]
Rows = NDArray[np.int64]
# Particles that are looked at, and fewer than which tell nothing.
MOST, FEWEST = 1024, 32
_FINEST = 64.0  # cycles per box up to which: transforms of more take longer than they tell
_TOLD = 0.15  # FSC of what is signal beyond doubt
_AROUND = 3  # shells averaged
_FITTED = 4  # shells that an extrapolation needs
_SOLVES = 3
# A factor by which the ratio may well be off: states, not known yet, share what the mean has.
_DOUBT = 2.0


def foreseen(
    particles: Particles,
    stack: FourierStack,
    composite: Composite,
    settings: RecoverySettings,
    n: int,
    check: Callable[[], None] = lambda: None,
) -> tuple[Composite, list[Stage], list[Stage]]:
    """The composite that a run is going to end with, and the stages, at the most and at the least.

    Parameters
    ----------
    particles : Particles
        Rotations known.
    stack : FourierStack
    composite : Composite
        As the recipe has it.
    settings : RecoverySettings
    n : int
        Particles; `FEWEST` or more.
    check : callable
        Called before every pass over some of them; may raise to stop.

    Returns
    -------
    Composite
        Supports cut down to where there is density.
    list of Stage
        Without those beyond what the images may well hold.
    list of Stage
        Without those beyond what they hold in any case; mostly the same.
    """
    stages = list(settings.stages)
    rows = np.sort(np.random.default_rng(0).permutation(n)[:MOST]).astype(np.int64)
    first = next((stage for stage in stages if stage.max_degree), stages[0])
    left = trimmed(composite, _mean(particles, stack, composite, settings, rows, first, check))
    if settings.is_adaptive:
        radius = min(max(s.max_radius for s in stages), _FINEST)
        finest = Stage("halves", radius, 0, 1)
        halves = [
            _mean(particles, stack, left, settings, part, finest, check)
            for part in (rows[::2], rows[1::2])
        ]
        ratio = _likeness(*halves) * n / len(rows)
        return left, marched(stages, _DOUBT * ratio), marched(stages, ratio / _DOUBT)
    return left, stages, stages


def _likeness(one: Snapshot, two: Snapshot) -> Float64:
    """Signal-to-noise ratio of two halves together, of the set that is seen best; (shells,).

    A shell for every cycle per box edge.
    """
    box, molecule = one.molecule.box_size, one.molecule
    shells, found = np.arange(box, dtype=np.float64), np.zeros(box)
    parts = (half.molecule.split(half.estimate.theta) for half in (one, two))
    for basis, *both in zip(molecule.bases, *parts, strict=True):
        fsc = fourier_shell_correlation(*(basis.evaluate(part)[0] for part in both))
        known = int(one.stage.max_radius * basis.edge / box) + 1  # its shells are wider
        ratio = signal_to_noise(fsc[:known])
        own = np.interp(shells * basis.edge / box, np.arange(len(ratio)), ratio, right=0.0)
        found = np.maximum(found, own)
    return found


def signal_to_noise(fsc: Float64) -> Float64:
    """Spectral signal-to-noise ratio of two halves together, smooth and without end.

    Parameters
    ----------
    fsc : (shells,) float64 ndarray
        Of the two halves.

    Returns
    -------
    (2 shells,) float64 ndarray
        2 FSC / (1 - FSC), averaged over neighbouring shells, as far as the FSC tells signal from
        chance; from there on along exp(a - b k^2), of which a and b are those of the finer half
        of what is told.
    """
    n = len(fsc)
    smooth = np.convolve(
        np.pad(fsc, _AROUND // 2, mode="edge"), np.ones(_AROUND) / _AROUND, "valid"
    )
    smooth = np.clip(smooth, 0.0, 0.999)
    below = np.flatnonzero(smooth[1:] < _TOLD)
    told = int(below[0]) + 1 if len(below) else n  # shells 0 to told - 1
    ratio = 2 * smooth / (1 - smooth)
    out = np.zeros(2 * n)
    out[:told] = ratio[:told]
    fitted = np.arange(max(told // 2, 1), told)
    if len(fitted) >= _FITTED:
        slope, level = np.polyfit(fitted.astype(np.float64) ** 2, np.log(ratio[fitted]), 1)
        further = np.arange(told, 2 * n, dtype=np.float64)
        out[told:] = np.exp(level + min(slope, 0.0) * further**2)
    return out


def marched(stages: Sequence[Stage], ratio: Float64) -> list[Stage]:
    """Those of the stages that a run gets to, its last as fine as it gets.

    Parameters
    ----------
    stages : sequence of Stage
    ratio : (shells,) float64 ndarray
        Spectral signal-to-noise ratio of the mean, a shell for every cycle per box edge.
    """
    done = [stages[0]]
    for position, stage in enumerate(stages[1:], start=1):
        edge = min(int(done[-1].max_radius), len(ratio) - 1)
        at_edge = ratio[max(edge - _AROUND + 1, 0) : edge + 1].mean()
        if not stage.kindled_sweeps and at_edge / (1 + at_edge) < EXHAUSTED:
            return [*done, final_stage(stages[position:], done[-1].max_radius)]
        done.append(stage)
    return done


def _mean(
    particles: Particles,
    stack: FourierStack,
    composite: Composite,
    settings: RecoverySettings,
    rows: Rows,
    stage: Stage,
    check: Callable[[], None],
) -> Snapshot:
    """The mean of some particles, as far as a stage sees it."""
    check()
    molecule = composite.discretise(stage.max_radius, 0)
    noise = starting_noise(particles, stack)
    problem = stage_problem(particles, stack, molecule, stage.max_radius, noise, rows)
    estimate = carried(problem, None, noise, settings)
    n, n_q = len(rows), sum(molecule.n_functions)
    first = np.ones((n, n_q), dtype=np.float32)
    nothing, ones = np.zeros((n, 0)), np.ones(n)
    posterior = ParticlePosterior(
        nothing, nothing, ones, 0 * ones, first, first[:, :, None] * first[:, None], 0 * ones, ()
    )
    estimate, _ = maximisation(problem, estimate, posterior, _SOLVES, check=check)
    return Snapshot(stage, 0, molecule, estimate, posterior, 1.0, [])

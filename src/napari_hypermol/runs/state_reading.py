"""How a stage reads states and contrasts: whole posterior tables, or one draw of each."""

from typing import NamedTuple

import numpy as np

from napari_hypermol.posterior.states import ParticlePosterior, StateTable
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.state_kernels import move_states
from napari_hypermol.runs.step_sizes import NO_STEPS, StepSizes
from napari_hypermol.runs.sweep import expectation
from napari_hypermol.samplers.state_draws import StateDraw, draw_states
from napari_hypermol.schedules.stage import Stage

__all__ = ["Reading", "read_states"]


class Reading(NamedTuple):
    """What a sweep reads of every particle.

    Attributes
    ----------
    posterior : ParticlePosterior
    drawn : StateDraw or None
        Where the posterior is that of one draw.
    sizes : StepSizes
        Of the stage's kernels after it.
    rate : float or None
        Mean acceptance, where states moved by steps.
    """

    posterior: ParticlePosterior
    drawn: StateDraw | None = None
    sizes: StepSizes = NO_STEPS
    rate: float | None = None


def read_states(
    problem: StageProblem,
    estimate: Estimate,
    tables: tuple[StateTable, ...],
    stage: Stage,
    rng: np.random.Generator,
    kindling: float = 0.0,
    last: StateDraw | None = None,
    sizes: StepSizes = NO_STEPS,
) -> Reading:
    """States and contrasts given poses and coefficients, as a stage says.

    Parameters
    ----------
    problem : StageProblem
    estimate : Estimate
    tables : tuple of StateTable
    stage : Stage
        Its `state`, `contrast` and `temperature`.
    rng : Generator
    kindling : float
        As in `expectation`; weak functions are always read by their tables.
    last : StateDraw or None
        The last draw: where steps begin, and where there are too many states for a joint one.
    sizes : StepSizes
        Of steps.
    """
    if stage.contrast == "hold":
        estimate = estimate._replace(contrast_std=0.0)
    kernel = stage.state
    if kernel == "exact" or kernel == "hold" or kindling > 0:
        posterior = expectation(problem, estimate, tables, rng, kindling, stage.temperature)
        return Reading(posterior, sizes=sizes)
    molecule, factor = problem.molecule, np.float32(stage.temperature)
    b, g = problem.overlaps(estimate.theta, molecule.pairs)
    b, g, std = factor * b, factor * g, estimate.contrast_std
    if kernel == "draw" or last is None or last.states.shape[1] == 0:
        drawn = draw_states(rng, b, g, tables, std, None if last is None else last.entries)
        return Reading(_as_posterior(drawn, tables), drawn, sizes)
    drawn, sizes, rate = move_states(
        rng, b, g, molecule, tables, std, last, kernel, stage.state_steps, sizes
    )
    return Reading(_as_posterior(drawn, tables), drawn, sizes, rate)


def _as_posterior(drawn: StateDraw, tables: tuple[StateTable, ...]) -> ParticlePosterior:
    """All probability on the draw; in the tables, on the entries it is near."""
    n = len(drawn.contrasts)
    hot = []
    for entries, table in zip(drawn.entries.T, tables, strict=True):
        p = np.zeros((n, len(table.states)), dtype=np.float32)
        p[np.arange(n), entries] = 1
        hot.append(p)
    first = (drawn.contrasts[:, None] * drawn.c).astype(np.float32)
    return ParticlePosterior(
        state_mean=drawn.states,
        state_std=np.zeros_like(drawn.states),
        contrast_mean=drawn.contrasts,
        contrast_std=np.zeros(n),
        first=first,
        second=first[:, :, None] * first[:, None, :],
        log_evidence=drawn.log_likelihood,
        tables=tuple(hot),
    )

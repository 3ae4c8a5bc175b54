"""How a stage reads states and contrasts: whole posterior tables, or one draw of each."""

from typing import NamedTuple

import numpy as np

from napari_hypermol.posterior.states import ParticlePosterior, StateTable, state_moments
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
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
    """

    posterior: ParticlePosterior
    drawn: StateDraw | None = None


def read_states(
    problem: StageProblem,
    estimate: Estimate,
    tables: tuple[StateTable, ...],
    stage: Stage,
    rng: np.random.Generator,
    kindling: float = 0.0,
    last: StateDraw | None = None,
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
        The last draw, where there are too many states for a joint one.
    """
    if stage.contrast == "hold":
        estimate = estimate._replace(contrast_std=0.0)
    if stage.state != "draw" or kindling > 0:
        posterior = expectation(problem, estimate, tables, rng, kindling, stage.temperature)
        return Reading(posterior)
    molecule, factor = problem.molecule, np.float32(stage.temperature)
    b, g = problem.overlaps(estimate.theta, molecule.pairs)
    entries = None if last is None else last.entries
    drawn = draw_states(rng, factor * b, factor * g, tables, estimate.contrast_std, entries)
    return Reading(_as_posterior(drawn, tables), drawn)


def _as_posterior(drawn: StateDraw, tables: tuple[StateTable, ...]) -> ParticlePosterior:
    """All probability on the draw."""
    n = len(drawn.contrasts)
    hot = []
    for entries, table in zip(drawn.entries.T, tables, strict=True):
        p = np.zeros((n, len(table.states)), dtype=np.float32)
        p[np.arange(n), entries] = 1
        hot.append(p)
    moments = [state_moments(p, t) for p, t in zip(hot, tables, strict=True)]
    nothing = np.zeros((n, 0))
    first = (drawn.contrasts[:, None] * drawn.c).astype(np.float32)
    return ParticlePosterior(
        state_mean=np.concatenate([*(m for m, _ in moments), nothing], axis=1),
        state_std=np.concatenate([*(s for _, s in moments), nothing], axis=1),
        contrast_mean=drawn.contrasts,
        contrast_std=np.zeros(n),
        first=first,
        second=first[:, :, None] * first[:, None, :],
        log_evidence=drawn.log_likelihood,
        tables=tuple(hot),
    )

"""Whether the particles are in order along their motion: found states against reordered ones."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.runs.path_start import path_states, threaded_posterior
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.snapshot import RecoverySettings, Snapshot
from napari_hypermol.runs.stage_problem import StageProblem
from napari_hypermol.runs.stage_start import carried
from napari_hypermol.runs.stage_sweeps import run_stage
from napari_hypermol.runs.sweep import expectation, state_tables

__all__ = [
    "in_order",
    "threaded",
]

Float64 = NDArray[np.float64]
# An order is preferred even if the log likelihood falls by this share of itself: a fold in a nearly
# straight motion fits as well as its order, and an order that is wrong costs percents.
_NEAR_TIE = 0.002
_THREADED_SWEEPS = 3  # before a new order of the particles is compared with the old one


def in_order(
    snapshot: Snapshot,
    coarse: StageProblem,
    problem: StageProblem,
    settings: RecoverySettings,
    rng: np.random.Generator,
    reporter: Reporter,
) -> Snapshot:
    """The better of what was found and of the same with its particles put in order.

    `coarse`, at a low band limit, is where their order is looked for.
    """
    reporter.check()
    mean = carried(coarse, snapshot, snapshot.estimate.noise, settings)
    states = path_states(coarse, mean, rng)
    return threaded(snapshot, problem, states, settings, rng, reporter)


def threaded(
    snapshot: Snapshot,
    problem: StageProblem,
    states: dict[int, Float64],
    settings: RecoverySettings,
    rng: np.random.Generator,
    reporter: Reporter,
) -> Snapshot:
    """The better of what was found and of the same from other states."""
    posterior = threaded_posterior(problem.molecule, snapshot.posterior, states)
    stage = replace(snapshot.stage, sweeps=_THREADED_SWEEPS, kindled_sweeps=0, settle=0.0)
    quiet = reporter.quiet()  # not planned: a short look aside
    other = run_stage(
        stage, snapshot.position, problem, snapshot.estimate, posterior, settings, rng, quiet,
        snapshot.trace,
        is_last=False,
    )  # fmt: skip
    tables = state_tables(problem.molecule, snapshot.estimate.occupancies)
    found, ordered = (
        # under one noise, one spread of contrasts
        expectation(problem, snapshot.estimate._replace(theta=s.estimate.theta), tables, rng)
        for s in (snapshot, other)
    )
    margin = _NEAR_TIE * abs(float(found.log_evidence.mean()))
    is_better = float((ordered.log_evidence - found.log_evidence).mean()) > -margin
    return replace(other, stage=snapshot.stage, poses=snapshot.poses) if is_better else snapshot

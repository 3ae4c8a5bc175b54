"""How poses move in one sweep of a stage: by the kernels it names, one after another."""

from typing import NamedTuple

import numpy as np

from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.pose_guide import Guide, guide_of
from napari_hypermol.runs.pose_kernels import move_rotations, move_shifts
from napari_hypermol.runs.pose_step import PoseSettings, pose_step
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.step_sizes import StepSizes
from napari_hypermol.runs.sweep import state_tables
from napari_hypermol.samplers.state_draws import StateDraw, are_drawn_jointly
from napari_hypermol.schedules.stage import Stage

__all__ = ["MovedPoses", "move_poses"]


class MovedPoses(NamedTuple):
    """After a sweep's steps.

    Attributes
    ----------
    problem : StageProblem
        The images follow.
    guide : Guide or None
    sizes : StepSizes
    rates : dict of str to float
        Mean acceptance: "pose_acceptance" of steps with all else summed out, and others'.
    """

    problem: StageProblem
    guide: Guide | None
    sizes: StepSizes
    rates: dict[str, float]


def move_poses(
    problem: StageProblem,
    estimate: Estimate,
    posterior: ParticlePosterior | None,
    drawn: StateDraw | None,
    prior: PosePrior,
    moving: PoseSettings,
    stage: Stage,
    rng: np.random.Generator,
    guide: Guide | None,
    sizes: StepSizes,
) -> MovedPoses:
    """Steps given the drawn states first, then those that sum states or contrasts out.

    In this order, because what is summed out must be drawn anew before anything is judged by it:
    states and contrasts are read right after.

    Parameters
    ----------
    problem : StageProblem
    estimate : Estimate
    posterior : ParticlePosterior or None
        Of the states; None before there are any.
    drawn : StateDraw or None
        What steps are given; None before the first draw, and then there are no such steps.
    prior : PosePrior
    moving : PoseSettings
        What is held counts as known.
    stage : Stage
    rng : Generator
    guide : Guide or None
        None at first.
    sizes : StepSizes
    """
    rates: dict[str, float] = {}
    turns, shifts = moving.rotation != "known", moving.shift != "known"
    if drawn is not None and turns and stage.rotation == "mala":
        problem, sizes, rates["rotation_acceptance"] = move_rotations(
            rng, problem, estimate, drawn, prior, stage.pose_steps, sizes, stage.temperature
        )
    shift = stage.shift
    if drawn is not None and shifts and shift != "exact" and shift != "hold":
        problem, sizes, rates["shift_acceptance"] = move_shifts(
            rng, problem, estimate, drawn, prior, shift, stage.pose_steps, sizes, stage.temperature
        )
    summed = moving.held(stage.rotation == "mala", shift != "exact")
    if summed.rotation == summed.shift == "known":
        return MovedPoses(problem, guide, sizes, rates)
    follows = sizes.is_warming_up or not stage.draws_theta  # else the chain is one of draws
    if summed.rotation != "known" and (guide is None or (guide.is_stale and follows)):
        is_shift_known = summed.shift == "known"
        guide = guide_of(
            problem, estimate, prior, posterior, stage.temperature, is_shift_known, guide
        )
    # what is not drawn anew as a whole cannot have been summed out
    tables = state_tables(problem.molecule)
    stays = stage.steps_states or (stage.state == "draw" and not are_drawn_jointly(tables))
    has_tables = posterior is not None and posterior.tables
    problem, info = pose_step(
        problem, estimate, posterior if has_tables else None, prior, summed, rng,
        stage.pose_steps, stage.temperature, None if guide is None else guide.poses,
        drawn.c if drawn is not None and stays else None,
    )  # fmt: skip
    if guide is not None and follows:
        guide = guide.followed(problem.rotations)
    rates["pose_acceptance"] = float(info.acceptance_rate.mean())
    return MovedPoses(problem, guide, sizes, rates)

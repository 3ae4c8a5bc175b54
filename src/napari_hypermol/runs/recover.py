"""Recovery: the stages of a schedule, sweep after sweep, on one set of particles.

Knows no files. `runs.reconstruct` wraps it with a run folder, `runs.half_sets` calls it twice.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.composite import Composite
from napari_hypermol.particles import Particles
from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.runs.chunks import renewed_problem, stage_problem, starting_noise
from napari_hypermol.runs.fourier_stack import AnyStack
from napari_hypermol.runs.freed_memory import give_back_freed_memory
from napari_hypermol.runs.halfway import Halfway, Keeper
from napari_hypermol.runs.initial_model import initial_model, initial_work
from napari_hypermol.runs.one_hand import of_one_hand, state_of_one_hand
from napari_hypermol.runs.particle_order import in_order
from napari_hypermol.runs.path_start import can_be_threaded
from napari_hypermol.runs.pose_prior import learned, pose_prior
from napari_hypermol.runs.pose_search import pose_search
from napari_hypermol.runs.pose_step import Poses, with_poses
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.snapshot import RecoverySettings, Snapshot
from napari_hypermol.runs.stage_point import StagePoint, at_poses, rewhitened
from napari_hypermol.runs.stage_start import carried, gains_states, started
from napari_hypermol.runs.stage_sweeps import averaging_work, run_stage
from napari_hypermol.runs.trimming import cuts_among, trimmed
from napari_hypermol.schedules.marching import EXHAUSTED, final_stage
from napari_hypermol.schedules.stage import work_of

__all__ = ["found_poses", "recover"]

ONE_HAND = "one_hand"  # in the trace: a molecule of one hand was taken and its stage done again
_SEARCH_RADIUS = 9.0  # [cycles per box edge]: what can be told apart 15 degrees apart


def recover(
    particles: Particles,
    stack: AnyStack,
    composite: Composite,
    settings: RecoverySettings,
    rows: NDArray[np.int64],
    rng: np.random.Generator,
    reporter: Reporter,
    on_stage: Callable[[Snapshot], None] = lambda snapshot: None,
    start: Snapshot | None = None,
    keeper: Keeper | None = None,
) -> Snapshot:
    """Recover the hypermolecule and every particle's state and contrast.

    Parameters
    ----------
    particles : Particles
        Rotations known.
    stack : FourierStack or RemoteStack
    composite : Composite
    settings : RecoverySettings
    rows : (m,) int64 ndarray
        Particles to use.
    rng : Generator
    reporter : Reporter
    on_stage : callable
        Given a `Snapshot` after every stage.
    start : Snapshot or None
        Go on from here.
    keeper : Keeper or None
        Is offered where the recovery stands after every sweep, and knows where it stood when it was
        interrupted; that is later than `start`, or not looked at.

    Returns
    -------
    Snapshot
        After the last stage.
    """
    snapshot = start
    stages = list(settings.stages)
    draws = rng.spawn(len(stages))  # one generator a stage: a resumed run draws the same numbers
    # and one more for the stage that is done again for a molecule of one hand
    repeats = [draw.spawn(1)[0] for draw in draws]
    position, is_threaded = 0, False
    is_one_hand = start is not None and any(ONE_HAND in row for row in start.trace)
    prior = None if settings.poses is None else pose_prior(particles, rows, settings.poses)
    if settings.poses is not None:
        reporter.total += averaging_work(stages[-1])
    is_search = settings.poses is not None and settings.poses.is_search
    if is_search and start is None:
        particles = _searched(particles, stack, composite, settings, rows, rng, reporter, keeper)
    if start is not None and start.poses is not None:
        particles = with_poses(particles, rows, start.poses)
    moves_poses = settings.poses is not None
    while position < len(stages):
        stage = stages[position]
        position += 1
        if start is not None and position <= start.position:
            reporter.advance(work_of([stage], moves_poses), f"{stage.name}: done before")
            is_threaded = is_threaded or stage.max_degree > 1
            continue
        has_begun = snapshot is not None and not stage.kindled_sweeps
        if settings.is_adaptive and has_begun and snapshot and _is_exhausted(snapshot):
            stage = final_stage(stages[position - 1 :], snapshot.stage.max_radius)
            saved = work_of(stages[position - 1 :], moves_poses) - work_of([stage], moves_poses)
            if moves_poses:
                saved += averaging_work(stages[-1]) - averaging_work(stage)
            position = len(stages)
            reporter.spare(saved, "the images hold little finer detail")
        is_repeat = snapshot is not None and ONE_HAND in snapshot.trace[-1]
        draw = repeats[position - 1] if is_repeat else draws[position - 1]
        kept = None
        if keeper is not None:
            # of this very stage: a recipe that was changed meanwhile has another one
            where = {"position": position, "is_repeat": is_repeat, "stage": asdict(stage)}
            kept = keeper.begun("stage", **where)
        has_poses = snapshot is not None and snapshot.poses is not None
        if stage.searches and prior is not None and has_poses and kept is None:
            assert snapshot is not None
            poses = _searched_again(
                particles, stack, snapshot, settings, rows, prior, draw, reporter
            )
            particles = with_poses(particles, rows, poses)
        trims = snapshot is not None and (snapshot.stage.max_degree > 0 or stage.max_degree < 1)
        whole = composite
        if kept is not None:
            cuts = cuts_among(int(kept.facts.get("n_cuts", 0)), kept.arrays)
            whole = composite.trimmed(cuts) if cuts else composite
        elif trims and snapshot is not None:
            whole = trimmed(composite, snapshot)
        molecule = whole.discretise(stage.max_radius, stage.max_degree)
        if snapshot is not None:
            molecule = molecule.with_trajectories(snapshot.molecule.trajectories)
        noise = starting_noise(particles, stack) if snapshot is None else snapshot.estimate.noise
        noise = noise[:, : stack.n_shells]  # of runs of earlier versions it has more
        give_back_freed_memory()
        problem = stage_problem(particles, stack, molecule, stage.max_radius, noise, rows)
        estimate = carried(problem, snapshot, noise, settings)
        posterior = None
        renewed = None
        if settings.poses is not None:
            renewed = partial(
                renewed_problem, particles=particles, stack=stack, max_radius=stage.max_radius,
                rows=rows,
            )  # fmt: skip
        begun = None
        if kept is not None:
            begun = StagePoint.of(kept, stage, molecule, noise.shape[1])
            estimate, posterior = begun.estimate, begun.posterior
            problem = replace(problem, molecule=begun.molecule)
            if renewed is not None and begun.rotations is not None and begun.shifts is not None:
                problem = at_poses(problem, begun.rotations, begun.shifts)
                problem = renewed(problem, estimate.noise)
            else:
                problem = rewhitened(problem, begun.noises)
        elif snapshot is None or gains_states(snapshot.molecule, molecule):
            problem, estimate, posterior = started(problem, estimate, draw)
        is_first_moving = snapshot is not None and gains_states(snapshot.molecule, molecule)
        if settings.poses is not None and settings.poses.learns_rotation_std:
            before = None if snapshot is None else snapshot.poses
            prior = learned(prior, before) if prior is not None and before is not None else prior
        trace = [] if snapshot is None else snapshot.trace
        trace = trace if begun is None else begun.trace
        held = [problem]
        del problem  # its images are large: only the stage is to have them, and new ones after them
        snapshot = run_stage(
            stage, position, held.pop(), estimate, posterior, settings, draw, reporter,
            trace,
            is_last=position == len(stages),
            prior=prior,
            renewed=renewed,
            keeper=keeper,
            begun=begun,
            is_repeat=is_repeat,
        )  # fmt: skip
        if snapshot.poses is not None:
            particles = with_poses(particles, rows, snapshot.poses)
        if is_first_moving and is_search and prior is not None and not is_one_hand:
            state = state_of_one_hand(snapshot)
            if state is not None:
                is_one_hand = True  # once: a real motion may have mirror images at its ends
                position -= 1
                still = of_one_hand(snapshot, composite, state, stages[position - 1], position)
                poses = _searched_again(
                    particles, stack, still, settings, rows, prior, draw, reporter
                )
                # the trace tells a resumed run of it
                trace = [*still.trace[:-1], still.trace[-1] | {ONE_HAND: 1.0}]
                snapshot = replace(still, poses=poses, trace=trace)
                particles = with_poses(particles, rows, poses)
                reporter.total += work_of([stage], moves_poses)  # which is done again
                on_stage(snapshot)
                if keeper is not None:
                    keeper.forget()
                continue
        is_first = stage.max_degree > 1 and not is_threaded
        if is_first and position < len(stages) and can_be_threaded(snapshot.molecule):
            coarse, fine = (
                stage_problem(particles, stack, m, radius, snapshot.estimate.noise, rows)
                for m, radius in (
                    (composite.discretise(stages[0].max_radius, 1), stages[0].max_radius),
                    (snapshot.molecule, stage.max_radius),
                )
            )
            snapshot = in_order(snapshot, coarse, fine, settings, draw, reporter)
        is_threaded = is_threaded or is_first
        on_stage(snapshot)
        if keeper is not None:
            keeper.forget()
    assert snapshot is not None  # a schedule has at least one stage
    return snapshot


def _searched(
    particles: Particles,
    stack: AnyStack,
    composite: Composite,
    settings: RecoverySettings,
    rows: NDArray[np.int64],
    rng: np.random.Generator,
    reporter: Reporter,
    keeper: Keeper | None,
) -> Particles:
    """The particles with poses from nothing, found now or before an interruption."""
    n = len(rows)
    kept = None
    if keeper is not None:
        kept = keeper.begun("poses") or keeper.begun("stage")
    if kept is not None:
        arrays = kept.arrays
        poses = Poses(arrays["rotations"], arrays["shifts"], np.zeros(n), np.zeros(n))
        return with_poses(particles, rows, poses)
    found = found_poses(particles, stack, composite, settings, rows, rng, reporter)
    assert found.rotations is not None
    if keeper is not None:
        arrays = {"rotations": found.rotations[rows], "shifts": found.shifts[rows]}
        keeper.offer(lambda: Halfway("poses", {}, arrays))
    return found


def found_poses(
    particles: Particles,
    stack: AnyStack,
    composite: Composite,
    settings: RecoverySettings,
    rows: NDArray[np.int64],
    rng: np.random.Generator,
    reporter: Reporter,
) -> Particles:
    """The particles with poses from nothing."""
    assert settings.poses is not None
    n, box = int(particles.images.shape[0]), composite.box_size
    unturned = np.tile(np.eye(3), (n, 1, 1))
    particles = particles._replace(rotations=unturned)
    if settings.poses.shift == "search":
        particles = particles._replace(shifts=np.zeros((n, 2)))
    reporter.total += initial_work(len(rows), settings.poses.n_starts)
    std = settings.poses.shift_std or 0.05 * box * particles.pixel_size
    model = initial_model(
        particles, stack, composite, rows, std / particles.pixel_size, rng, reporter,
        mode=settings.poses.search_mode, n_starts=settings.poses.n_starts,
    )  # fmt: skip
    return with_poses(particles, rows, model.poses)


def _searched_again(
    particles: Particles,
    stack: AnyStack,
    snapshot: Snapshot,
    settings: RecoverySettings,
    rows: NDArray[np.int64],
    prior: PosePrior,
    rng: np.random.Generator,
    reporter: Reporter,
) -> Poses:
    """The poses after another look at the whole grid, with the molecule found so far."""
    assert settings.poses is not None
    n, noise, radius = len(rows), snapshot.estimate.noise, snapshot.stage.max_radius
    unturned = np.tile(np.eye(3, dtype=np.float32), (n, 1, 1))
    middle = Poses(unturned, prior.shifts * particles.pixel_size, np.zeros(n), np.zeros(n))
    problem, coarse = (
        stage_problem(whole, stack, snapshot.molecule, limit, noise, rows)
        for whole, limit in (
            (particles, radius),
            (with_poses(particles, rows, middle), min(_SEARCH_RADIUS, radius)),
        )
    )
    problem, moved = pose_search(
        problem, coarse, snapshot.estimate, prior, settings.poses, rng, reporter.check
    )
    reporter.advance(0.0, f"poses searched again, {len(moved)} of {n} are elsewhere")
    return Poses(problem.rotations, problem.shifts, np.zeros(n), np.zeros(n))


def _is_exhausted(snapshot: Snapshot) -> bool:
    """Whether the mean molecule at the edge of the band limit is prior rather than data."""
    return snapshot.edge_share < EXHAUSTED

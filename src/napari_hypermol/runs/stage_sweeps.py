"""All sweeps of one stage: poses, states, coefficients, and what is estimated beside them."""

import time
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.coefficient_draw import coefficient_draw
from napari_hypermol.runs.coefficient_kernels import move_coefficients
from napari_hypermol.runs.coefficient_step import maximisation
from napari_hypermol.runs.halfway import Keeper
from napari_hypermol.runs.image_work import scaled
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.noise_draw import noise_draw
from napari_hypermol.runs.noise_step import updated_noise
from napari_hypermol.runs.pose_average import averaged
from napari_hypermol.runs.pose_guide import Guide
from napari_hypermol.runs.pose_step import Poses
from napari_hypermol.runs.priors import (
    density_priors,
    given_occupancies,
    learned_occupancies,
    precision_priors,
)
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.snapshot import RecoverySettings, Snapshot
from napari_hypermol.runs.stage_point import Renewed, StagePoint
from napari_hypermol.runs.stage_poses import move_poses
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.stage_start import NEW_FUNCTION
from napari_hypermol.runs.state_reading import Reading, read_states
from napari_hypermol.runs.step_sizes import NO_STEPS, StepSizes
from napari_hypermol.runs.sweep import (
    edge_share,
    expectation,
    state_tables,
)
from napari_hypermol.runs.trajectory_step import trajectory_step
from napari_hypermol.samplers.conjugate_gradient import SolveInfo
from napari_hypermol.samplers.state_draws import StateDraw
from napari_hypermol.schedules.stage import Stage, work_of

__all__ = ["averaging_work", "run_stage"]

Float64 = NDArray[np.float64]
# Mean information about a weak state function at which it is read while kindled: enough to tell the
# ends of its range apart, not its middle.
_KINDLING = 3.0
# While kindled, new state functions start from so little of the mean's spectrum that the solve is a
# matched filter and noise cannot pose as signal.
_KINDLED_FUNCTION = 1e-3
# Draws of all poses at the end, to average over: so many steps lie between them because reading
# the states takes as long as two.
_POSE_DRAWS, _LONGER = 16, 1.5
_DRAW_WORK = 0.5  # of one of them, in sweeps
_DRAW_ITERATIONS, _DRAW_TOLERANCE = 30, 1e-3  # of the solve that draws coefficients


def run_stage(
    stage: Stage,
    position: int,
    problem: StageProblem,
    estimate: Estimate,
    posterior: ParticlePosterior | None,
    settings: RecoverySettings,
    rng: np.random.Generator,
    reporter: Reporter,
    trace: list[dict[str, float | str]],
    is_last: bool,
    prior: PosePrior | None = None,
    renewed: Renewed | None = None,
    keeper: Keeper | None = None,
    begun: StagePoint | None = None,
    is_repeat: bool = False,
) -> Snapshot:
    """All sweeps of one stage; poses are sampled where they have a prior.

    With `renewed` the images are whitened anew after every sweep rather than moved and scaled
    further. `keeper` is offered where the stage stands after every sweep; with `begun` it goes on
    from there, `problem`, `estimate` and `posterior` being those of that point.
    """
    molecule = problem.molecule
    poses = settings.poses if prior is not None else None
    moving = poses and poses.held(stage.rotation == "hold", stage.shift == "hold")
    if moving is not None and moving.rotation == moving.shift == "known":
        moving = None
    drawn: StateDraw | None = None
    guide: Guide | None = None
    sizes = NO_STEPS
    tables = state_tables(molecule)
    users = [int(np.flatnonzero(molecule.owners == s)[0]) for s in range(len(molecule.bases))]
    kindled_sets = np.array(["circle" not in molecule.kinds(m) for m in users])
    if given := given_occupancies(tables, settings.priors):
        estimate = estimate._replace(occupancies=given)
    previous: Float64 | None = None
    noises, first, share = [estimate.noise], 0, None
    if begun is not None:
        rng, previous = begun.generator(), begun.posterior.state_mean
        noises, first, share = list(begun.noises), begun.sweep, begun.edge_share
        drawn, guide, sizes = begun.drawn, begun.guide, begun.sizes
    for sweep in range(first, stage.sweeps if share is None else first):
        began = time.monotonic()
        is_kindled = sweep < stage.kindled_sweeps
        if sweep == 0 and is_kindled:
            estimate = with_new_functions(estimate, _KINDLED_FUNCTION, kindled_sets)
        elif sweep > 0 and sweep == stage.kindled_sweeps:
            estimate = with_new_functions(estimate, NEW_FUNCTION, kindled_sets)
        rates: dict[str, float] = {}
        sizes = replace(sizes, is_warming_up=sweep < stage.warm_until)
        # poses of a moving molecule wait for its states: its mean map would blur those of the file,
        # not those of a grid, which are coarser
        is_found = poses is not None and poses.is_search
        waits = is_kindled or (stage.max_degree == 0 and _will_move(molecule) and not is_found)
        has_moved = moving is not None and not waits and bool(estimate.theta.any())
        if has_moved and moving is not None and prior is not None:
            reporter.check()
            judged = estimate if stage.contrast != "hold" else estimate._replace(contrast_std=0.0)
            problem, guide, sizes, rates = move_poses(
                problem, judged, posterior, drawn, prior, moving, stage, rng, guide, sizes
            )
        if posterior is None or (sweep > 0 and stage.state != "hold"):
            kindling = _KINDLING if is_kindled else 0.0
            tables = state_tables(molecule, estimate.occupancies)
            read = read_states(problem, estimate, tables, stage, rng, kindling, drawn, sizes)
            posterior, drawn, sizes, rate = read
            if rate is not None:
                rates["state_acceptance"] = rate
            if stage.theta == "solve":
                posterior, drawn = _unit_contrast(posterior, drawn)
            if settings.priors.occupancy == "histogram" and not is_kindled:
                learned = learned_occupancies(tables, posterior.tables)
                estimate = estimate._replace(occupancies=learned)
        is_new = stage.kindled_sweeps > 0 and sweep in (0, stage.kindled_sweeps)
        rounds = stage.solve_iterations * (2 if is_new else 1)
        read, before = Reading(posterior, drawn, sizes), estimate.noise
        solved, info, sizes, rate = _maps(
            problem, estimate, read, stage, settings, rng, rounds, sweep, reporter, has_moved
        )
        if rate is not None:
            rates["theta_acceptance"] = rate
        if is_kindled:
            solved = _with_functions_of(solved, estimate, kindled_sets)
        estimate = solved
        if any(t is not None and t.is_learned for t in molecule.trajectories):
            molecule = trajectory_step(problem, estimate.theta, posterior)
            problem = replace(problem, molecule=molecule)
        is_estimated = settings.refine_contrast and settings.contrast_std is None
        has_spread = drawn is not None or posterior.contrast_std.any()
        if is_estimated and stage.contrast != "hold" and has_spread:
            estimate = estimate._replace(contrast_std=_contrast_spread(posterior))
        noise = _noise(problem, estimate, before, posterior, drawn, stage, sweep, rng)
        if noise is not None:
            if renewed is None:
                problem = problem.with_noise(before, noise)
            estimate = estimate._replace(noise=noise)
            noises.append(noise)
        if renewed is not None:
            problem, noises = renewed(problem, estimate.noise), [estimate.noise]
        moved = _movement(previous, posterior.state_mean, molecule)
        previous = posterior.state_mean
        evidence = float(posterior.log_evidence.mean())
        trace = [
            *trace,
            {
                "stage": stage.name,
                "sweep": float(sweep + 1),
                "seconds": time.monotonic() - began,
                "log_likelihood_per_particle": evidence,
                "state_change": moved,
                "solve_iterations": float(info.n_iterations),
                "solve_residual": info.residual,
                "contrast_std": estimate.contrast_std,
            },
        ]
        trace[-1].update(rates)
        if has_moved and prior is not None and prior.rotation_precision:
            trace[-1]["rotation_prior"] = float(np.degrees(prior.rotation_precision**-0.5))
        detail = molecule.box_size * problem.pixel_size / stage.max_radius
        message = f"{stage.name}, sweep {sweep + 1}/{stage.sweeps}, {detail:.1f} Å"
        is_settled = not is_kindled and sweep > stage.kindled_sweeps and moved < stage.settle
        remaining = stage.sweeps - sweep - 1 if is_settled else 0
        worth = work_of([stage], poses is not None) / stage.sweeps
        maps = HyperMaps(molecule, estimate.theta)
        row = trace[-1] | {
            "position": position,
            "sweeps": stage.sweeps,
            "max_radius": stage.max_radius,
            "max_degree": stage.max_degree,
            "noise": float(np.median(estimate.noise)),
        }
        is_over = is_settled or sweep == stage.sweeps - 1
        if is_over:
            share = edge_share(problem, estimate, posterior)
            trace[-1]["edge_share"] = share
        if keeper is not None and (is_last or not is_over):
            shifts = None if poses is None else problem.shifts
            rotations = None if poses is None else problem.rotations
            point = StagePoint(
                stage, position, sweep + 1, estimate, posterior, molecule, tuple(noises),
                rotations, shifts, trace, dict(rng.bit_generator.state), share, drawn,
                guide, sizes, has_moments=stage.state == "hold", is_repeat=is_repeat,
            )  # fmt: skip
            keeper.offer(point.halfway)
        reporter.advance(worth * (1 + remaining), message, maps, row)
        if is_settled:
            break
    assert posterior is not None  # at least one sweep ran
    assert share is not None
    final = None
    if is_last:
        tables = state_tables(molecule, estimate.occupancies)
        posterior = expectation(problem, estimate, tables, rng)
    if poses is not None and prior is not None:
        n = len(problem.shifts)
        final = Poses(problem.rotations, problem.shifts, np.zeros(n), np.zeros(n))
        if is_last and moving is not None:
            _, posterior, final = averaged(
                problem, estimate, posterior, prior, moving, rng, _POSE_DRAWS,
                round(_LONGER * stage.pose_steps), partial(_tell_draw, reporter, stage), guide,
            )  # fmt: skip
    return Snapshot(stage, position, molecule, estimate, posterior, share, trace, final)


def averaging_work(stage: Stage) -> float:
    """Planned work of the draws of poses after the last stage, as `work_of` measures it."""
    return _POSE_DRAWS * _DRAW_WORK * work_of([stage], moves_poses=True) / stage.sweeps


def _tell_draw(reporter: Reporter, stage: Stage, draw: int) -> None:
    work = averaging_work(stage) / _POSE_DRAWS if draw else 0.0
    reporter.advance(work, f"poses are drawn to average over, {draw + 1}/{_POSE_DRAWS}")


def _maps(
    problem: StageProblem,
    estimate: Estimate,
    read: Reading,
    stage: Stage,
    settings: RecoverySettings,
    rng: np.random.Generator,
    rounds: int,
    sweep: int,
    reporter: Reporter,
    is_brief: bool,
) -> tuple[Estimate, SolveInfo, StepSizes, float | None]:
    """Coefficients given the rest, as the stage says; solved for, also their spectra and the noise.

    With the step sizes after it, and the mean acceptance of steps.
    """
    molecule, sizes = problem.molecule, read.sizes
    if stage.theta == "hold":
        return estimate, SolveInfo(0, 0.0), sizes, None
    priors = precision_priors(estimate.spectra, molecule, settings.priors)
    if stage.theta == "draw" and read.drawn is not None:
        theta, info = coefficient_draw(
            rng, problem, estimate.theta, read.drawn, priors, _DRAW_ITERATIONS, _DRAW_TOLERANCE,
            reporter.check,
        )  # fmt: skip
        return estimate._replace(theta=theta), info, sizes, None
    # kindled state functions are not densities yet
    seen = molecule.zeros() if sweep < stage.kindled_sweeps else estimate.theta
    further = density_priors(seen, molecule, settings.priors)
    kernel = stage.theta
    if read.drawn is not None and (kernel == "mala" or kernel == "hmc" or kernel == "langevin"):
        theta, sizes, rate = move_coefficients(
            rng, problem, estimate.theta, read.drawn, priors, further, kernel, stage.theta_steps,
            sizes, sweep * stage.theta_steps, reporter.check,
        )  # fmt: skip
        return estimate._replace(theta=theta), SolveInfo(stage.theta_steps, 0.0), sizes, rate
    # a stage leaves behind the noise of the maps that it leaves: that takes a pass of its own
    is_followed = _has_new_noise(stage, sweep, read.drawn) and sweep < stage.sweeps - 1
    solved, info = maximisation(
        problem, estimate, read.posterior, rounds, check=reporter.check, priors=priors,
        further=further, is_brief=is_brief, updates_noise=is_followed,
    )  # fmt: skip
    return solved, info, sizes, None


def _noise(
    problem: StageProblem,
    estimate: Estimate,
    before: Float64,
    posterior: ParticlePosterior,
    drawn: StateDraw | None,
    stage: Stage,
    sweep: int,
    rng: np.random.Generator,
) -> Float64 | None:
    """New noise spectra, those that the solve left or others; None where they stay."""
    if estimate.noise is not before:
        return estimate.noise
    if stage.noise == "draw" and drawn is not None:
        return noise_draw(rng, problem, estimate, drawn)
    if _has_new_noise(stage, sweep, drawn):
        return updated_noise(problem, estimate, posterior)
    return None


def _has_new_noise(stage: Stage, sweep: int, drawn: StateDraw | None) -> bool:
    """Whether noise is estimated in a sweep: every other time, as it follows the maps."""
    is_estimated = stage.noise == "estimate" or (stage.noise == "draw" and drawn is None)
    return is_estimated and (sweep % 2 == 1 or sweep == stage.sweeps - 1)


def _with_functions_of(
    solved: Estimate, before: Estimate, is_kindled: NDArray[np.bool_]
) -> Estimate:
    """Spectra of state functions as they were before, in the sets it says."""
    spectra = [
        np.concatenate([new[:1], old[1:]]) if is_new else new
        for new, old, is_new in zip(solved.spectra, before.spectra, is_kindled, strict=True)
    ]
    return solved._replace(spectra=spectra)


def _will_move(molecule: LinearMolecule) -> bool:
    """Whether the molecule has states at all, whatever this stage's band limit."""
    return any(c.dims for c in molecule.components)


def with_new_functions(
    estimate: Estimate, fraction: float, is_kindled: NDArray[np.bool_]
) -> Estimate:
    """Every state function's spectrum set to a fraction of the mean's, in the sets it says."""
    spectra = []
    for spectrum, is_new in zip(estimate.spectra, is_kindled, strict=True):
        if not is_new:
            spectra.append(spectrum)
            continue
        out = np.repeat(spectrum[:1] * fraction, len(spectrum), axis=0)
        out[0] = spectrum[0]
        spectra.append(out)
    return estimate._replace(spectra=spectra)


def _unit_contrast(
    posterior: ParticlePosterior, drawn: StateDraw | None = None
) -> tuple[ParticlePosterior, StateDraw | None]:
    """The same posterior and draw in units in which contrasts are 1 on average.

    Only the product of contrast and molecule is seen. A prior shrinks the molecule, contrasts make
    up for it, and their estimated spread then lets them drift further (to 1.26 in a test at SNR 1).
    """
    scale = posterior.contrast_mean.mean()
    if drawn is not None:
        drawn = drawn._replace(contrasts=drawn.contrasts / scale)
    posterior = posterior._replace(
        contrast_mean=posterior.contrast_mean / scale,
        contrast_std=posterior.contrast_std / scale,
        first=scaled(posterior.first, 1 / scale),
        second=scaled(posterior.second, 1 / scale**2),
    )
    return posterior, drawn


def _contrast_spread(posterior: ParticlePosterior) -> float:
    """Standard deviation of the contrasts about 1, kept between 2 and 50 %."""
    square = posterior.contrast_std**2 + (posterior.contrast_mean - 1) ** 2
    return float(np.clip(np.sqrt(square.mean()), 0.02, 0.5))


def _movement(previous: Float64 | None, states: Float64, molecule: LinearMolecule) -> float:
    """Mean absolute change of the states; 1 before there is anything to compare with."""
    if previous is None or previous.shape != states.shape or states.size == 0:
        return 1.0
    change = np.abs(states - previous)
    kinds = [kind for m in range(len(molecule.components)) for kind in molecule.kinds(m)]
    for axis, kind in enumerate(kinds):
        if kind == "circle":
            change[:, axis] = np.minimum(change[:, axis], 1 - change[:, axis])
    return float(change.mean())

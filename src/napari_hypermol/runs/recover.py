"""Recovery: the stages of a schedule, sweep after sweep, on one set of particles.

Knows no files. `runs.reconstruct` wraps it with a run folder, `runs.half_sets` calls it twice.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.state_algebra import embedding
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.particles import Particles
from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.chunks import FourierStack, stage_problem, starting_noise
from napari_hypermol.runs.circle_start import circle_states
from napari_hypermol.runs.initial_model import initial_model
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.path_start import can_be_threaded, path_states, threaded_posterior
from napari_hypermol.runs.pose_step import (
    Poses,
    PoseSettings,
    averaged,
    pose_prior,
    pose_step,
    with_poses,
)
from napari_hypermol.runs.priors import (
    PriorSettings,
    density_priors,
    given_occupancies,
    learned_occupancies,
    precision_priors,
)
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.sweep import (
    Estimate,
    StageProblem,
    edge_share,
    expectation,
    maximisation,
    precisions,
    state_tables,
    updated_noise,
)
from napari_hypermol.runs.trajectory_step import initial_trajectories, trajectory_step
from napari_hypermol.schedules.stage import Stage

__all__ = ["RecoverySettings", "Snapshot", "recover", "work_of"]

Float64 = NDArray[np.float64]
# Mean information about a weak state function at which it is read while kindled: enough to tell the
# ends of its range apart, not its middle.
_KINDLING = 3.0
_CONTRAST_STD = 0.1  # to begin with; re-estimated
_MEAN_PRIOR = 20.0  # start of the mean's spectrum, relative to the data's mean precision
# New state functions start from a fraction of the mean's spectrum; while kindled from so little
# that the solve is a matched filter and noise cannot pose as signal.
_NEW_FUNCTION = 0.1
_KINDLED_FUNCTION = 1e-3
# An order is preferred even if the log likelihood falls by this share of itself: a fold in a nearly
# straight motion fits as well as its order, and an order that is wrong costs percents.
_NEAR_TIE = 0.002
_THREADED_SWEEPS = 3  # before a new order of the particles is compared with the old one
_SLOPE_SHELLS = 4  # over which the fall of a spectrum is read, to go on beyond the band limit
_MOST_FALL = 30.0  # more makes solves slow, less fills new shells with noise
_EXHAUSTED = 0.5  # share of the mean at the band edge that is data, below which marching ends
_LAST_STEP = 1.1  # there, and the last stage goes this much further
_POSE_STEPS = 4  # Metropolis steps of every pose a sweep
_POSE_DRAWS = 24  # of all poses at the end, to average over


class RecoverySettings(NamedTuple):
    """What of the recipe the recovery needs.

    Attributes
    ----------
    stages : sequence of Stage
    refine_contrast : bool
    priors : PriorSettings
    contrast_std : float or None
        Of the contrasts' prior; None: estimated.
    is_adaptive : bool
        Leave out stages whose band limit is beyond what the data determine.
    poses : PoseSettings or None
        None: poses are known.
    """

    stages: Sequence[Stage]
    refine_contrast: bool = True
    priors: PriorSettings = PriorSettings()
    contrast_std: float | None = None
    is_adaptive: bool = False
    poses: PoseSettings | None = None


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything known after a sweep.

    Attributes
    ----------
    stage : Stage
        What was done last.
    position : int
        How many stages of the schedule are done.
    molecule : LinearMolecule
    estimate : Estimate
    posterior : ParticlePosterior
    edge_share : float
        Share of the mean molecule at the edge of the band limit that is data, not prior.
    trace : list of dict
        One entry per sweep so far: stage, sweep, seconds, log_likelihood, ...
    poses : Poses or None
        Where they are not known.
    """

    stage: Stage
    position: int
    molecule: LinearMolecule
    estimate: Estimate
    posterior: ParticlePosterior
    edge_share: float
    trace: list[dict[str, float | str]]
    poses: Poses | None = None

    @property
    def maps(self) -> HyperMaps:
        """The molecule at any state."""
        return HyperMaps(self.molecule, self.estimate.theta)


def work_of(stages: Sequence[Stage]) -> float:
    """Planned work of all stages, in samples times sweeps."""
    return sum(s.sweeps * s.max_radius**2 * (1 + s.max_degree) for s in stages)


def recover(
    particles: Particles,
    stack: FourierStack,
    composite: Composite,
    settings: RecoverySettings,
    rows: NDArray[np.int64],
    rng: np.random.Generator,
    reporter: Reporter,
    on_stage: Callable[[Snapshot], None] = lambda snapshot: None,
    start: Snapshot | None = None,
) -> Snapshot:
    """Recover the hypermolecule and every particle's state and contrast.

    Parameters
    ----------
    particles : Particles
        Rotations known.
    stack : FourierStack
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

    Returns
    -------
    Snapshot
        After the last stage.
    """
    snapshot = start
    stages = list(settings.stages)
    draws = rng.spawn(len(stages))  # one generator a stage: a resumed run draws the same numbers
    position, is_threaded = 0, False
    prior = None if settings.poses is None else pose_prior(particles, rows, settings.poses)
    if settings.poses is not None and settings.poses.is_search and start is None:
        particles = found_poses(particles, stack, composite, settings, rows, rng, reporter)
    if start is not None and start.poses is not None:
        particles = with_poses(particles, rows, start.poses)
    while position < len(stages):
        stage = stages[position]
        position += 1
        if start is not None and position <= start.position:
            reporter.advance(work_of([stage]), f"{stage.name}: done before")
            is_threaded = is_threaded or stage.max_degree > 1
            continue
        if settings.is_adaptive and snapshot is not None and _is_exhausted(snapshot):
            # Little more to see: all state functions, a little beyond the band limit reached.
            skipped = work_of(stages[position - 1 : -1])
            radius = min(_LAST_STEP * snapshot.stage.max_radius, stages[-1].max_radius)
            stage = replace(stages[-1], max_radius=radius)
            position = len(stages)
            reporter.advance(skipped, "the images hold little finer detail")
        molecule = composite.discretise(stage.max_radius, stage.max_degree)
        if snapshot is not None:
            molecule = molecule.with_trajectories(snapshot.molecule.trajectories)
        noise = starting_noise(particles, stack) if snapshot is None else snapshot.estimate.noise
        problem = stage_problem(particles, stack, molecule, stage.max_radius, noise, rows)
        estimate = _carried(problem, snapshot, noise, settings)
        posterior = None
        if snapshot is None or _gains_states(snapshot.molecule, molecule):
            problem, estimate, posterior = _started(problem, estimate, draws[position - 1])
        trace = [] if snapshot is None else snapshot.trace
        snapshot = _run_stage(
            stage, position, problem, estimate, posterior, settings, draws[position - 1], reporter,
            trace,
            is_last=position == len(stages),
            prior=prior,
        )  # fmt: skip
        if snapshot.poses is not None:
            particles = with_poses(particles, rows, snapshot.poses)
        is_first = stage.max_degree > 1 and not is_threaded
        if is_first and position < len(stages) and can_be_threaded(snapshot.molecule):
            coarse, fine = (
                stage_problem(particles, stack, m, radius, snapshot.estimate.noise, rows)
                for m, radius in (
                    (composite.discretise(stages[0].max_radius, 1), stages[0].max_radius),
                    (snapshot.molecule, stage.max_radius),
                )
            )
            draw = draws[position - 1]
            snapshot = _in_order(snapshot, coarse, fine, settings, draw, reporter)
        is_threaded = is_threaded or is_first
        on_stage(snapshot)
    assert snapshot is not None  # a schedule has at least one stage
    return snapshot


def found_poses(
    particles: Particles,
    stack: FourierStack,
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
    std = settings.poses.shift_std or 0.05 * box * particles.pixel_size
    model = initial_model(
        particles, stack, composite, rows, std / particles.pixel_size, rng, reporter
    )
    return with_poses(particles, rows, model.poses)


def _in_order(
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
    mean = _carried(coarse, snapshot, snapshot.estimate.noise, settings)
    states = path_states(coarse, mean, rng)
    return _threaded(snapshot, problem, states, settings, rng, reporter)


def _threaded(
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
    quiet = Reporter(None, reporter.stop)  # not planned: a short look aside
    other = _run_stage(
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


def _is_exhausted(snapshot: Snapshot) -> bool:
    """Whether the mean molecule at the edge of the band limit is prior rather than data."""
    return snapshot.edge_share < _EXHAUSTED


def _will_move(molecule: LinearMolecule) -> bool:
    """Whether the molecule has states at all, whatever this stage's band limit."""
    return any(c.dims for c in molecule.components)


def _gains_states(old: LinearMolecule, new: LinearMolecule) -> bool:
    parts = range(len(new.components))
    return not any(old.kinds(m) for m in parts) and any(new.kinds(m) for m in parts)


def _started(
    problem: StageProblem, estimate: Estimate, rng: np.random.Generator
) -> tuple[StageProblem, Estimate, ParticlePosterior | None]:
    """Where states begin: at random, or along the trajectories that the mean molecule hints at.

    With trajectories the first states are read with them; other components' new functions then
    begin as random fields, which comes to the same as random states.
    """
    molecule = problem.molecule
    if not any(t is not None for t in molecule.trajectories):
        return problem, estimate, _first_posterior(problem, estimate, rng)
    molecule = molecule.with_trajectories(initial_trajectories(problem, estimate.theta))
    parts = molecule.split(estimate.theta)
    theta = []
    for part, basis, spectrum in zip(parts, molecule.bases, estimate.spectra, strict=True):
        field = rng.normal(size=part.shape).astype(np.float32)
        field[0] = 0
        gain = np.sqrt(_NEW_FUNCTION * spectrum[:1]).repeat(len(part), axis=0)
        theta.append((part + basis.filter(field, gain.T)).ravel())
    new = estimate._replace(theta=np.concatenate(theta).astype(np.float32))
    return replace(problem, molecule=molecule), new, None


def _carried(
    problem: StageProblem, snapshot: Snapshot | None, noise: Float64, settings: RecoverySettings
) -> Estimate:
    """Coefficients and spectra of the last stage on the voxels of this one."""
    molecule = problem.molecule
    if snapshot is None:
        q = sum(molecule.n_functions)
        ones = np.ones((len(problem.mean_weights), q, q), dtype=np.float32)
        spectra = []
        for h in precisions(problem, ones):
            diagonal = np.maximum(np.einsum("sqq->qs", h), 0)
            level = _MEAN_PRIOR / diagonal[:, 1:].max(axis=1, keepdims=True)
            spectra.append(np.broadcast_to(level, diagonal.shape).copy())
        std = _CONTRAST_STD if settings.contrast_std is None else settings.contrast_std
        std = std if settings.refine_contrast else 0.0
        return Estimate(molecule.zeros(), spectra, noise, std)
    old, estimate = snapshot.molecule, snapshot.estimate
    spectra = [
        _carried_spectrum(molecule, old, s, spectrum) for s, spectrum in enumerate(estimate.spectra)
    ]
    theta = molecule.transfer(estimate.theta, old)
    return estimate._replace(theta=theta, spectra=spectra, noise=noise)


def _carried_spectrum(
    new: LinearMolecule, old: LinearMolecule, s: int, spectrum: Float64
) -> Float64:
    """Spectra on finer voxels: same density per Å^-3, new functions at a fraction of the mean's."""
    user = int(np.flatnonzero(new.owners == s)[0])
    finer, coarser = new.bases[s], old.bases[s]
    scale = coarser.unit_volume / finer.unit_volume
    rows = [_extended(row, coarser.shell_radii, finer.shell_radii) for row in spectrum]
    extended = np.array(rows) * scale
    matrix = embedding(old.state_bases[user], new.state_bases[user])
    out = matrix**2 @ extended
    is_new = ~matrix.any(axis=1)
    out[is_new] = extended[0] * _NEW_FUNCTION
    return np.asarray(out)


def _extended(spectrum: Float64, known: Float64, radii: Float64) -> Float64:
    """A spectrum at other radii; beyond those known it goes on falling as it did, by 30 at most.

    Constant, it would let the first solves at a finer band limit fill new shells with noise.
    """
    known, logs = known[:-1], np.log(spectrum[:-1])  # the last shell holds the corners
    inside = np.interp(radii, known, logs)
    back = min(_SLOPE_SHELLS, len(known) - 1)
    fall = max((logs[-1 - back] - logs[-1]) / (known[-1] - known[-1 - back]), 0.0) if back else 0.0
    beyond = np.maximum(radii - known[-1], 0.0)
    return np.asarray(np.exp(inside - np.minimum(fall * beyond, np.log(_MOST_FALL))))


def _first_posterior(
    problem: StageProblem, estimate: Estimate, rng: np.random.Generator
) -> ParticlePosterior:
    """Contrast 1 and, where there are states, one for every particle: at random, or on a ring."""
    molecule, n = problem.molecule, len(problem.mean_weights)
    functions, states = [], []
    circles = circle_states(problem, estimate, rng) if estimate.theta.any() else {}
    for m, basis in enumerate(molecule.state_bases):
        own = rng.random((n, basis.dims))
        if m in circles:
            own = circles[m][:, None]
        functions.append(basis.evaluate(own))
        states.append(own)
    c = np.concatenate(functions, axis=1).astype(np.float32)
    mean = np.concatenate(states, axis=1)
    return ParticlePosterior(
        state_mean=mean,
        state_std=np.full(mean.shape, np.sqrt(1 / 12)),
        contrast_mean=np.ones(n),
        contrast_std=np.zeros(n),
        first=c,
        second=c[:, :, None] * c[:, None, :],
        log_evidence=np.zeros(n),
        tables=(),
    )


def _with_new_functions(
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


def _run_stage(
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
) -> Snapshot:
    """All sweeps of one stage; poses are sampled where they have a prior."""
    molecule = problem.molecule
    poses = settings.poses if prior is not None else None
    tables = state_tables(molecule)
    users = [int(np.flatnonzero(molecule.owners == s)[0]) for s in range(len(molecule.bases))]
    kindled_sets = np.array(["circle" not in molecule.kinds(m) for m in users])
    if given := given_occupancies(tables, settings.priors):
        estimate = estimate._replace(occupancies=given)
    previous: Float64 | None = None
    for sweep in range(stage.sweeps):
        began = time.monotonic()
        is_kindled = sweep < stage.kindled_sweeps
        if sweep == 0 and is_kindled:
            estimate = _with_new_functions(estimate, _KINDLED_FUNCTION, kindled_sets)
        elif sweep > 0 and sweep == stage.kindled_sweeps:
            estimate = _with_new_functions(estimate, _NEW_FUNCTION, kindled_sets)
        acceptance = None
        # poses of a moving molecule wait for its states: its mean map would blur those of the file,
        # not those of a grid, which are coarser
        is_found = poses is not None and poses.is_search
        waits = is_kindled or (stage.max_degree == 0 and _will_move(molecule) and not is_found)
        if poses is not None and prior is not None and not waits and estimate.theta.any():
            reporter.check()
            last = posterior if posterior is not None and posterior.tables else None
            problem, moved_poses = pose_step(
                problem, estimate, last, prior, poses, rng, _POSE_STEPS
            )
            acceptance = float(moved_poses.acceptance_rate.mean())
        if posterior is None or sweep > 0:
            kindling = _KINDLING if is_kindled else 0.0
            tables = state_tables(molecule, estimate.occupancies)
            posterior = _unit_contrast(expectation(problem, estimate, tables, rng, kindling))
            if settings.priors.occupancy == "histogram" and not is_kindled:
                learned = learned_occupancies(tables, posterior.tables)
                estimate = estimate._replace(occupancies=learned)
        is_new = stage.kindled_sweeps > 0 and sweep in (0, stage.kindled_sweeps)
        rounds = stage.solve_iterations * (2 if is_new else 1)
        # kindled state functions are not densities yet
        seen = molecule.zeros() if is_kindled else estimate.theta
        further = density_priors(seen, molecule, settings.priors)
        solved, info = maximisation(
            problem,
            estimate,
            posterior,
            rounds,
            check=reporter.check,
            priors=precision_priors(estimate.spectra, molecule, settings.priors),
            further=further,
        )
        spectra = [
            np.concatenate([new[:1], old[1:]]) if is_kindled and is_new_set else new
            for new, old, is_new_set in zip(
                solved.spectra, estimate.spectra, kindled_sets, strict=True
            )
        ]
        estimate = estimate._replace(theta=solved.theta, spectra=spectra)
        if any(t is not None and t.is_learned for t in molecule.trajectories):
            molecule = trajectory_step(problem, estimate.theta, posterior)
            problem = replace(problem, molecule=molecule)
        is_estimated = settings.refine_contrast and settings.contrast_std is None
        if is_estimated and posterior.contrast_std.any():
            estimate = estimate._replace(contrast_std=_contrast_spread(posterior))
        if sweep % 2 == 1 or sweep == stage.sweeps - 1:
            noise = updated_noise(problem, estimate, posterior)
            problem = problem.with_noise(estimate.noise, noise)
            estimate = estimate._replace(noise=noise)
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
        if acceptance is not None:
            trace[-1]["pose_acceptance"] = acceptance
        detail = molecule.box_size * problem.pixel_size / stage.max_radius
        message = f"{stage.name}, sweep {sweep + 1}/{stage.sweeps}, {detail:.1f} Å"
        is_settled = not is_kindled and sweep > stage.kindled_sweeps and moved < stage.settle
        remaining = stage.sweeps - sweep - 1 if is_settled else 0
        share = work_of([stage]) / stage.sweeps
        maps = HyperMaps(molecule, estimate.theta)
        reporter.advance(share * (1 + remaining), message, maps)
        if is_settled:
            break
    assert posterior is not None  # at least one sweep ran
    share = edge_share(problem, estimate, posterior)
    trace[-1]["edge_share"] = share
    final = None
    if is_last:
        tables = state_tables(molecule, estimate.occupancies)
        posterior = expectation(problem, estimate, tables, rng)
    if poses is not None and prior is not None:
        n = len(problem.shifts)
        final = Poses(problem.images.rotations, problem.shifts, np.zeros(n), np.zeros(n))
        if is_last:
            _, posterior, final = averaged(
                problem, estimate, posterior, prior, poses, rng, _POSE_DRAWS, _POSE_STEPS,
                reporter.check,
            )  # fmt: skip
    return Snapshot(stage, position, molecule, estimate, posterior, share, trace, final)


def _unit_contrast(posterior: ParticlePosterior) -> ParticlePosterior:
    """The same posterior in units in which contrasts are 1 on average.

    Only the product of contrast and molecule is seen. A prior shrinks the molecule, contrasts make
    up for it, and their estimated spread then lets them drift further (to 1.26 in a test at SNR 1).
    """
    scale = posterior.contrast_mean.mean()
    return posterior._replace(
        contrast_mean=posterior.contrast_mean / scale,
        contrast_std=posterior.contrast_std / scale,
        first=(posterior.first / scale).astype(np.float32),
        second=(posterior.second / scale**2).astype(np.float32),
    )


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

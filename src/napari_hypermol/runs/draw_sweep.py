"""One sweep of the posterior's draws: poses, states, contrasts, noise and coefficients, once."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.coefficient_draw import coefficient_draw
from napari_hypermol.runs.coefficient_step import blockwise
from napari_hypermol.runs.noise_draw import noise_draw
from napari_hypermol.runs.pose_guide import Guide, fresh_guide
from napari_hypermol.runs.pose_step import PoseSettings, pose_step
from napari_hypermol.runs.priors import PriorSettings, precision_priors
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.sweep import state_tables
from napari_hypermol.samplers.conjugate import contrast_spread, spread_start
from napari_hypermol.samplers.scale import scale_draw
from napari_hypermol.samplers.state_draws import StateDraw, are_drawn_jointly, draw_states

__all__ = ["Chain", "DrawSettings", "SweepInfo", "begun_chain", "draw_sweep"]

Float64 = NDArray[np.float64]
_POSE_STEPS = 10  # a sweep
_FIRST_POSE_STEPS = 30  # of a chain, away from where the others begin


class DrawSettings(NamedTuple):
    """What to draw, and how often.

    Attributes
    ----------
    n_chains, n_warm_up, n_draws : int
        Sweeps of every chain that are thrown away and kept.
    priors : PriorSettings
    poses : PoseSettings or None
        None: poses are known.
    draws_contrast_std, draws_noise : bool
        Whether the spread of contrasts and the noise are unknown.
    solve_iterations : int
        Of conjugate gradients a draw, at most.
    tolerance : float
        Of the solve: 1e-3 leaves an error of some percent of a standard deviation.
    """

    n_chains: int = 2
    n_warm_up: int = 10
    n_draws: int = 100
    priors: PriorSettings = PriorSettings()
    poses: PoseSettings | None = None
    draws_contrast_std: bool = True
    draws_noise: bool = True
    solve_iterations: int = 30
    tolerance: float = 1e-3


class Chain(NamedTuple):
    """Where a chain is; `problem` has its poses and its noise, `guide` proposes them."""

    problem: StageProblem
    estimate: Estimate
    drawn: StateDraw
    guide: Guide | None = None


class SweepInfo(NamedTuple):
    """What a sweep says of itself: log densities of all unknowns, rates, the solve's residual."""

    log_likelihood: float
    log_prior: float
    acceptance: dict[str, float]
    residual: float


def draw_sweep(
    rng: np.random.Generator,
    chain: Chain,
    prior: PosePrior | None,
    settings: DrawSettings,
    reporter: Reporter,
    is_warming_up: bool = False,
) -> tuple[Chain, SweepInfo]:
    """Everything drawn once; what poses are proposed from follows the chain in its warm-up only."""
    problem, estimate, drawn, guide = chain
    problem, _ = problem.here()  # noise is drawn for every sample of every image
    acceptance: dict[str, float] = {}
    if settings.poses is not None and prior is not None:
        if is_warming_up and guide is not None and guide.is_stale:
            guide = _guided(problem, estimate, drawn, prior, settings.poses, guide)
        problem, moved = pose_step(
            problem, estimate, _one_hot(problem, chain), prior, settings.poses, rng, _POSE_STEPS,
            guide=None if guide is None else guide.poses, functions=_staying(problem, drawn),
        )  # fmt: skip
        if is_warming_up and guide is not None:
            guide = guide.followed(problem.rotations)
        acceptance["poses"] = float(moved.acceptance_rate.mean())
    drawn = _drawn_states(rng, problem, estimate, drawn)
    if settings.draws_contrast_std and estimate.contrast_std > 0:
        spread, info = contrast_spread(
            rng, spread_start(estimate.contrast_std, drawn.contrasts), drawn.contrasts
        )
        estimate = estimate._replace(contrast_std=float(spread.value[0]))
        acceptance["contrast spread"] = float(info.acceptance_rate.mean())
    log_likelihood = float(drawn.log_likelihood.sum()) + _base_log_likelihood(problem, estimate)
    molecule = problem.molecule
    priors = precision_priors(estimate.spectra, molecule, settings.priors)
    weighed = blockwise(molecule, priors)(estimate.theta)
    log_prior = -0.5 * float(np.dot(estimate.theta.astype(np.float64), weighed))
    if estimate.contrast_std > 0 and estimate.theta.any():
        scale = scale_draw(
            rng, -2 * log_prior, len(estimate.theta), drawn.contrasts, estimate.contrast_std
        )
        estimate = estimate._replace(theta=estimate.theta * np.float32(scale))
        drawn = drawn._replace(contrasts=drawn.contrasts / scale)
    if settings.draws_noise:
        noise = noise_draw(rng, problem, estimate, drawn)
        problem = problem.with_noise(estimate.noise, noise)
        estimate = estimate._replace(noise=noise)
    theta, solved = coefficient_draw(
        rng, problem, estimate.theta, drawn, priors, settings.solve_iterations,
        settings.tolerance, reporter.check,
    )  # fmt: skip
    chain = Chain(problem, estimate._replace(theta=theta), drawn, guide)
    return chain, SweepInfo(log_likelihood, log_prior, acceptance, solved.residual)


def begun_chain(
    rng: np.random.Generator,
    problem: StageProblem,
    estimate: Estimate,
    prior: PosePrior | None,
    settings: DrawSettings,
    reporter: Reporter,
) -> Chain:
    """A chain's own start: poses a few steps on, states and coefficients drawn."""
    problem, _ = problem.here()
    drawn = _drawn_states(rng, problem, estimate, None)
    guide = None
    if settings.poses is not None and prior is not None:
        last = _one_hot(problem, Chain(problem, estimate, drawn))
        guide = _guided(problem, estimate, drawn, prior, settings.poses)
        problem, _ = pose_step(
            problem, estimate, last, prior, settings.poses, rng, _FIRST_POSE_STEPS,
            guide=None if guide is None else guide.poses, functions=_staying(problem, drawn),
        )  # fmt: skip
        drawn = _drawn_states(rng, problem, estimate, drawn)
    priors = precision_priors(estimate.spectra, problem.molecule, settings.priors)
    theta, _ = coefficient_draw(
        rng, problem, estimate.theta, drawn, priors, settings.solve_iterations,
        settings.tolerance, reporter.check,
    )  # fmt: skip
    return Chain(problem, estimate._replace(theta=theta), drawn, guide)


def _guided(
    problem: StageProblem,
    estimate: Estimate,
    drawn: StateDraw,
    prior: PosePrior,
    settings: PoseSettings,
    last: Guide | None = None,
) -> Guide | None:
    """What rotations are proposed from, at drawn states; None where they are known."""
    if settings.rotation == "known":
        return None
    return fresh_guide(
        problem, estimate, prior, drawn.contrasts, drawn.states,
        is_shift_known=settings.shift == "known", last=last,
    )  # fmt: skip


def _staying(problem: StageProblem, drawn: StateDraw) -> Float64 | None:
    """C of states that are not drawn anew as a whole, so that they cannot be summed out."""
    return None if are_drawn_jointly(state_tables(problem.molecule)) else drawn.c


def _one_hot(problem: StageProblem, chain: Chain) -> ParticlePosterior:
    """The drawn states as tables, for poses that are judged at them."""
    tables = state_tables(problem.molecule, chain.estimate.occupancies)
    n = len(chain.drawn.contrasts)
    hot = []
    for m, table in enumerate(tables):
        p = np.zeros((n, len(table.states)), dtype=np.float32)
        p[np.arange(n), chain.drawn.entries[:, m]] = 1
        hot.append(p)
    nothing, zeros = np.zeros((n, 0)), np.zeros(n)
    first = np.zeros((n, 0), dtype=np.float32)
    return ParticlePosterior(
        nothing, nothing, zeros, zeros, first, first[:, :, None], zeros, tuple(hot)
    )


def _drawn_states(
    rng: np.random.Generator, problem: StageProblem, estimate: Estimate, last: StateDraw | None
) -> StateDraw:
    molecule = problem.molecule
    b, g = problem.overlaps(estimate.theta, molecule.pairs)
    tables = state_tables(molecule, estimate.occupancies)
    entries = None if last is None else last.entries
    return draw_states(rng, b, g, tables, estimate.contrast_std, entries)


def _base_log_likelihood(problem: StageProblem, estimate: Estimate) -> float:
    """Of the empty molecule, up to a constant."""
    (_, images), inside = problem.here(), np.unique(problem.samples.shells)
    total = 0.0
    for group in np.unique(images.groups):
        rows = images.groups == group
        power = images.power[rows].sum(axis=0, dtype=np.float64)[inside]
        fill = images.fill[rows].sum(axis=0, dtype=np.float64)[inside]
        noise = estimate.noise[group, inside]
        total -= 0.5 * float((power / noise + fill * np.log(noise)).sum())
    return total

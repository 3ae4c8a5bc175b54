"""Draws of everything a run does not know: poses, states, contrasts, coefficients, noise.

A Gibbs sampler that begins where the recovery ended. One sweep is: Metropolis on poses, states and
contrast summed out; states and contrasts from their tables; the contrasts' spread, the scale they
share with the molecule, and the noise from their conditionals; the coefficients by perturb and
solve (`samplers.gaussian`). Signal spectra, learned
occupancies and trajectories stay as they were estimated (empirical Bayes), so nothing here says how
uncertain those are.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.rotations import angles_between
from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.posterior.likelihood import (
    WhitenedImages,
    explained_power,
    image_adjoint,
    normal_operator,
    overlaps,
)
from napari_hypermol.posterior.priors import posterior_covariance
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.pose_step import PoseSettings, chordal_mean, pose_step
from napari_hypermol.runs.priors import PriorSettings, precision_priors
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.sweep import (
    Estimate,
    StageProblem,
    blockwise,
    precisions,
    state_tables,
)
from napari_hypermol.samplers.conjugate import contrast_spread, noise_spectra, spread_start
from napari_hypermol.samplers.conjugate_gradient import SolveInfo
from napari_hypermol.samplers.gaussian import gaussian_draw
from napari_hypermol.samplers.scale import scale_draw
from napari_hypermol.samplers.state_draws import StateDraw, draw_states, spread_states

__all__ = [
    "OCCUPANCY_BINS",
    "DrawSettings",
    "Draws",
    "coefficient_draw",
    "noise_draw",
    "sample_posterior",
]

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]

OCCUPANCY_BINS = 20
_CHUNK = 2048  # particles that get noise data at once: as large as their images
_BANDS = 4  # of shells, in which the power of the mean map is followed
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


class Draws(NamedTuple):
    """Kept draws of c chains, d each, and running summaries of the maps.

    Attributes
    ----------
    states : (c, d, n, dims) float32 ndarray
        In [0, 1].
    contrasts : (c, d, n) float32 ndarray
    rotation_angles : (c, d, n) float32 ndarray
        From the mean over all draws [rad]; n = 0 where poses are known.
    shifts : (c, d, n, 2) float32 ndarray
        [Å]; likewise.
    rotations : (n, 3, 3) float32 ndarray
        Means; of known poses those.
    log_likelihood, log_density : (c, d) float64 ndarray
        Of all unknowns up to a constant, without and with the prior of the coefficients.
    contrast_std : (c, d) float64 ndarray
    noise_level : (c, d) float64 ndarray
        Mean log sigma^2 inside the band limit.
    map_power : (c, d, bands) float64 ndarray
        Log power of the mean map in bands of shells, from coarse to fine.
    occupancies : (c, d, dims, OCCUPANCY_BINS) float32 ndarray
        Shares of the particles in equal parts of every state coordinate.
    map_mean, map_std : (t, z, y, x) float32 ndarray
        Of every voxel at the states asked for.
    acceptance : dict
        Mean rate of every kernel that may refuse.
    solve_residual : float
        The largest of all solves of the coefficients.
    """

    states: Float32
    contrasts: Float32
    rotation_angles: Float32
    shifts: Float32
    rotations: Float32
    log_likelihood: Float64
    log_density: Float64
    contrast_std: Float64
    noise_level: Float64
    map_power: Float64
    occupancies: Float32
    map_mean: Float32
    map_std: Float32
    acceptance: dict[str, float]
    solve_residual: float

    @property
    def rotation_std(self) -> Float64:
        """Root mean square angle about the mean [rad]; (n,)."""
        return np.asarray(np.sqrt((self.rotation_angles.astype(np.float64) ** 2).mean(axis=(0, 1))))

    @property
    def shift_std(self) -> Float64:
        """Of each coordinate [Å]; (n,)."""
        return np.asarray(np.sqrt(self.shifts.astype(np.float64).var(axis=(0, 1)).mean(axis=-1)))


class _Chain(NamedTuple):
    """Where a chain is; `problem` has its poses and its noise."""

    problem: StageProblem
    estimate: Estimate
    drawn: StateDraw


class _SweepInfo(NamedTuple):
    log_likelihood: float
    log_prior: float
    acceptance: dict[str, float]
    residual: float


# ---- coefficients ------------------------------------------------------------------------------


def coefficient_draw(
    rng: np.random.Generator,
    problem: StageProblem,
    theta: Float32,
    drawn: StateDraw,
    priors: Sequence[Float64],
    max_iterations: int,
    tolerance: float,
    check: Callable[[], None] = lambda: None,
) -> tuple[Float32, SolveInfo]:
    """Coefficients given states, contrasts and poses: theta = (N + P)^-1 (A^H D + eta).

    Parameters
    ----------
    rng : Generator
    problem : StageProblem
    theta : (coefficients,) float32 ndarray
        Where the solve begins.
    drawn : StateDraw
    priors : sequence of (n_shells, q, q) float64 ndarray
        P of every coefficient set.
    max_iterations, tolerance
        Of the solve.
    check : callable
        Called before every application of N; may raise to stop.

    Returns
    -------
    theta : (coefficients,) float32 ndarray
    info : SolveInfo

    Notes
    -----
    eta ~ N(0, N + P) is noise sent through the adjoint, as N = A^H W A: real and imaginary part of
    every sample have precision W each, so that samples on x = 0, which come twice, count as the
    likelihood counts them. P's share is filtered noise of the whole cube.
    """
    molecule, images, samples = problem.molecule, problem.images, problem.samples
    layout, placements = molecule.empty_grids, problem.placements
    first, second = _moments(drawn)

    def adjoint(data: Float32, rows: slice) -> Float32:
        columns: Any = [column[rows] for column in images]
        part = WhitenedImages(*columns)._replace(data=data)
        return image_adjoint(part, first[rows], layout, placements, samples)

    right = molecule.grids_adjoint(adjoint(images.data, slice(None)))
    prior = blockwise(molecule, list(priors))

    def operator(x: Float32) -> Float32:
        check()
        values = normal_operator(images, second, molecule.grids(x), placements, samples)
        return molecule.grids_adjoint(values) + prior(x)

    def perturbation(rng: np.random.Generator) -> Float32:
        noise = np.zeros_like(layout.values)
        for start in range(0, len(first), _CHUNK):
            rows = slice(start, min(start + _CHUNK, len(first)))
            data = rng.standard_normal(images.data[rows].shape, dtype=np.float32)
            data *= np.sqrt(images.weights[rows])[:, None]
            noise += adjoint(data, rows)
        return molecule.grids_adjoint(noise) + _prior_noise(rng, problem, priors)

    data = precisions(problem, second)
    covariances = [posterior_covariance(h, p) for h, p in zip(data, priors, strict=True)]
    value, info = gaussian_draw(
        rng, theta, operator, right, perturbation, blockwise(molecule, covariances),
        max_iterations, tolerance,
    )  # fmt: skip
    return np.asarray(value, dtype=np.float32), info


def _prior_noise(
    rng: np.random.Generator, problem: StageProblem, priors: Sequence[Float64]
) -> Float32:
    """A draw from N(0, P)."""
    bases = problem.molecule.bases
    pieces = [basis.filtered_noise(rng, p).ravel() for basis, p in zip(bases, priors, strict=True)]
    return np.concatenate(pieces)


def _moments(drawn: StateDraw) -> tuple[Float32, Float32]:
    """A c and a^2 c c^T of a draw."""
    first = (drawn.contrasts[:, None] * drawn.c).astype(np.float32)
    return first, first[:, :, None] * first[:, None, :]


# ---- noise -------------------------------------------------------------------------------------


def noise_draw(
    rng: np.random.Generator, problem: StageProblem, estimate: Estimate, drawn: StateDraw
) -> Float64:
    """Noise spectra given everything else, inside the band limit; (groups, shells).

    Notes
    -----
    A shell's residual power is sigma^2 times a chi-square of as many degrees of freedom as its
    half-plane weights sum to: 2 for a sample inside, 2 for the two copies on x = 0, 1 for zero
    frequency. Premultiplied images' samples count by their CTF^2, which is not exact.
    """
    images, noise = problem.images, estimate.noise.copy()
    explained = explained_power(
        images, *_moments(drawn), noise.astype(np.float32), problem.molecule.grids(estimate.theta),
        problem.placements, problem.samples,
    )  # fmt: skip
    inside = np.unique(problem.samples.shells)
    for group in np.unique(images.groups):
        rows = images.groups == group
        fill = images.fill[rows].sum(axis=0, dtype=np.float64)[inside]
        residual = (images.power[rows] - explained[rows]).sum(axis=0)[inside]
        # float32 leaves 1e-7 of the power; a shell of zeros has no noise to draw
        power = np.maximum(residual, 1e-3 * noise[group, inside] * fill)
        seen = (fill > 0) & (power > 0)
        drawn_noise = noise_spectra(rng, power[None, seen], fill[None, seen])[0]
        noise[group, inside[seen]] = drawn_noise
    return noise


# ---- one sweep -----------------------------------------------------------------------------------


def _one_hot(problem: StageProblem, chain: _Chain) -> ParticlePosterior:
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
    grids = molecule.grids(estimate.theta)
    b, g = overlaps(problem.images, grids, problem.placements, problem.samples, molecule.pairs)
    tables = state_tables(molecule, estimate.occupancies)
    entries = None if last is None else last.entries
    return draw_states(rng, b, g, tables, estimate.contrast_std, entries)


def _base_log_likelihood(problem: StageProblem, estimate: Estimate) -> float:
    """Of the empty molecule, up to a constant."""
    images, inside = problem.images, np.unique(problem.samples.shells)
    total = 0.0
    for group in np.unique(images.groups):
        rows = images.groups == group
        power = images.power[rows].sum(axis=0, dtype=np.float64)[inside]
        fill = images.fill[rows].sum(axis=0, dtype=np.float64)[inside]
        noise = estimate.noise[group, inside]
        total -= 0.5 * float((power / noise + fill * np.log(noise)).sum())
    return total


def _sweep(
    rng: np.random.Generator,
    chain: _Chain,
    prior: PosePrior | None,
    settings: DrawSettings,
    reporter: Reporter,
) -> tuple[_Chain, _SweepInfo]:
    """Everything drawn once."""
    problem, estimate, drawn = chain
    acceptance: dict[str, float] = {}
    if settings.poses is not None and prior is not None:
        problem, moved = pose_step(
            problem, estimate, _one_hot(problem, chain), prior, settings.poses, rng, _POSE_STEPS
        )
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
    chain = _Chain(problem, estimate._replace(theta=theta), drawn)
    return chain, _SweepInfo(log_likelihood, log_prior, acceptance, solved.residual)


def _begun(
    rng: np.random.Generator,
    problem: StageProblem,
    estimate: Estimate,
    prior: PosePrior | None,
    settings: DrawSettings,
    reporter: Reporter,
) -> _Chain:
    """A chain's own start: poses a few steps on, states and coefficients drawn."""
    drawn = _drawn_states(rng, problem, estimate, None)
    if settings.poses is not None and prior is not None:
        last = _one_hot(problem, _Chain(problem, estimate, drawn))
        problem, _ = pose_step(
            problem, estimate, last, prior, settings.poses, rng, _FIRST_POSE_STEPS
        )
        drawn = _drawn_states(rng, problem, estimate, drawn)
    priors = precision_priors(estimate.spectra, problem.molecule, settings.priors)
    theta, _ = coefficient_draw(
        rng, problem, estimate.theta, drawn, priors, settings.solve_iterations,
        settings.tolerance, reporter.check,
    )  # fmt: skip
    return _Chain(problem, estimate._replace(theta=theta), drawn)


# ---- all chains ----------------------------------------------------------------------------------


class _Kept:
    """What is kept of all chains; maps as running means and squares (Welford)."""

    def __init__(self, problem: StageProblem, shown: Float64) -> None:
        self.shown = shown
        box = problem.molecule.box_size
        self.mean = np.zeros((len(shown), box, box, box), dtype=np.float32)
        self.squares = np.zeros_like(self.mean)
        self.count = 0
        self.columns: dict[str, list[NDArray[np.floating]]] = {}

    def add(self, rng: np.random.Generator, chain: _Chain, info: _SweepInfo, poses: bool) -> None:
        """One draw."""
        problem, estimate, drawn = chain
        tables = state_tables(problem.molecule, estimate.occupancies)
        states = spread_states(rng, tables, drawn.entries)
        inside = np.unique(problem.samples.shells)
        row: dict[str, NDArray[np.floating] | float] = {
            "states": states.astype(np.float32),
            "contrasts": drawn.contrasts.astype(np.float32),
            "log_likelihood": info.log_likelihood,
            "log_density": info.log_likelihood + info.log_prior,
            "contrast_std": estimate.contrast_std,
            "noise_level": float(np.log(estimate.noise[:, inside]).mean()),
            "map_power": _band_powers(problem, estimate.theta),
            "occupancies": _histograms(states),
        }
        if poses:
            row["rotations"] = problem.images.rotations
            row["shifts"] = problem.shifts.astype(np.float32)
        for name, value in row.items():
            self.columns.setdefault(name, []).append(np.asarray(value))
        maps = HyperMaps(problem.molecule, estimate.theta)
        self.count += 1
        for mean, squares, state in zip(self.mean, self.squares, self.shown, strict=True):
            volume = maps.volume(state)
            away = volume - mean
            mean += away / self.count
            squares += away * (volume - mean)

    def column(self, name: str, n_chains: int) -> NDArray[np.floating]:
        """(c, d, ...), as chains were drawn one after the other."""
        values = np.array(self.columns[name])
        return values.reshape(n_chains, self.count // n_chains, *values.shape[1:])


def _band_powers(problem: StageProblem, theta: Float32) -> Float64:
    """Log power of function 0 of the largest coefficient set, in bands of shells; (bands,)."""
    molecule = problem.molecule
    parts = molecule.split(theta)
    largest = int(np.argmax([basis.n_coefficients for basis in molecule.bases]))
    basis = molecule.bases[largest]
    power = basis.power(parts[largest][:1])[0]
    edges = np.linspace(0, basis.n_shells, _BANDS + 1).astype(int)
    bands = [(power * basis.shell_counts)[a:b].sum() for a, b in itertools.pairwise(edges)]
    return np.log(np.maximum(bands, np.finfo(np.float64).tiny))


def _histograms(states: Float64) -> Float32:
    """Shares of the particles in equal parts of every coordinate; (d, bins)."""
    bins = np.minimum((states * OCCUPANCY_BINS).astype(int), OCCUPANCY_BINS - 1)
    counts = [np.bincount(column, minlength=OCCUPANCY_BINS) for column in bins.T]
    out = np.array(counts, dtype=np.float32).reshape(-1, OCCUPANCY_BINS)
    return np.asarray(out / len(states), dtype=np.float32)


def sample_posterior(
    problem: StageProblem,
    estimate: Estimate,
    settings: DrawSettings,
    shown: Float64,
    rng: np.random.Generator,
    prior: PosePrior | None = None,
    reporter: Reporter | None = None,
    work: float = 0.0,
) -> Draws:
    """Draws of all unknowns of a stage.

    Parameters
    ----------
    problem : StageProblem
        At the poses to begin with.
    estimate : Estimate
        The end of a recovery. Its spectra and occupancies stay.
    settings : DrawSettings
    shown : (t, dims) float64 ndarray
        States of the maps whose mean and standard deviation are wanted.
    rng : Generator
    prior : PosePrior or None
        Of the poses, where they are not known.
    reporter : Reporter or None
    work : float
        Of everything, in units of the reporter.

    Returns
    -------
    Draws

    Notes
    -----
    All chains begin at one estimate, so that they share its gauge: the direction of every state and
    the frame of the molecule. Where a state could as well run backwards, the draws are of one way.
    """
    reporter = Reporter() if reporter is None else reporter
    kept = _Kept(problem, shown)
    has_poses = settings.poses is not None and prior is not None
    rates: dict[str, list[float]] = {}
    residual, n_sweeps = 0.0, settings.n_warm_up + settings.n_draws
    share = work / (settings.n_chains * n_sweeps)
    for number, own in enumerate(rng.spawn(settings.n_chains), 1):
        chain = _begun(own, problem, estimate, prior, settings, reporter)
        for sweep in range(n_sweeps):
            chain, info = _sweep(own, chain, prior, settings, reporter)
            message = f"posterior, chain {number}/{settings.n_chains}, draw {sweep + 1}/{n_sweeps}"
            reporter.advance(share, message)
            if sweep < settings.n_warm_up:
                continue
            kept.add(own, chain, info, has_poses)
            residual = max(residual, info.residual)
            for name, rate in info.acceptance.items():
                rates.setdefault(name, []).append(rate)
    c, d = settings.n_chains, settings.n_draws
    rotations, angles = problem.images.rotations, np.zeros((c, d, 0), dtype=np.float32)
    shifts = np.zeros((c, d, 0, 2), dtype=np.float32)
    if has_poses:
        turned = kept.column("rotations", c)
        rotations = chordal_mean(turned.mean(axis=(0, 1), dtype=np.float64)).astype(np.float32)
        angles = np.array([[angles_between(r, rotations) for r in own] for own in turned])
        shifts = kept.column("shifts", c)
    names = ("states", "contrasts", "log_likelihood", "log_density", "contrast_std",
             "noise_level", "map_power", "occupancies")  # fmt: skip
    columns: Any = {name: kept.column(name, c) for name in names}
    spread = np.sqrt(kept.squares / max(kept.count - 1, 1))
    return Draws(
        rotation_angles=angles.astype(np.float32),
        shifts=shifts.astype(np.float32),
        rotations=rotations,
        map_mean=kept.mean,
        map_std=spread.astype(np.float32),
        acceptance={name: float(np.mean(own)) for name, own in rates.items()},
        solve_residual=residual,
        **columns,
    )

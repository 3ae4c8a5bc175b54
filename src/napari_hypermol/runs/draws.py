"""Draws of everything a run does not know: poses, states, contrasts, coefficients, noise.

A Gibbs sampler that begins where the recovery ended. One sweep is: Metropolis on poses, states and
contrast summed out; states and contrasts from their tables; the contrasts' spread, the scale they
share with the molecule, and the noise from their conditionals; the coefficients by perturb and
solve (`samplers.gaussian`). Signal spectra, learned
occupancies and trajectories stay as they were estimated (empirical Bayes), so nothing here says how
uncertain those are.
"""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.rotations import angles_between
from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.runs.draw_sweep import Chain, DrawSettings, SweepInfo, begun_chain, draw_sweep
from napari_hypermol.runs.halfway import Halfway, Keeper, generator_at
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.pose_average import chordal_mean
from napari_hypermol.runs.pose_guide import Guide
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.stage_point import Renewed, at_poses, rewhitened
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.sweep import state_tables
from napari_hypermol.samplers.state_draws import StateDraw, spread_states

__all__ = ["OCCUPANCY_BINS", "Draws", "sample_posterior"]

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]

OCCUPANCY_BINS = 20
_BANDS = 4  # of shells, in which the power of the mean map is followed


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


class _Kept:
    """What is kept of all chains; maps as running means and squares (Welford)."""

    def __init__(self, problem: StageProblem, shown: Float64) -> None:
        self.shown = shown
        box = problem.molecule.box_size
        self.mean = np.zeros((len(shown), box, box, box), dtype=np.float32)
        self.squares = np.zeros_like(self.mean)
        self.count = 0
        self.columns: dict[str, list[NDArray[np.floating]]] = {}
        self.rates: dict[str, list[float]] = {}
        self.residual = 0.0

    def add(self, rng: np.random.Generator, chain: Chain, info: SweepInfo, poses: bool) -> None:
        """One draw."""
        problem, estimate, drawn, _ = chain
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
            row["rotations"] = problem.rotations
            row["shifts"] = problem.shifts.astype(np.float32)
        for name, value in row.items():
            self.columns.setdefault(name, []).append(np.asarray(value))
        self.residual = max(self.residual, info.residual)
        for name, rate in info.acceptance.items():
            self.rates.setdefault(name, []).append(rate)
        maps = HyperMaps(problem.molecule, estimate.theta)
        self.count += 1
        for mean, squares, state in zip(self.mean, self.squares, self.shown, strict=True):
            volume = maps.volume(state)
            away = volume - mean
            mean += away / self.count
            squares += away * (volume - mean)

    def halfway(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """All of it, as facts and arrays."""
        arrays = {f"column_{name}": np.array(rows) for name, rows in self.columns.items()}
        facts = {"count": self.count, "rates": self.rates, "residual": self.residual}
        return facts, arrays | {"map_mean": self.mean, "map_squares": self.squares}

    def resume(self, kept: Halfway) -> None:
        """Go on from there."""
        self.mean, self.squares = kept.arrays["map_mean"], kept.arrays["map_squares"]
        self.count, self.residual = int(kept.facts["count"]), float(kept.facts["residual"])
        self.rates = {name: list(rates) for name, rates in kept.facts["rates"].items()}
        for name, rows in kept.arrays.items():
            if name.startswith("column_"):
                self.columns[name.removeprefix("column_")] = list(rows)

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


def _halfway(
    number: int,
    sweep: int,
    rng: np.random.Generator,
    chain: Chain,
    noises: Sequence[Float64],
    has_poses: bool,
    kept: _Kept,
) -> Halfway:
    """All that the next sweep depends on, and all that was kept of those before."""
    facts, arrays = kept.halfway()
    facts |= {
        "chain": number,
        "sweep": sweep,
        "random": rng.bit_generator.state,
        "contrast_std": chain.estimate.contrast_std,
    }
    arrays |= {"theta": chain.estimate.theta, "noises": np.array(noises)}
    arrays |= {f"drawn_{name}": value for name, value in chain.drawn._asdict().items()}
    if has_poses:
        problem = chain.problem
        arrays |= {"rotations": problem.rotations, "shifts": problem.shifts}
    if chain.guide is not None:
        arrays |= chain.guide.arrays()
    return Halfway("draws", facts, arrays)


def _noises(found: Halfway) -> list[Float64]:
    return list(found.arrays["noises"])


def _resumed(
    problem: StageProblem,
    estimate: Estimate,
    found: Halfway,
    noises: Sequence[Float64],
    renewed: Renewed | None,
) -> Chain:
    """A chain where it stood."""
    arrays = found.arrays
    std = float(found.facts["contrast_std"])
    estimate = estimate._replace(theta=arrays["theta"], noise=noises[-1], contrast_std=std)
    if renewed is not None and "rotations" in arrays:
        problem = at_poses(problem, arrays["rotations"], arrays["shifts"])
        problem = renewed(problem, estimate.noise)
    else:
        problem = rewhitened(problem, noises)
    drawn = StateDraw(*(arrays[f"drawn_{name}"] for name in StateDraw._fields))
    return Chain(problem, estimate, drawn, Guide.of(arrays))


def sample_posterior(
    problem: StageProblem,
    estimate: Estimate,
    settings: DrawSettings,
    shown: Float64,
    rng: np.random.Generator,
    prior: PosePrior | None = None,
    reporter: Reporter | None = None,
    work: float = 0.0,
    renewed: Renewed | None = None,
    keeper: Keeper | None = None,
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
    renewed : callable or None
        With it images are whitened anew after every sweep; needed where poses are drawn and the
        draws shall go on from an interruption as if there had been none.
    keeper : Keeper or None
        Is offered where the draws stand after every sweep, and knows where they stood.

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
    n_sweeps = settings.n_warm_up + settings.n_draws
    share = work / (settings.n_chains * n_sweeps)
    found = None if keeper is None else keeper.begun("draws")
    if found is not None:
        kept.resume(found)
    for number, own in enumerate(rng.spawn(settings.n_chains), 1):
        first, noises = 0, [estimate.noise]
        if found is not None and number < found.facts["chain"]:
            reporter.advance(share * n_sweeps, f"posterior, chain {number}: done before")
            continue
        if found is not None and number == found.facts["chain"]:
            own, first, noises = generator_at(found.facts), found.facts["sweep"], _noises(found)
            chain = _resumed(problem, estimate, found, noises, renewed)
            reporter.advance(
                share * first, f"posterior, chain {number}, {first} sweeps done before"
            )
        else:
            chain = begun_chain(own, problem, estimate, prior, settings, reporter)
            if renewed is not None:
                chain = chain._replace(problem=renewed(chain.problem, chain.estimate.noise))
        for sweep in range(first, n_sweeps):
            chain, info = draw_sweep(
                own, chain, prior, settings, reporter, sweep < settings.n_warm_up
            )
            noises.append(chain.estimate.noise)
            if renewed is not None:
                noises = [chain.estimate.noise]
                chain = chain._replace(problem=renewed(chain.problem, chain.estimate.noise))
            if sweep >= settings.n_warm_up:
                kept.add(own, chain, info, has_poses)
            if keeper is not None:
                place = (number, sweep + 1, own, chain, noises, has_poses, kept)
                keeper.offer(partial(_halfway, *place))
            message = f"posterior, chain {number}/{settings.n_chains}, draw {sweep + 1}/{n_sweeps}"
            reporter.advance(share, message)
    c, d = settings.n_chains, settings.n_draws
    rotations, angles = problem.rotations, np.zeros((c, d, 0), dtype=np.float32)
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
        acceptance={name: float(np.mean(own)) for name, own in kept.rates.items()},
        solve_residual=kept.residual,
        **columns,
    )

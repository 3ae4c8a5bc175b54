"""Poses from nothing: a homogeneous map at low resolution, from several random starts.

Stochastic expectation maximisation over an exhaustive grid of rotations and shifts, batch after
batch (the third source's "initial model"). Nothing is tempered by hand: the noise begins as all the
power there is and falls as the map explains it, so weights are soft at first by themselves. The
starts that predict held-out particles best go on, at a higher band limit, until one is left.

Projections do not tell a map from its mirror image. A start may have taken some particles for the
one and some for the other; its map is then nearly its own mirror image, predicts nearly as well,
and every later stage inherits it. So of starts that predict equally well the least symmetric wins.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.molecules.support import Ball
from napari_hypermol.particles import Particles
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.runs.alignment import mirror_symmetry
from napari_hypermol.runs.chunks import starting_noise, whitened_images
from napari_hypermol.runs.coefficient_step import maximisation
from napari_hypermol.runs.device_images import DeviceImages
from napari_hypermol.runs.fourier_stack import AnyStack, FourierStack
from napari_hypermol.runs.grid_search import (
    SearchGrid,
    explained_by_sums,
    grid_problem,
    random_grid,
    search_images,
    search_target,
    shift_spacing,
)
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.pose_step import Poses
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.stage_problem import Estimate
from napari_hypermol.samplers.search import Cells, Mode, SearchSums

__all__ = ["InitialModel", "InitialSettings", "initial_model", "initial_work", "whole_of"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_ORDER = 2  # 4608 rotations, 15 degrees apart: the detail of 8 cycles across a particle
_ONE_NODE = np.ones((1, 1), dtype=np.float32)
_HELD_OUT = 0.1  # share of the particles that no start sees
_MOST_HELD_OUT = 400
_MEAN_PRIOR = 20.0  # start of the map's spectrum, relative to the data's mean precision
_NOISE_FALL = 0.5  # the most of a shell's noise that one batch may take away
_LEAST_SHIFT_STD = 0.5  # [pixels]
_BATCH_WORK = 30.0  # of comparing all particles with the grid, in sweeps at that band limit
# What a map lacks of its own mirror image grows by this a round while two hands separate.
_SEPARATING = 1.05


class InitialSettings(NamedTuple):
    """How long to look.

    Attributes
    ----------
    n_starts : int
    rounds : tuple of (radius, sweeps, batch)
        Band limit [cycles per box edge], and batches of so many particles. Half of the starts go on
        after the first, one after the second.
    more_rounds : int
        At most so many more like the last one, while the map is still of two hands.
    """

    n_starts: int = 4
    rounds: tuple[tuple[float, int, int], ...] = (
        *((6.0, 16, 500), (8.0, 6, 1000)),
        (8.0, 14, 1000),
    )
    more_rounds: int = 3

    def starts_in(self, index: int, n_starts: int) -> int:
        """How many starts are left in a round."""
        return n_starts if index == 0 else -(-n_starts // 2) if index == 1 else 1

    def work(self, index: int, n: int) -> float:
        """Of one start in a round, `n` particles in all, as `schedules.work_of` measures it."""
        radius, sweeps, batch = self.rounds[min(index, len(self.rounds) - 1)]
        return _BATCH_WORK * radius**2 * sweeps * min(batch / n, 1.0)


_USUAL = InitialSettings()


class InitialModel(NamedTuple):
    """What a search from nothing found.

    Attributes
    ----------
    poses : Poses
        Of every particle's likeliest cell.
    estimate : Estimate
        The map.
    molecule : LinearMolecule
    cells : Cells
    log_evidence : list of float
        Of held-out particles, for every start after the first round [nats per particle].
    """

    poses: Poses
    estimate: Estimate
    molecule: LinearMolecule
    cells: Cells
    log_evidence: list[float]


class _Data(NamedTuple):
    particles: Particles
    stack: AnyStack
    rows: Int64
    shift_std: float  # [pixels]
    mode: Mode = "marginal"


def whole_of(composite: Composite) -> Composite:
    """The composite without its parts: one still component around all of it.

    Parts are painted in a frame of their own; before poses are known there is none.
    """
    only = composite.components[0]
    if len(composite.components) == 1 and not np.any(only.support.centre()):
        support = only.support
    else:
        support = Ball((0.0, 0.0, 0.0), 0.45 * composite.box_size)
    return Composite([Component("whole", support, ConstantBasis())], composite.box_size)


class _Start:
    """One start on its way: map, noise and spread of shifts."""

    def __init__(self, data: _Data, whole: Composite, rng: np.random.Generator) -> None:
        self.data, self.whole, self.rng = data, whole, rng
        self.noise = starting_noise(data.particles, data.stack)
        self.shift_std = data.shift_std
        self.molecule: LinearMolecule | None = None
        self.estimate: Estimate | None = None

    def grid(self, radius: float) -> SearchGrid:
        """A grid fine enough for a band limit, turned at random."""
        box = self.data.stack.samples.box_size
        std = max(self.shift_std, _LEAST_SHIFT_STD)
        return random_grid(self.rng, _ORDER, std, shift_spacing(box, radius))

    def run(
        self, radius: float, sweeps: int, batch: int, rows: Int64, check: Callable[[], None]
    ) -> None:
        """Batches at one band limit."""
        box = self.data.stack.samples.box_size
        samples = fourier_samples(box, radius)
        self._discretise(radius)
        unit = np.ones_like(self.noise)
        for _ in range(sweeps):
            check()
            own = rows if batch >= len(rows) else self.rng.choice(rows, batch, replace=False)
            images = whitened_images(self.data.particles, self.data.stack, samples, unit, own)
            self.step(images, radius)

    def _discretise(self, radius: float) -> None:
        molecule = self.whole.discretise(radius, 0)
        if self.molecule is not None and self.estimate is not None:
            old, estimate = self.molecule, self.estimate
            theta = molecule.transfer(estimate.theta, old)
            scale = old.bases[0].unit_volume / molecule.bases[0].unit_volume
            known, radii = old.bases[0].shell_radii, molecule.bases[0].shell_radii
            spectrum = np.exp(np.interp(radii, known, np.log(estimate.spectra[0][0]))) * scale
            self.estimate = estimate._replace(theta=theta, spectra=[spectrum[None]])
        self.molecule = molecule

    def searched(
        self, images: WhitenedImages, radius: float, n_cells: int = 1, with_sums: bool = True
    ) -> tuple[Cells, SearchSums | None, SearchGrid]:
        """Search with images that were whitened with unit noise."""
        assert self.molecule is not None
        assert self.estimate is not None
        samples = fourier_samples(self.data.stack.samples.box_size, radius)
        grid = self.grid(radius)
        target = search_target(
            self.molecule, self.estimate.theta, _ONE_NODE, np.zeros(1), grid, samples
        )
        scale = (1 / self.noise)[images.groups][:, samples.shells].astype(np.float32)
        images = images._replace(data=images.data * scale[:, None], weights=images.weights * scale)
        stack = self.data.stack
        is_on_device = isinstance(stack, FourierStack) and stack.device == "cuda"
        where = DeviceImages(images) if is_on_device else images
        cells, sums = search_images(where, target, self.data.mode, n_cells, with_sums)
        return cells, sums, grid

    def step(self, images: WhitenedImages, radius: float) -> Cells | None:
        """One batch: search, solve, noise, spread of shifts."""
        assert self.molecule is not None
        samples = fourier_samples(self.data.stack.samples.box_size, radius)
        n_shells = self.data.stack.n_shells
        cells = None
        if self.estimate is None:
            sums, grid = self._random_sums(images, radius)
        else:
            cells, found, grid = self.searched(images, radius)
            assert found is not None
            sums = found
        problem, posterior = grid_problem(
            sums, grid.rotations, _ONE_NODE, self.molecule, samples, n_shells,
            self.data.particles.pixel_size,
        )  # fmt: skip
        if self.estimate is None:
            level = problem.mean_weights.sum(axis=0).max() * self.molecule.bases[0].shell_coverage
            spectrum = np.full((1, self.molecule.bases[0].n_shells), _MEAN_PRIOR / level.max())
            self.estimate = Estimate(self.molecule.zeros(), [spectrum], self.noise, 0.0)
        self.estimate, _ = maximisation(problem, self.estimate, posterior, 6)
        if cells is None:
            return None
        explained = explained_by_sums(problem, posterior, self.estimate)
        self._update_noise(images, explained, np.unique(samples.shells))
        square = sums.shift_mass @ (grid.shifts**2).sum(axis=1) / (2 * sums.shift_mass.sum())
        self.shift_std = float(min(np.sqrt(square) * 1.1, self.data.shift_std))
        return cells

    def mirror_symmetry(self) -> float:
        """Correlation of the map with its mirror image, best turned."""
        assert self.molecule is not None
        assert self.estimate is not None
        volume = HyperMaps(self.molecule, self.estimate.theta).volume([])
        return mirror_symmetry(volume)

    def _update_noise(self, images: WhitenedImages, explained: Float64, inside: Int64) -> None:
        """Residual power; one spectrum for all groups' signal, each group's own level."""
        noise = self.noise.copy()
        # `explained` is in units of the noise the search used, the same signal in every group
        signal = explained[inside] / (1 / self.noise)[images.groups][:, inside].sum(axis=0)
        for group in range(len(noise)):
            rows = images.groups == group
            if not rows.any():
                continue
            power = images.power[rows].mean(axis=0, dtype=np.float64)[inside]
            fill = np.maximum(images.fill[rows].mean(axis=0, dtype=np.float64)[inside], 1e-12)
            new = (power - signal) / fill
            noise[group, inside] = np.maximum(new, _NOISE_FALL * noise[group, inside])
        self.noise = noise

    def _random_sums(self, images: WhitenedImages, radius: float) -> tuple[SearchSums, SearchGrid]:
        """Every particle at a rotation of its own, at random."""
        grid = self.grid(radius)
        n, k = images.weights.shape
        at = self.rng.integers(0, len(grid.rotations), n)
        shells = fourier_samples(self.data.stack.samples.box_size, radius).shells
        scale = (1 / self.noise)[images.groups][:, shells].astype(np.float32)
        data = np.zeros((1, len(grid.rotations), 2, k), dtype=np.float32)
        weights = np.zeros((1, len(grid.rotations), k), dtype=np.float32)
        mass = np.zeros((1, len(grid.rotations)))
        np.add.at(data[0], at, images.data * scale[:, None])
        np.add.at(weights[0], at, images.weights * scale)
        np.add.at(mass[0], at, 1.0)
        return SearchSums(data, weights, mass, np.ones(len(grid.shifts))), grid


def initial_work(n: int, n_starts: int | None, settings: InitialSettings = _USUAL) -> float:
    """Planned work of `initial_model` for `n` particles, as `schedules.work_of` measures it."""
    starts = n_starts or settings.n_starts
    rounds = range(len(settings.rounds) + settings.more_rounds)
    return sum(settings.starts_in(i, starts) * settings.work(i, n) for i in rounds)


def initial_model(
    particles: Particles,
    stack: AnyStack,
    composite: Composite,
    rows: Int64,
    shift_std: float,
    rng: np.random.Generator,
    reporter: Reporter,
    settings: InitialSettings = _USUAL,
    mode: Mode = "marginal",
    n_starts: int | None = None,
) -> InitialModel:
    """A homogeneous map and everybody's pose, from nothing.

    Parameters
    ----------
    particles : Particles
        Shifts zero, or those of picking; rotations are not looked at.
    stack : FourierStack or RemoteStack
    composite : Composite
        Only its whole extent is used, see `whole_of`.
    rows : (m,) int64 ndarray
    shift_std : float
        Prior of the shifts [pixels]; estimated from above.
    rng : Generator
    reporter : Reporter
    settings : InitialSettings
    mode : {"marginal", "maxcc"}
        How cells are weighed, see `samplers.search`.
    n_starts : int or None
        Instead of that of the settings.

    Returns
    -------
    InitialModel
        Which hand it has is not determined: the mirror image fits as well.
    """
    data = _Data(particles, stack, rows, shift_std, mode)
    shuffled = rng.permutation(rows)
    n_out = min(int(_HELD_OUT * len(rows)), _MOST_HELD_OUT)
    held_out, seen = np.sort(shuffled[:n_out]), np.sort(shuffled[n_out:])
    n_starts = n_starts or settings.n_starts
    starts = [_Start(data, whole_of(composite), own) for own in rng.spawn(n_starts)]
    first: list[float] = []
    for index, (radius, sweeps, batch) in enumerate(settings.rounds):
        for number, start in enumerate(starts, 1):
            start.run(radius, sweeps, batch, seen, reporter.check)
            work = settings.work(index, len(rows))
            reporter.advance(work, _told(index, number, len(starts)))
        is_last = index == len(settings.rounds) - 1
        if index == 0 or len(starts) > 1:
            evidence = _held_out_evidence(starts, held_out, radius)
            first = first or evidence.mean(axis=1).tolist()
            n_kept = 1 if is_last else settings.starts_in(index + 1, n_starts)
            starts = _best(starts, evidence, n_kept)
    best = starts[0]
    _separate_hands(best, settings, seen, reporter, len(rows))
    samples = fourier_samples(stack.samples.box_size, radius)
    images = whitened_images(particles, stack, samples, np.ones_like(best.noise), rows)
    cells, _, grid = best.searched(images, radius, n_cells=4, with_sums=False)
    n = len(rows)
    poses = Poses(
        grid.rotations[cells.rotations[:, 0]].astype(np.float32),
        np.asarray(particles.shifts[rows] + grid.shifts[cells.shifts[:, 0]] * particles.pixel_size),
        np.zeros(n),
        np.zeros(n),
    )
    assert best.estimate is not None
    assert best.molecule is not None
    estimate = best.estimate._replace(noise=best.noise)
    return InitialModel(poses, estimate, best.molecule, cells, first)


def _separate_hands(
    best: _Start, settings: InitialSettings, rows: Int64, reporter: Reporter, n: int
) -> None:
    """More batches while the map still becomes less like its mirror image."""
    left = settings.more_rounds * settings.work(len(settings.rounds), n)
    radius, sweeps, batch = settings.rounds[-1]
    symmetry = best.mirror_symmetry()
    for index in range(settings.more_rounds):
        best.run(radius, sweeps, batch, rows, reporter.check)
        work = settings.work(len(settings.rounds), n)
        left -= work
        reporter.advance(work, _told(len(settings.rounds) + index, 1, 1))
        before, symmetry = symmetry, best.mirror_symmetry()
        if 1 - symmetry < _SEPARATING * (1 - before):
            break
    reporter.advance(max(left, 0.0), "initial model done")


def _told(index: int, number: int, n_starts: int) -> str:
    if n_starts == 1:
        return f"initial model, round {index + 1}"
    return f"initial model, round {index + 1}, start {number} of {n_starts}"


def _held_out_evidence(starts: list[_Start], rows: Int64, radius: float) -> Float64:
    """Log evidence of particles that no start has seen, all under one noise; (starts, m)."""
    if len(starts) == 1 or not len(rows):
        return np.zeros((len(starts), 1))
    common = np.min([start.noise for start in starts], axis=0)
    scores = []
    for start in starts:
        start_noise, start.noise = start.noise, common
        samples = fourier_samples(start.data.stack.samples.box_size, radius)
        images = whitened_images(
            start.data.particles, start.data.stack, samples, np.ones_like(common), rows
        )
        cells, _, _ = start.searched(images, radius, with_sums=False)
        start.noise = start_noise
        scores.append(np.asarray(cells.log_evidence, dtype=np.float64))
    return np.stack(scores)


def _best(starts: list[_Start], evidence: Float64, n_kept: int) -> list[_Start]:
    """The starts that predict best; of equals those whose maps are least their own mirror image."""
    if len(starts) == n_kept:
        return starts
    n_particles = evidence.shape[1]
    chosen: list[int] = []
    left = list(range(len(starts)))
    while len(chosen) < n_kept:
        best = max(left, key=lambda i: float(evidence[i].mean()))
        behind = evidence[best] - evidence[left]
        error = behind.std(axis=1) / np.sqrt(n_particles)
        equals = [i for i, d, e in zip(left, behind.mean(axis=1), error, strict=True) if d <= 2 * e]
        if len(equals) > 1:
            best = min(equals, key=lambda i: starts[i].mirror_symmetry())
        chosen.append(best)
        left.remove(best)
    return [starts[i] for i in chosen]

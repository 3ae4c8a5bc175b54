"""One random start of an initial model: a homogeneous map that learns from batch after batch.

Stochastic expectation maximisation over an exhaustive grid of rotations and shifts (the third
source's "initial model"). Nothing is tempered by hand: the noise begins as all the power there is
and falls as the map explains it, so weights are soft at first by themselves.
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
from napari_hypermol.runs.stage_problem import Estimate
from napari_hypermol.samplers.search import Cells, Mode, SearchSums

__all__ = ["RandomStart", "StartData", "whole_of"]

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_ORDER = 2  # 4608 rotations, 15 degrees apart: the detail of 8 cycles across a particle
_ONE_NODE = np.ones((1, 1), dtype=np.float32)
_MEAN_PRIOR = 20.0  # start of the map's spectrum, relative to the data's mean precision
_NOISE_FALL = 0.5  # the most of a shell's noise that one batch may take away
_LEAST_SHIFT_STD = 0.5  # [pixels]


class StartData(NamedTuple):
    """What every start learns from; `shift_std` is the prior of the shifts [pixels]."""

    particles: Particles
    stack: AnyStack
    rows: Int64
    shift_std: float
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


class RandomStart:
    """One start on its way: map, noise and spread of shifts."""

    def __init__(self, data: StartData, whole: Composite, rng: np.random.Generator) -> None:
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

"""Small simulated stacks, their mean molecule, and the problem in which first states are sought."""

from pathlib import Path

import numpy as np

from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.runs.chunks import stage_problem
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.from_recipe import composite_of
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.recipe_text import recipe_from
from napari_hypermol.runs.recover import recover
from napari_hypermol.runs.snapshot import RecoverySettings
from napari_hypermol.schedules.stage import Stage
from napari_hypermol.synthetic.pretzel import pretzel
from napari_hypermol.synthetic.recipes import components_of
from napari_hypermol.synthetic.simulate import Simulation, simulated_particles
from napari_hypermol.synthetic.wheel import wheel

WHEEL = Simulation("wheel", n=400, box_size=32, pixel_size=6.0, snr=0.5, shift_std=1.0, seed=1)
PRETZEL = WHEEL._replace(molecule="pretzel")
MEAN = Stage("mean", 8.0, 0, sweeps=2, solve_iterations=8)
RADIUS = 8.0  # band limit [cycles per box edge]: 24 Å
DEGREE = 3


class SmallStart:
    """Particles of a molecule, their mean, and the problem with states of degree 3."""

    def __init__(self, plan, molecule, composite):
        self.composite, self.n = composite, plan.n
        self.particles, latents = simulated_particles(plan, molecule)
        self.true = latents.states
        self.stack = read_fourier_stack(self.particles, RADIUS)
        mean = self.recovered([MEAN])
        linear = composite.discretise(RADIUS, DEGREE)
        self.problem = self.problem_of(linear, mean.estimate.noise)
        spectra = [
            np.repeat(spectrum, q, axis=0)
            for spectrum, (q, _) in zip(mean.estimate.spectra, linear.set_shapes, strict=True)
        ]
        theta = linear.transfer(mean.estimate.theta, mean.molecule)
        self.estimate = mean.estimate._replace(theta=theta, spectra=spectra)

    def problem_of(self, molecule, noise):
        """All particles against a molecule of this band limit."""
        rows = np.arange(self.n)
        return stage_problem(self.particles, self.stack, molecule, RADIUS, noise, rows)

    def recovered(self, stages, seed=0, on_stage=lambda snapshot: None, start=None):
        """The last snapshot of a recovery through these stages."""
        rows, rng = np.arange(self.n), np.random.default_rng(seed)
        return recover(
            self.particles, self.stack, self.composite, RecoverySettings(stages), rows, rng,
            Reporter(), on_stage, start,
        )  # fmt: skip


def wheels():
    """Wheels with the state they have: a circle."""
    ball = Ball((0, 0, 0), 13.0, 1.0)
    composite = Composite((Component("wheel", ball, FourierBasis(3)),), WHEEL.box_size)
    return SmallStart(WHEEL, wheel(WHEEL.box_size), composite)


def pretzels():
    """Pretzels with the states they have: two arms of one shape, each on its own interval."""
    unit = PRETZEL.box_size * PRETZEL.pixel_size / 64  # [Å]
    parts = components_of("pretzel", unit)
    recipe = recipe_from({"particles": "particles.star", "components": parts})
    composite = composite_of(recipe, Path(), PRETZEL.box_size, PRETZEL.pixel_size)
    return SmallStart(PRETZEL, pretzel(PRETZEL.box_size), composite)


def folded(true):
    """States that run to the middle of the motion, jump to its end and come back; (n, d)."""
    return np.where(true < 0.5, true, 1.5 - true)

"""A small rigid stack, the map that its true poses give, and problems at any poses."""

from functools import cache

import numpy as np

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.runs.chunks import stage_problem
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.recover import recover
from napari_hypermol.runs.snapshot import RecoverySettings
from napari_hypermol.schedules.stage import Stage
from napari_hypermol.synthetic.gaussians import GaussianComponent, GaussianMolecule
from napari_hypermol.synthetic.kinase import kinase
from napari_hypermol.synthetic.pose_errors import with_errors
from napari_hypermol.synthetic.simulate import Simulation, simulated_particles

BOX, PIXEL = 32, 6.0
RADIUS = 9.0  # band limit [cycles per box edge]: 21 Å
PLAN = Simulation("kinase", n=300, box_size=BOX, pixel_size=PIXEL, snr=0.5, shift_std=1.0, seed=2)


def still(molecule):
    """A molecule that stays in the middle of its range."""
    parts = []
    for part in molecule.components:
        places = part.centres(np.array([0.5]))[0]
        parts.append(
            GaussianComponent(
                part.name,
                lambda states, places=places: np.broadcast_to(places, (len(states), *places.shape)),
                part.amplitudes,
                part.widths,
                has_state=False,
            )
        )
    return GaussianMolecule(tuple(parts))


def whole(box_size=BOX):
    """One still component around all of it."""
    ball = Ball((0.0, 0.0, 0.0), 0.45 * box_size)
    return Composite([Component("all", ball, ConstantBasis())], box_size)


class RigidStack:
    """Particles of the kinase, stopped half way; `told` are their poses with errors."""

    def __init__(self, plan, errors=(8.0, 1.0)):
        self.particles, self.true = simulated_particles(plan, still(kinase(plan.box_size)))
        self.rows = np.arange(plan.n)
        self.stack = read_fourier_stack(self.particles, RADIUS)
        rotations, shifts = with_errors(
            self.true.rotations, errors[0], self.true.shifts, errors[1] * plan.pixel_size,
            np.random.default_rng(1),
        )  # fmt: skip
        self.told = self.particles._replace(rotations=rotations, shifts=shifts)
        mean = recover(
            self.particles, self.stack, whole(plan.box_size),
            RecoverySettings([Stage("mean", RADIUS, 0, sweeps=3, solve_iterations=8)]),
            self.rows, np.random.default_rng(0), Reporter(),
        )  # fmt: skip
        self.molecule, self.estimate = mean.molecule, mean.estimate

    def problem(self, particles):
        """All particles, at the poses they have here."""
        return stage_problem(
            particles, self.stack, self.molecule, RADIUS, self.estimate.noise, self.rows
        )


@cache
def rigid_stack():
    """The stack that several files test with; do not change it."""
    return RigidStack(PLAN)

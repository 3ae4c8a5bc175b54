"""A small stack of a molecule like no other: no symmetry, features of all sizes."""

import numpy as np

from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.random_start import RandomStart, StartData
from napari_hypermol.synthetic.gaussians import GaussianComponent, GaussianMolecule
from napari_hypermol.synthetic.simulate import Simulation, simulated_particles
from small_poses import BOX, PIXEL, whole

PLAN = Simulation(
    "hand", n=250, box_size=BOX, pixel_size=PIXEL, snr=1.0, shift_std=0.3, contrast_std=0.05,
    seed=2, poses="none",
)  # fmt: skip
RADIUS = 5.0  # [cycles per box edge]
STD = 0.5  # [pixels], of the shifts' prior
ROWS = np.arange(PLAN.n)
PLACES = [[0, 0, 0], [6, 0, 0], [10, 0.5, 0], [1, 6, 2], [-4, -3, 5], [-3, -7, 1]]


def hand():
    """Six Gaussians [voxels]."""
    places = np.array(PLACES, dtype=np.float64)
    part = GaussianComponent(
        "hand",
        lambda states: np.broadcast_to(places, (len(states), *places.shape)),
        np.array([1.0, 1.3, 1.8, 1.5, 1.2, 2.0]),
        np.array([2.6, 1.7, 1.4, 1.6, 1.8, 1.3]),
        has_state=False,
    )
    return GaussianMolecule((part,))


def small_hands():
    """Particles without poses, their transforms, and the truth."""
    particles, true = simulated_particles(PLAN, hand())
    assert particles.rotations is None
    return particles, read_fourier_stack(particles, 8.0), true


def started(simulated, seed, sweeps, batch=120):
    """A start after some batches."""
    particles, stack, _ = simulated
    data = StartData(particles, stack, ROWS, STD)
    start = RandomStart(data, whole(), np.random.default_rng(seed))
    start.run(RADIUS, sweeps, batch, ROWS[25:], Reporter().check)
    return start

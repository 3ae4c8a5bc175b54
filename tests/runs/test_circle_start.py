"""A full turn found without a start: closed curves in noise, then small simulated wheels."""

from dataclasses import replace

import numpy as np
import pytest

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.molecules.component import Component, rotation_about
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.runs import circle_start as module
from napari_hypermol.runs import recover as recover_module
from napari_hypermol.runs.chunks import read_fourier_stack, stage_problem
from napari_hypermol.runs.circle_start import circle_states, linear_coordinates, ring_angles
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.recover import RecoverySettings, recover
from napari_hypermol.schedules.stage import Stage
from napari_hypermol.synthetic.gaussians import GaussianMolecule
from napari_hypermol.synthetic.simulate import Simulation, simulated_particles
from napari_hypermol.synthetic.wheel import wheel

HARMONICS = np.array(
    [0.8, 0.6, 1.4]
)  # the third is the strongest: the curve crosses its own shadow
PLAN = Simulation("wheel", n=400, box_size=32, pixel_size=6.0, snr=0.5, shift_std=1.0, seed=1)
MEAN = Stage("mean", 8.0, 0, sweeps=2, solve_iterations=8)
STATES = Stage("states", 8.0, 3, sweeps=4)


def circular_correlation(found, true):
    """1 where they are the same up to a rotation and a direction, about n^-1/2 by chance."""
    same, opposite = (abs(np.exp(2j * np.pi * (found - way * true)).mean()) for way in (1, -1))
    return max(same, opposite)


def closed_curve(rng, n, dims, noise):
    """True angles [turns] and points (n, dims) along three harmonics, turned at random.

    From a noise of 0.3 on passes of the curve run into one another and the order is lost.
    """
    true = rng.random(n)
    waves = [
        part(2 * np.pi * q * true) * size
        for q, size in enumerate(HARMONICS, 1)
        for part in (np.cos, np.sin)
    ]
    axes = np.linalg.qr(rng.normal(size=(dims, dims)))[0][:, :6]
    return true, np.stack(waves, axis=1) @ axes.T + noise * rng.normal(size=(n, dims))


@pytest.mark.parametrize("dims", [6, 8, 12])
@pytest.mark.parametrize("seed", range(4))
def test_closed_curve_is_followed_once_round(seed, dims):
    rng = np.random.default_rng(seed)
    true, points = closed_curve(rng, 1500, dims, 0.2)
    assert circular_correlation(ring_angles(points, rng), true) > 0.95


def test_plain_circle_in_the_plane(rng):
    true = rng.random(500)
    points = np.stack([np.cos(2 * np.pi * true), np.sin(2 * np.pi * true)], axis=1)
    # ranks of 500 random angles are off by half a turn times 500^-1/2 at most
    assert circular_correlation(ring_angles(points, rng), true) > 0.98


def test_angles_of_no_curve_say_nothing(rng):
    """The score can fail: points whose order is random, and a cloud without a curve."""
    true, points = closed_curve(rng, 1500, 8, 0.2)
    chance = 4 / np.sqrt(1500)
    assert circular_correlation(ring_angles(points[rng.permutation(1500)], rng), true) < chance
    cloud = rng.normal(size=points.shape)
    assert circular_correlation(ring_angles(cloud, rng), true) < chance


def test_all_of_the_circle_is_used_evenly(rng):
    true = rng.beta(2, 5, size=400)  # most particles are near one angle
    points = np.stack([np.cos(2 * np.pi * true), np.sin(2 * np.pi * true)], axis=1)
    found = ring_angles(points + 0.05 * rng.normal(size=points.shape), rng)
    np.testing.assert_allclose(np.sort(found), (np.arange(400) + 0.5) / 400)


def test_same_generator_same_angles():
    _, points = closed_curve(np.random.default_rng(0), 700, 8, 0.3)
    one, two = (ring_angles(points, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 12, 16])
def test_a_handful_of_particles_is_enough_to_begin(n):
    """Fewer than the neighbours that are asked for, or than modes of diffusion."""
    true = (np.arange(n) + 0.5) / n
    points = np.stack([np.cos(2 * np.pi * true), np.sin(2 * np.pi * true)], axis=1)
    found = ring_angles(points, np.random.default_rng(0))
    np.testing.assert_allclose(np.sort(found), true)


def test_particles_that_all_look_alike_get_angles(rng):
    found = ring_angles(np.ones((50, 8)), rng)
    np.testing.assert_allclose(np.sort(found), (np.arange(50) + 0.5) / 50)


def test_more_particles_than_landmarks(monkeypatch):
    """The others follow the landmarks that are nearest."""
    monkeypatch.setattr(module, "_LANDMARKS", 600)
    rng = np.random.default_rng(3)
    true, points = closed_curve(rng, 2000, 8, 0.2)
    found = ring_angles(points, rng)
    assert circular_correlation(found, true) > 0.95
    np.testing.assert_allclose(np.sort(found), (np.arange(2000) + 0.5) / 2000)


# ---- with images ---------------------------------------------------------------------------------


class Wheels:
    """Simulated wheels, their mean molecule, and the problem in which first states are sought."""

    def __init__(self, composite, plan=PLAN, molecule=None):
        self.composite, self.n = composite, plan.n
        self.particles, latents = simulated_particles(plan, molecule or wheel(plan.box_size))
        self.true = latents.states
        self.stack = read_fourier_stack(self.particles, 8.0)
        mean = self.recovered([MEAN])
        linear = composite.discretise(8.0, 3)
        noise = mean.estimate.noise
        self.problem = stage_problem(
            self.particles, self.stack, linear, 8.0, noise, np.arange(self.n)
        )
        spectra = [
            np.repeat(spectrum, q, axis=0)
            for spectrum, (q, _) in zip(mean.estimate.spectra, linear.set_shapes, strict=True)
        ]
        theta = linear.transfer(mean.estimate.theta, mean.molecule)
        self.estimate = mean.estimate._replace(theta=theta, spectra=spectra)

    def recovered(self, stages, seed=0):
        rows, rng = np.arange(self.n), np.random.default_rng(seed)
        settings = RecoverySettings(stages)
        return recover(self.particles, self.stack, self.composite, settings, rows, rng, Reporter())


@pytest.fixture(scope="module")
def wheels():
    ball = Ball((0, 0, 0), 13.0, 1.0)
    return Wheels(Composite((Component("wheel", ball, FourierBasis(3)),), PLAN.box_size))


def explained(coordinates, waves):
    """Share of the variance of every wave that is linear in the coordinates."""
    centred = coordinates - coordinates.mean(axis=0)
    waves = waves - waves.mean(axis=0)
    fitted = centred @ np.linalg.lstsq(centred, waves, rcond=None)[0]
    return (fitted**2).sum(axis=0) / (waves**2).sum(axis=0)


def test_linear_coordinates_span_the_first_harmonics(wheels, rng):
    (found,) = linear_coordinates(wheels.problem, wheels.estimate, 0, rng)
    assert found.shape == (PLAN.n, 8)
    angles = 2 * np.pi * wheels.true
    waves = np.concatenate([f(q * angles) for q in (1, 2) for f in (np.cos, np.sin)], axis=1)
    assert explained(found, waves).min() > 0.6  # 0.69 to 0.78 in three stacks; noise is the rest
    by_chance = explained(found, waves[rng.permutation(PLAN.n)])
    assert by_chance.max() < 0.1  # 8 coordinates and 400 particles: 0.02 on average


def test_first_states_of_a_circle(wheels):
    found = circle_states(wheels.problem, wheels.estimate, np.random.default_rng(0))
    assert list(found) == [0]
    assert found[0].shape == (PLAN.n,)
    assert circular_correlation(found[0], wheels.true[:, 0]) > 0.85  # 0.93 to 0.95, three stacks


def test_a_full_turn_is_found_where_random_states_fail(wheels, monkeypatch):
    """Three stacks: 0.967 to 0.985 from a ring; 0.08 to 0.41 from random states, two seeds each."""
    found = wheels.recovered([MEAN, STATES]).posterior.state_mean[:, 0]
    assert circular_correlation(found, wheels.true[:, 0]) > 0.95
    monkeypatch.setattr(recover_module, "circle_states", lambda *given: {})
    at_random = wheels.recovered([MEAN, STATES]).posterior.state_mean[:, 0]
    assert circular_correlation(at_random, wheels.true[:, 0]) < 0.7


def pair_of_wheels():
    """Two small wheels, one the other turned by 180 degrees about z, each with its own angle."""
    small = wheel(24).components[0]
    turn = rotation_about((0, 0, 1), np.pi)

    def beside(states):
        return small.centres(states) + np.array([7.5, 0, 0])

    def opposite(states):
        return beside(states) @ turn.T

    one, two = (
        replace(small, name=name, centres=centres)
        for name, centres in (("one", beside), ("two", opposite))
    )
    support = Ball((7.5, 0, 0), 7.5, 1.0)
    circle, still = FourierBasis(3), ConstantBasis()
    composite = Composite(
        (
            Component("one", support, circle),
            Component("two", support, circle, shares="one", rotation=turn),
            Component("body", Ball((0, 0, 0), 5.0, 1.0), still),
        ),
        PLAN.box_size,
    )
    return GaussianMolecule((one, two)), composite


def test_copies_agree_where_the_circle_begins_and_which_way_it_runs():
    molecule, composite = pair_of_wheels()
    pairs = Wheels(composite, PLAN._replace(snr=2.0), molecule)
    found = circle_states(pairs.problem, pairs.estimate, np.random.default_rng(0))
    assert list(found) == [0, 1]  # the body has none
    both = np.concatenate([found[0], found[1]])
    true = np.concatenate([pairs.true[:, 0], pairs.true[:, 1]])
    assert circular_correlation(both, true) > 0.8
    # each by itself, not its neighbour's
    assert circular_correlation(found[0], pairs.true[:, 1]) < 0.2

"""A full turn found without a start: closed curves in noise, then small simulated wheels."""

from dataclasses import replace

import numpy as np
import pytest

from curves import circular_correlation, closed_curve, plain_circle
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.molecules.component import Component, rotation_about
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.runs import diffusion as diffusion_module
from napari_hypermol.runs import stage_start as start_module
from napari_hypermol.runs.circle_start import circle_states, ring_angles
from napari_hypermol.schedules.stage import Stage
from napari_hypermol.synthetic.gaussians import GaussianMolecule
from napari_hypermol.synthetic.wheel import wheel
from small_starts import MEAN, WHEEL, SmallStart
from small_starts import wheels as simulated_wheels

STATES = Stage("states", 8.0, 3, sweeps=4)


@pytest.mark.parametrize("dims", [6, 8, 12])
@pytest.mark.parametrize("seed", range(4))
def test_closed_curve_is_followed_once_round(seed, dims):
    rng = np.random.default_rng(seed)
    true, points = closed_curve(rng, 1500, dims, 0.2)
    assert circular_correlation(ring_angles(points, rng), true) > 0.95


def test_plain_circle_in_the_plane(rng):
    true = rng.random(500)
    points = plain_circle(true)
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
    points = plain_circle(true)
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
    points = plain_circle(true)
    found = ring_angles(points, np.random.default_rng(0))
    np.testing.assert_allclose(np.sort(found), true)


def test_particles_that_all_look_alike_get_angles(rng):
    found = ring_angles(np.ones((50, 8)), rng)
    np.testing.assert_allclose(np.sort(found), (np.arange(50) + 0.5) / 50)


def test_more_particles_than_landmarks(monkeypatch):
    """The others follow the landmarks that are nearest."""
    monkeypatch.setattr(diffusion_module, "_LANDMARKS", 600)
    rng = np.random.default_rng(3)
    true, points = closed_curve(rng, 2000, 8, 0.2)
    found = ring_angles(points, rng)
    assert circular_correlation(found, true) > 0.95
    np.testing.assert_allclose(np.sort(found), (np.arange(2000) + 0.5) / 2000)


# ---- with images ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheels():
    return simulated_wheels()


def test_first_states_of_a_circle(wheels):
    found = circle_states(wheels.problem, wheels.estimate, np.random.default_rng(0))
    assert list(found) == [0]
    assert found[0].shape == (wheels.n,)
    assert circular_correlation(found[0], wheels.true[:, 0]) > 0.85  # 0.93 to 0.95, three stacks


def test_a_full_turn_is_found_where_random_states_fail(wheels, monkeypatch):
    """Three stacks: 0.967 to 0.985 from a ring; 0.08 to 0.41 from random states, two seeds each."""
    found = wheels.recovered([MEAN, STATES]).posterior.state_mean[:, 0]
    assert circular_correlation(found, wheels.true[:, 0]) > 0.95
    monkeypatch.setattr(start_module, "circle_states", lambda *given: {})
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
        WHEEL.box_size,
    )
    return GaussianMolecule((one, two)), composite


def test_copies_agree_where_the_circle_begins_and_which_way_it_runs():
    molecule, composite = pair_of_wheels()
    pairs = SmallStart(WHEEL._replace(snr=2.0), molecule, composite)
    found = circle_states(pairs.problem, pairs.estimate, np.random.default_rng(0))
    assert list(found) == [0, 1]  # the body has none
    both = np.concatenate([found[0], found[1]])
    true = np.concatenate([pairs.true[:, 0], pairs.true[:, 1]])
    assert circular_correlation(both, true) > 0.8
    # each by itself, not its neighbour's
    assert circular_correlation(found[0], pairs.true[:, 1]) < 0.2

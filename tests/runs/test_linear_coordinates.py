"""Coordinates along linear motions: the harmonics of a wheel, the same axes for copies."""

import numpy as np
import pytest

from napari_hypermol.runs.linear_coordinates import linear_coordinates
from small_starts import WHEEL
from small_starts import wheels as simulated_wheels


@pytest.fixture(scope="module")
def wheels():
    return simulated_wheels()


def explained(coordinates, waves):
    """Share of the variance of every wave that is linear in the coordinates."""
    centred = coordinates - coordinates.mean(axis=0)
    waves = waves - waves.mean(axis=0)
    fitted = centred @ np.linalg.lstsq(centred, waves, rcond=None)[0]
    return (fitted**2).sum(axis=0) / (waves**2).sum(axis=0)


def harmonics(true, degrees):
    """Cosine and sine of every degree at angles [turns] (n, 1); (n, 2 len(degrees))."""
    return np.concatenate([f(2 * np.pi * q * true) for q in degrees for f in (np.cos, np.sin)], 1)


def test_linear_coordinates_span_the_first_harmonics(wheels, rng):
    (found,) = linear_coordinates(wheels.problem, wheels.estimate, 0, rng)
    assert found.shape == (WHEEL.n, 8)
    waves = harmonics(wheels.true, (1, 2))
    assert explained(found, waves).min() > 0.6  # 0.69 to 0.78 in three stacks; noise is the rest
    by_chance = explained(found, waves[rng.permutation(WHEEL.n)])
    assert by_chance.max() < 0.1  # 8 coordinates and 400 particles: 0.02 on average


def test_same_generator_same_coordinates(wheels):
    one, two = (
        linear_coordinates(wheels.problem, wheels.estimate, 0, np.random.default_rng(3))[0]
        for _ in range(2)
    )
    # threads add in another order: rounding of float32, amplified by a few rounds
    np.testing.assert_allclose(one, two, atol=1e-3 * abs(one).max())


def test_coordinates_are_in_units_of_their_standard_error(wheels):
    """Noise alone then spreads by about 1 in the directions nothing moves along, not by 10 or .1.

    The prior N(0, 1) takes part of it, the more the weaker the direction.
    """
    (found,) = linear_coordinates(wheels.problem, wheels.estimate, 0, np.random.default_rng(0))
    spread = np.sqrt(np.linalg.eigvalsh(np.cov(found.T)))
    assert 0.1 < spread[0] < 2.0
    assert spread[-1] > 2 * spread[0]

"""Coordinates along linear motions: the harmonics of a wheel, the same axes for copies."""

import numpy as np
import pytest

from napari_hypermol.runs.linear_coordinates import _moments as linear_moments
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


def test_moments_are_those_of_a_normal_prior_times_the_likelihood(rng):
    """Two factors beside a mean, by summing over a grid of their values."""
    a = rng.normal(size=(5, 3))  # an image of five pixels: the mean, two factors
    y = rng.normal(size=(2, 5))
    g = np.repeat((a.T @ a)[None], 2, axis=0)
    first, second, places = linear_moments(y @ a, g, np.array([1, 2]))
    axis = np.linspace(-7, 7, 281)
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    c = np.concatenate([np.ones((len(x), 1)), x], axis=1)
    for i in range(2):
        weight = np.exp(-0.5 * ((y[i] - c @ a.T) ** 2).sum(axis=1) - 0.5 * (x**2).sum(axis=1))
        weight /= weight.sum()
        np.testing.assert_allclose(first[i], weight @ c, atol=1e-6)  # float32
        np.testing.assert_allclose(second[i], (c.T * weight) @ c, atol=1e-5)
        np.testing.assert_allclose(places[i], weight @ x, atol=1e-8)

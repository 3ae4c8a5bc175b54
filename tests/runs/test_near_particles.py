"""Particles near a state beside their predictions."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_hypermol.runs.near_particles import image_pairs, nearest_particles
from napari_hypermol.runs.predictions import Predictions


@pytest.fixture(scope="module")
def pairs(pretzel_run):
    run = pretzel_run.run
    return image_pairs(Predictions(run.read_particles().particles, run.snapshot), np.arange(12))


def test_predictions_look_like_the_particles(pairs, pretzel_run):
    """A prediction is nearer to its own image than to that of another particle."""
    assert pairs.images.shape == pairs.predicted.shape == (12, *2 * (pretzel_run.run.box_size,))
    assert np.median(pairs.correlations) > 0.2
    flat = [v.reshape(12, -1) for v in (pairs.images, pairs.predicted)]
    table = np.corrcoef(*flat)[:12, 12:]
    assert (table.argmax(axis=1) == np.arange(12)).mean() >= 0.9


def test_correlation_is_that_of_the_whitened_samples(pairs, pretzel_run):
    run = pretzel_run.run
    predictions = Predictions(run.read_particles().particles, run.snapshot)
    row = np.array([7])
    scale = np.sqrt(predictions.samples.weights) / predictions.sigma(row)
    parts = [(v * scale)[0] for v in (predictions.measured(row), predictions.predicted(row))]
    a, b = (np.concatenate([p.real, p.imag]) for p in parts)
    expected = a @ b / np.sqrt((a @ a) * (b @ b))
    assert pairs.correlations[7] == pytest.approx(expected, rel=1e-4)


def test_prediction_is_the_projection_of_the_map(pretzel_run):
    """A particle seen along z without CTF and shift: its map summed along z."""
    run = pretzel_run.run
    particles = run.read_particles().particles
    n = len(particles.shifts)
    plain = particles._replace(
        rotations=np.tile(np.eye(3), (n, 1, 1)), shifts=np.zeros((n, 2)), defocus=None
    )
    row = int(run.state_stds.sum(axis=1).argmin())  # predictions average over the posterior
    found = image_pairs(Predictions(plain, run.snapshot), np.array([row]))
    expected = run.maps.volume(run.states[row]).sum(axis=0) * run.contrasts[row]
    # beyond the band limit the map has the edges of its supports, the prediction nothing
    a, b = (gaussian_filter(v, 1.5) for v in (found.predicted[0], expected))
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.98
    assert (a * b).sum() / (b * b).sum() == pytest.approx(1, abs=0.06)


def test_nearest():
    states = np.array([[0.1, 0.5], [0.95, 0.5], [0.5, 0.5], [0.2, 0.5]])
    kinds = ("circle", "interval")
    np.testing.assert_array_equal(nearest_particles(states, (0.0, 0.5), kinds, 3), [1, 0, 3])
    lines = ("interval", "interval")
    np.testing.assert_array_equal(nearest_particles(states, (0.0, 0.5), lines, 9), [0, 3, 2, 1])

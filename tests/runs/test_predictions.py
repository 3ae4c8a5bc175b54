"""Predictions against the engine's own slices and likelihood."""

import numpy as np
import pytest

from napari_hypermol.imaging.forward import image_samples
from napari_hypermol.runs.linear_black_box import LinearBlackBox
from napari_hypermol.runs.predictions import Predictions, noise_check, shown_rows


@pytest.fixture(scope="module")
def predictions(pretzel_run):
    run = pretzel_run.run
    return Predictions(run.read_particles().particles, run.snapshot)


def test_slices_are_those_of_the_engine(predictions):
    snapshot, rows = predictions.snapshot, np.array([3, 0, 200])
    box = LinearBlackBox(snapshot.molecule, snapshot.estimate.spectra)
    rotations = predictions.particles.rotations[rows]
    states = np.tile([0.2, 0.7], (3, 1))
    expected = box.slices(snapshot.estimate.theta, rotations, states, predictions.samples)
    found = predictions.slices(rotations, box.functions(states))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_predictions_explain_the_images(predictions):
    rows = np.arange(60)
    measured, predicted = predictions.measured(rows), predictions.predicted(rows)
    weights, sigma = predictions.samples.weights, predictions.sigma(rows)

    def misfit(residual):
        return (weights * np.abs(residual) ** 2 / sigma**2).sum(axis=1) / weights.sum()

    own, others = misfit(measured - predicted), misfit(measured - np.roll(predicted, 1, axis=0))
    assert (own < others).mean() > 0.95
    assert own.mean() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("name", ["tiny_run", "mixed_run"])
def test_every_kind_of_state(name, request):
    run = request.getfixturevalue(name).run
    predictions = Predictions(run.read_particles().particles, run.snapshot)
    rows = np.array([5, 1])
    triples = predictions.triples(rows)
    assert triples.shape == (2, 3, 24, 24)
    assert np.isfinite(triples).all()
    seen = image_samples(triples[:, 1], predictions.samples)
    np.testing.assert_allclose(seen, predictions.predicted(rows), atol=1e-4)
    np.testing.assert_allclose(predictions.images(rows), triples[:, 1], atol=1e-5)


def test_residuals_are_in_units_of_the_noise(predictions):
    residuals = predictions.triples(np.arange(100))[:, 2]
    assert residuals.var() == pytest.approx(1, abs=0.15)


def test_noise_check(predictions):
    check = noise_check(predictions)
    assert check.frequency[0] == pytest.approx(1 / 192)
    np.testing.assert_allclose(check.residual, check.assumed, rtol=0.35)
    assert check.image[2] > 1.5 * check.residual[2]  # there is signal at low frequency


def test_worst_and_typical():
    worst, typical = shown_rows(np.array([3.0, -9, 1, 2, 7, 5]), 2)
    assert worst.tolist() == [1, 2]
    assert typical.tolist() == [3, 0]
    assert [len(r) for r in shown_rows(np.arange(3.0), 8)] == [3, 3]

import numpy as np
import pytest

from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.io import read_particles
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.whitening import (
    columns_among,
    mean_weights,
    rows_of,
    views_of,
    whitened,
)

ROWS = np.array([41, 3, 17])


@pytest.fixture(scope="module")
def particles(tiny_run):
    return read_particles(tiny_run.data / "particles.star").particles


def test_views_are_those_of_the_rows(particles):
    views = views_of(particles, ROWS)
    np.testing.assert_array_equal(views.shifts, particles.shifts[ROWS])
    np.testing.assert_allclose(views.rotations, particles.rotations[ROWS], atol=1e-6)
    assert views.defocus is not None
    np.testing.assert_array_equal(views.of(slice(1, 3)).defocus.u, particles.defocus.u[[3, 17]])


def test_rotations_not_known_yet_are_none(particles):
    views = views_of(particles._replace(rotations=None), ROWS)
    np.testing.assert_array_equal(views.rotations, np.tile(np.eye(3), (3, 1, 1)))


def test_samples_of_a_lower_limit_are_found_among_those_of_a_higher():
    high, low = fourier_samples(24, 9.0), fourier_samples(24, 5.0)
    columns = columns_among(high, low)
    np.testing.assert_array_equal(high.kx[columns], low.kx)
    np.testing.assert_array_equal(high.ky[columns], low.ky)


def test_images_are_whitened_one_by_one(particles):
    """D and W by their definition, written out for one image: no CTF, no shift."""
    plain = particles._replace(defocus=None, shifts=np.zeros((60, 2)))
    stack = read_fourier_stack(plain, 6.0)
    noise = np.linspace(1.0, 3.0, stack.n_shells)[None]
    out = whitened(
        stack.values[ROWS], views_of(plain, ROWS), plain.optics, noise, stack.samples, 8.0
    )
    weights = stack.samples.weights / noise[0, stack.samples.shells]
    np.testing.assert_allclose(out.weights, np.tile(weights, (3, 1)), rtol=1e-6)
    expected = stack.values[ROWS] * weights
    np.testing.assert_allclose(out.data[:, 0], expected.real, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out.data[:, 1], expected.imag, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out.power.sum(axis=1), stack.power[ROWS].sum(axis=1), rtol=1e-5)


def test_some_of_the_images(particles):
    stack = read_fourier_stack(particles, 6.0)
    noise = np.ones((1, stack.n_shells))
    whole = whitened(
        stack.values, views_of(particles, np.arange(60)), particles.optics, noise,
        stack.samples, 8.0,
    )  # fmt: skip
    for rows in (ROWS, slice(5, 9)):
        some = rows_of(whole, rows)
        for column, of_all in zip(some, whole, strict=True):
            np.testing.assert_array_equal(column, of_all[rows])


def test_mean_weight_of_a_shell():
    samples = fourier_samples(24, 5.0)
    values = np.where(samples.shells == 3, 2.0, 1.0)[None] * samples.weights
    means = mean_weights(values.astype(np.float32), samples, 13)
    np.testing.assert_allclose(means[0, :6], [1, 1, 1, 2, 1, 1], rtol=1e-6)
    np.testing.assert_array_equal(means[0, 7:], 0)

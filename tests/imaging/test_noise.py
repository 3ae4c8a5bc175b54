import numpy as np
import pytest

from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.imaging.forward import image_samples, shell_sums
from napari_hypermol.imaging.noise import initial_noise


def test_spectrum_of_white_noise_is_its_variance_per_group(rng):
    groups = np.repeat([0, 1], 200)
    std = np.where(groups == 0, 1.0, 3.0)[:, None, None]
    samples = fourier_samples(12, 5)
    values = image_samples(std * rng.normal(size=(400, 12, 12)), samples)
    power = shell_sums(samples.weights * abs(values) ** 2, samples, 6)
    fill = shell_sums(samples.weights[None], samples, 6)[0]
    noise = initial_noise(power, fill, groups, 2)
    error = 4 * np.sqrt(2 / (200 * fill))  # of a variance from so many modes
    assert (abs(noise / [[1.0], [9.0]] - 1) < error).all()


def test_shells_without_samples_take_the_nearest():
    noise = initial_noise(np.array([[2.0, 4.0, 0, 0]]), np.array([1.0, 4.0, 0, 0]), np.zeros(1), 1)
    np.testing.assert_allclose(noise, [[2, 1, 1, 1]])


def test_a_group_without_particles_takes_them_all():
    power, groups = np.array([[2.0], [4.0]]), np.array([0, 0])
    np.testing.assert_allclose(initial_noise(power, np.ones(1), groups, 2), [[3], [3]])


def test_normalised_images_keep_a_finite_weight_at_zero_frequency():
    noise = initial_noise(np.array([[0.0, 3.0, 3.0]]), np.ones(3), np.zeros(1), 1)
    assert noise[0, 0] == pytest.approx(3e-3)

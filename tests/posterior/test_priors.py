from dataclasses import replace

import numpy as np
import pytest

from examples import one_ball, random_data, scene
from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.imaging.forward import shell_sums
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.posterior.likelihood import normal_operator
from napari_hypermol.posterior.priors import (
    data_precision,
    posterior_covariance,
    signal_precision,
    updated_spectrum,
)


@pytest.fixture(scope="module")
def full():
    """A basis that fills its cube: its Fourier modes are independent."""
    return VoxelBasis(np.ones((16, 16, 16), dtype=np.float32), 16, 24)


def field(rng, basis, spectrum):
    """Stationary Gaussian fields of spectral densities (q, n_shells)."""
    noise = rng.normal(size=(len(spectrum), basis.n_coefficients))
    return basis.filter(noise, np.sqrt(spectrum).T)


def settled(theta, precision, spectrum, basis, rounds=40):
    for _ in range(rounds):
        spectrum = updated_spectrum(theta, precision, signal_precision(spectrum), basis)
    return spectrum


def scalar(*rows):
    """Diagonal precision matrices from one row of shells per function."""
    return np.stack([np.diag(values) for values in np.array(rows).T])


def test_covariance_is_the_inverse_of_both_precisions(rng):
    roots = rng.normal(size=(5, 2, 4))
    precision = roots @ np.swapaxes(roots, 1, 2)
    spectrum = rng.uniform(0.5, 2, size=(2, 5))
    covariance = posterior_covariance(precision, signal_precision(spectrum))
    for shell in range(5):
        whole = precision[shell] + np.diag(1 / spectrum[:, shell])
        np.testing.assert_allclose(covariance[shell] @ whole, np.eye(2), atol=1e-10)


def test_spectrum_of_a_fully_seen_field_is_recovered(full, rng):
    k = np.arange(full.n_shells)
    truth = np.stack([100 * np.exp(-k / 3), 5 * np.exp(-k / 6)])
    theta = field(rng, full, truth)
    precision = scalar(*(1e4 / truth))
    found = settled(theta, precision, np.full_like(truth, 3.0), full)
    inner = slice(1, -1)
    # sampling: sqrt(2 / modes) of a shell, the average over neighbours bends an exponential
    error = 4 * np.sqrt(2 / full.shell_counts) + 0.1
    assert (abs(found / truth - 1)[:, inner] < error[inner]).all()


def test_start_of_the_iteration_does_not_matter(full, rng):
    truth = np.tile(10 * np.exp(-np.arange(full.n_shells) / 4), (1, 1))
    theta, precision = field(rng, full, truth), scalar(1e3 / truth[0])
    low, high = (settled(theta, precision, np.full_like(truth, s), full) for s in (0.01, 1e4))
    np.testing.assert_allclose(low, high, rtol=1e-2)


def test_partly_seen_field_is_recovered_from_its_wiener_estimate(full, rng):
    """Signal to noise 1 in every mode: the estimate is half the field, the spectrum is not."""
    truth = np.tile(10 * np.exp(-np.arange(full.n_shells) / 6), (1, 1))
    theta = field(rng, full, truth)
    noise = truth  # spectral density of the error of the data, so precision = 1 / truth
    seen = theta + field(rng, full, noise)
    spectrum, precision = 0.3 * truth, scalar(1 / noise[0])
    for _ in range(40):
        gain = (
            posterior_covariance(precision, signal_precision(spectrum))[:, 0] * precision[:, 0]
        ).astype(float)
        spectrum = updated_spectrum(
            full.filter(seen, gain), precision, signal_precision(spectrum), full
        )
    inner = slice(1, -1)
    # the power of seen is 2 truth +- sqrt(2 / modes); less noise, relative to truth, twice that
    error = 8 * np.sqrt(2 / full.shell_counts) + 0.1
    assert (abs(spectrum / truth - 1)[:, inner] < error[inner]).all()


def test_what_is_not_seen_shrinks_and_what_is_beyond_the_limit_copies_its_edge(full, rng):
    n = full.n_shells
    truth = np.ones((2, n))
    theta = field(rng, full, truth)
    theta[1] = 0  # the data say nothing about function 1: its estimate is zero
    seen = np.where(np.arange(n) < 6, 1e3, 0.0)
    found = settled(theta, scalar(seen, 1e-6 * seen), truth, full)
    assert (found[1] < 1e-5).all()
    assert (found[1] > 0).all()  # 1 / S stays finite
    np.testing.assert_allclose(found[0, 6:], found[0, 5])
    # exactly nothing is no reason to fail
    assert np.isfinite(settled(theta, scalar(seen, 0 * seen), truth, full)).all()


def test_change_of_a_round_is_bounded(full, rng):
    truth = np.full((1, full.n_shells), 1e6)
    theta, start = field(rng, full, truth), np.ones((1, full.n_shells))
    seen = scalar(np.ones(full.n_shells))
    once = updated_spectrum(theta, seen, signal_precision(start), full)
    assert once.max() <= 10


def mean_weights(images, samples):
    """Mean of W / w over the samples of each shell, as the stages keep it."""
    n_shells = int(samples.shells.max()) + 1
    counts = np.bincount(samples.shells, samples.weights, n_shells)
    return shell_sums(images.weights, samples, n_shells) / counts


def test_data_precision_is_the_normal_operators(rng):
    """Rayleigh quotients of the true operator on waves of one shell, uniform views, full cube."""
    n, box_size, radius = 150, 32, 15
    composite = one_ball(box_size, degree=1)
    coarse, _, samples = scene(composite, radius)
    basis = VoxelBasis(np.ones_like(coarse.bases[0].mask), coarse.bases[0].edge, box_size)
    molecule = replace(coarse, bases=(basis,))
    placements = Placements(*molecule.placement_arrays)
    images = random_data(rng, n, samples)
    # weights of a kind of CTF: they vary over the shells, and from particle to particle
    phases = rng.uniform(0, 2 * np.pi, size=(n, 1))
    rings = 1 + 0.5 * np.cos(0.4 * np.arange(samples.shells.max() + 1) + phases)
    weights = samples.weights * rings[:, samples.shells]
    images = images._replace(weights=weights.astype(np.float32))
    c = rng.normal(loc=[1, 0.3], size=(n, 2))
    second = np.einsum("nq,nr->nqr", c, c).astype(np.float32)
    precision = data_precision(mean_weights(images, samples), second, basis)
    assert precision.shape == (basis.n_shells, 2, 2)

    def product(x, y):
        grids = molecule.grids(y.ravel().astype(np.float32))
        values = normal_operator(images, second, grids, placements, samples)
        return np.dot(x.ravel(), molecule.grids_adjoint(values))

    limit = int(radius * basis.edge / box_size)  # its shell is cut by the band limit
    for shell in range(1, limit):
        gain = np.zeros((basis.n_shells, 1))
        gain[shell] = 1
        wave = basis.filter(rng.normal(size=(1, basis.n_coefficients)), gain)[0]
        wave /= np.linalg.norm(wave)
        one, two = np.stack([wave, 0 * wave]), np.stack([0 * wave, wave])
        found = np.array([[product(x, y) for y in (one, two)] for x in (one, two)])
        scale = np.sqrt(np.outer(np.diag(precision[shell]), np.diag(precision[shell])))
        # the innermost shells have more modes than a sphere of their radius: 18 for 4 pi
        tolerance = {1: 0.4, 2: 0.25}.get(shell, 0.15)
        np.testing.assert_array_less(abs(found - precision[shell]), tolerance * scale)


def test_signal_precision_is_the_inverse_spectrum_and_a_penalty():
    spectrum = np.array([[4.0, 2.0, 1.0], [1.0, 0.5, 0.25]])
    penalty = np.array([[0.0, 0.0], [0.0, 3.0]])
    found = signal_precision(spectrum, ridge=2.0, penalty=penalty)
    assert found.shape == (3, 2, 2)
    for shell in range(3):
        mean, first = spectrum[:, shell]
        expected = [[2 / mean, 0], [0, 2 * (1 / first + 3 / mean)]]
        np.testing.assert_allclose(found[shell], expected)
    np.testing.assert_allclose(signal_precision(spectrum)[1], np.diag([0.5, 2.0]))

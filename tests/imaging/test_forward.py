import numpy as np
import pytest

from napari_hypermol.backend import as_numpy
from napari_hypermol.coordinates.fourier import image_to_half_plane
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.imaging.ctf import contrast_transfer
from napari_hypermol.imaging.forward import image_samples, select_defocus, shell_sums, whiten
from napari_hypermol.imaging.shift import shift_phases
from napari_hypermol.particles import Defocus, Optics

N, BOX, PIXEL = 5, 12, 2.0


@pytest.fixture(scope="module")
def samples():
    return fourier_samples(BOX, 5)


@pytest.fixture(scope="module")
def defocus():
    rng = np.random.default_rng(3)
    u = rng.uniform(8e3, 2e4, N)
    zeros = np.zeros(N)
    return Defocus(u, u - 300, rng.uniform(0, np.pi, N), zeros, zeros, np.ones(N))


def optics(*is_premultiplied):
    n = len(is_premultiplied)
    return Optics(
        ("x",) * n, np.full(n, 300.0), np.full(n, 2.7e7), np.full(n, 0.1),
        np.array(is_premultiplied),
    )  # fmt: skip


@pytest.fixture
def images_ft(rng, samples):
    return image_samples(rng.normal(size=(N, BOX, BOX)).astype(np.float32), samples)


@pytest.fixture
def noise(rng):
    return rng.uniform(0.5, 2, size=(2, 8))


def test_image_samples_are_the_half_plane_inside_the_limit(rng, samples):
    images = rng.normal(size=(2, BOX, BOX)).astype(np.float32)
    found = image_samples(images, samples)
    half = image_to_half_plane(images)
    for k in range(0, len(samples.kx), 7):
        np.testing.assert_array_equal(found[:, k], half[:, int(samples.ky[k]), int(samples.kx[k])])
    assert found.dtype == np.complex64


def test_select_defocus(defocus):
    chosen = select_defocus(defocus, np.array([3, 1]))
    np.testing.assert_array_equal(chosen.u, defocus.u[[3, 1]])
    assert select_defocus(None, slice(0, 2)) is None


@pytest.mark.parametrize("n_shells", [6, 9])
def test_shell_sums_by_loops(rng, samples, n_shells):
    values = rng.normal(size=(3, len(samples.kx)))
    expected = np.zeros((3, n_shells))
    for k, shell in enumerate(samples.shells):
        expected[:, shell] += values[:, k]
    np.testing.assert_allclose(shell_sums(values, samples, n_shells), expected, atol=1e-12)


def test_whitening_in_its_own_words(images_ft, defocus, samples, noise, rng):
    """D = w H conj(S) Y / sigma^2 and W = w H^2 / sigma^2, particle by particle."""
    groups, shifts = np.array([0, 1, 0, 1, 1]), rng.normal(size=(N, 2))
    data, weights, square = whiten(
        images_ft, shifts, defocus, optics(False, False), groups, noise, samples, PIXEL
    )
    ctf = contrast_transfer(optics(False, False), groups, defocus, samples, PIXEL)
    for i in range(N):
        sigma_square = noise[groups[i], samples.shells]
        turns = (samples.kx * shifts[i, 0] + samples.ky * shifts[i, 1]) / (BOX * PIXEL)
        unshifted = images_ft[i] * np.exp(2j * np.pi * turns)
        expected = samples.weights * ctf[i] * unshifted / sigma_square
        np.testing.assert_allclose(data[i, 0] + 1j * data[i, 1], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(weights[i], samples.weights * ctf[i] ** 2 / sigma_square, 1e-5)
    np.testing.assert_allclose(square, ctf**2, rtol=1e-6)


def test_shifts_are_undone(images_ft, defocus, samples, noise, rng):
    groups, shifts = np.zeros(N, dtype=int), rng.normal(scale=3, size=(N, 2))
    still = whiten(
        images_ft, np.zeros((N, 2)), defocus, optics(False), groups, noise, samples, PIXEL
    )
    moved = images_ft * shift_phases(shifts, samples, PIXEL)
    found = whiten(moved, shifts, defocus, optics(False), groups, noise, samples, PIXEL)
    np.testing.assert_allclose(found[0], still[0], atol=1e-5)
    np.testing.assert_array_equal(found[1], still[1])


def test_premultiplied_images_whiten_alike(images_ft, defocus, samples, noise):
    """H Y, said to be premultiplied, gives the D and W of Y; in a stack of both kinds too."""
    shifts = np.zeros((N, 2))
    plain = whiten(
        images_ft, shifts, defocus, optics(False), np.zeros(N, dtype=int), noise[:1], samples, PIXEL
    )
    groups = np.array([0, 1, 1, 0, 1])
    ctf = contrast_transfer(optics(False, True), groups, defocus, samples, PIXEL)
    mixed = np.where(groups[:, None] == 1, ctf * images_ft, images_ft).astype(np.complex64)
    same_noise = noise[[0, 0]]
    found = whiten(mixed, shifts, defocus, optics(False, True), groups, same_noise, samples, PIXEL)
    for ours, theirs in zip(found, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_without_defocus_the_ctf_is_one(images_ft, samples, noise):
    data, weights, square = whiten(
        images_ft, np.zeros((N, 2)), None, optics(False), np.zeros(N, dtype=int),
        np.ones_like(noise), samples, PIXEL,
    )  # fmt: skip
    np.testing.assert_array_equal(square, 1)
    np.testing.assert_array_equal(weights, np.tile(samples.weights, (N, 1)))
    np.testing.assert_allclose(data[:, 0], samples.weights * images_ft.real, rtol=1e-6)


def test_image_samples_on_a_device(cupy, rng, samples):
    images = rng.normal(size=(2, BOX, BOX)).astype(np.float32)
    found = image_samples(cupy.asarray(images), samples)
    assert isinstance(found, cupy.ndarray)
    assert found.dtype == np.complex64
    np.testing.assert_allclose(as_numpy(found), image_samples(images, samples), atol=1e-6)


def test_shell_sums_on_a_device(cupy, rng, samples):
    values = rng.normal(size=(3, len(samples.kx))).astype(np.float32)
    found = shell_sums(cupy.asarray(values), samples, 9)
    assert isinstance(found, cupy.ndarray)
    np.testing.assert_allclose(as_numpy(found), shell_sums(values, samples, 9), atol=1e-12)


@pytest.mark.parametrize("has_ctf", [True, False])
def test_whitening_on_a_device(cupy, rng, images_ft, defocus, samples, noise, has_ctf):
    groups, shifts = np.array([0, 1, 0, 1, 1]), rng.normal(size=(N, 2))
    defocus = defocus if has_ctf else None
    expected = whiten(
        images_ft, shifts, defocus, optics(False, True), groups, noise, samples, PIXEL
    )
    found = whiten(
        cupy.asarray(images_ft), cupy.asarray(shifts),
        None if defocus is None else Defocus(*map(cupy.asarray, defocus)), optics(False, True),
        cupy.asarray(groups), cupy.asarray(noise), samples, PIXEL,
    )  # fmt: skip
    for ours, theirs in zip(found, expected, strict=True):
        assert isinstance(ours, cupy.ndarray)
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(as_numpy(ours), theirs, atol=1e-6 * abs(theirs).max())

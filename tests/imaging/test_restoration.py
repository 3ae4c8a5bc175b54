"""Views of images against sums written out frequency by frequency."""

import numpy as np
import pytest

from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.imaging import restoration
from napari_hypermol.imaging.ctf import contrast_transfer
from napari_hypermol.imaging.forward import image_samples
from napari_hypermol.imaging.restoration import (
    ctf_planes,
    image_from_samples,
    low_pass,
    phase_flip,
    wiener,
)
from napari_hypermol.particles import Defocus, Optics

PIXEL = 3.0
BOTH = pytest.mark.parametrize("size", [15, 16])


def optics(is_premultiplied=False):
    one = np.ones(1)
    return Optics(
        names=("one",),
        voltage=300 * one,
        spherical_aberration=2.7e7 * one,
        amplitude_contrast=0.1 * one,
        is_premultiplied=np.array([is_premultiplied]),
    )


def defocus(n):
    u = np.linspace(9000.0, 14000.0, n)
    zero, one = np.zeros(n), np.ones(n)
    return Defocus(u=u, v=u - 800, angle=0.4 * one, phase_shift=zero, b_factor=zero, scale=one)


def wave(size, kx, ky):
    """cos of a whole number of cycles along x and y, from the centre of the box."""
    r = np.arange(size) - size // 2
    return np.cos(2 * np.pi * (kx * r[None, :] + ky * r[:, None]) / size).astype(np.float32)


def ctf_at(size, kx, ky, which=0, n=1):
    samples = fourier_samples(size, size)
    at = np.flatnonzero((samples.kx == kx) & (samples.ky == ky))[0]
    groups = np.zeros(n, dtype=int)
    return contrast_transfer(optics(), groups, defocus(n), samples, PIXEL)[which, at]


@BOTH
@pytest.mark.parametrize("k", [(2, 1), (3, -4), (0, 5), (6, 3)])
def test_a_wave_is_flipped_and_restored_by_its_own_ctf(size, k):
    planes = ctf_planes(optics(), np.zeros(2, dtype=int), defocus(2), size, PIXEL)
    images = np.stack([wave(size, *k), 3 * wave(size, *k)])
    for which, factor in enumerate((1, 3)):
        h = ctf_at(size, *k, which, 2)
        flipped = phase_flip(images, planes)[which]
        np.testing.assert_allclose(flipped, np.sign(h) * factor * wave(size, *k), atol=1e-5)
        restored = wiener(images, planes, snr=4.0)[which]
        expected = h / (h**2 + 0.25) * factor * wave(size, *k)
        np.testing.assert_allclose(restored, expected, atol=1e-5)
        once = wiener(images, planes, 4.0, np.array([True, False]))[which]
        expected = expected / (h if which == 0 else 1)
        np.testing.assert_allclose(once, expected, atol=1e-4)


def test_signs_differ_somewhere():
    planes = ctf_planes(optics(), np.zeros(1, dtype=int), defocus(1), 16, PIXEL)
    assert (planes > 0).any()
    assert (planes < 0).any()


@BOTH
def test_nyquist_is_left_out(size):
    planes = ctf_planes(optics(), np.zeros(1, dtype=int), defocus(1), size, PIXEL)[0]
    is_nyquist = size % 2 == 0
    assert (planes[:, -1] == 0).all() == is_nyquist
    assert (planes[size // 2] == 0).all() == is_nyquist


@BOTH
def test_without_defocus_nothing_is_undone(size, rng):
    images = low_pass(rng.normal(size=(1, size, size)), PIXEL, 30.0)
    planes = ctf_planes(optics(), np.zeros(1, dtype=int), None, size, PIXEL)
    np.testing.assert_allclose(phase_flip(images, planes), images, atol=1e-4)


@BOTH
def test_low_pass_halves_a_wave_of_that_resolution(size):
    resolution = size * PIXEL / 5  # five cycles per box edge
    images = np.stack([wave(size, 3, 4), np.ones((size, size), np.float32), wave(size, 5, -5)])
    seen = low_pass(images, PIXEL, resolution)
    np.testing.assert_allclose(seen[0], 0.5 * images[0], atol=1e-6)
    np.testing.assert_allclose(seen[1], images[1], atol=1e-6)
    np.testing.assert_allclose(seen[2], 0.25 * images[2], atol=1e-6)


@BOTH
def test_samples_go_back_to_the_image(size, rng):
    samples = fourier_samples(size, 5)
    values = rng.normal(size=(2, len(samples.kx))) + 1j * rng.normal(size=(2, len(samples.kx)))
    values[:, (samples.kx == 0)] = 0  # their partners are samples too
    images = image_from_samples(values, samples)
    assert images.dtype == np.float32
    np.testing.assert_allclose(image_samples(images, samples), values, atol=1e-5)


@BOTH
def test_images_are_made_some_at_a_time(size, rng, monkeypatch):
    samples = fourier_samples(size, 5)
    values = (rng.normal(size=(7, len(samples.kx), 2)) @ [1, 1j]).astype(np.complex64)
    at_once = image_from_samples(values, samples)
    monkeypatch.setattr(restoration, "_PLANES", 3 * 8 * size * (size // 2 + 1))
    np.testing.assert_array_equal(image_from_samples(values, samples), at_once)
    assert image_from_samples(values[:0], samples).shape == (0, size, size)


@BOTH
def test_images_go_to_the_rows_they_are_told(size, rng, monkeypatch):
    samples = fourier_samples(size, 5)
    values = (rng.normal(size=(5, len(samples.kx), 2)) @ [1, 1j]).astype(np.complex64)
    monkeypatch.setattr(restoration, "_PLANES", 2 * 8 * size * (size // 2 + 1))
    images = image_from_samples(values, samples)
    out, rows = np.full((9, size, size), 7, np.float32), np.array([8, 0, 3, 1, 6])
    assert image_from_samples(values, samples, out, rows) is out
    np.testing.assert_array_equal(out[rows], images)
    assert (np.delete(out, rows, axis=0) == 7).all()
    image_from_samples(values, samples, out)
    np.testing.assert_array_equal(out[:5], images)

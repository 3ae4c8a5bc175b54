import numpy as np
import pytest

from napari_hypermol.errors import ShapeError
from napari_hypermol.runs.fsc import fourier_shell_correlation, resolution_at


def noise(size, seed=1):
    return np.random.default_rng(seed).normal(size=(size,) * 3)


def slow_fsc(one, two):
    """From the definition: every Fourier coefficient by its own sum, shells by rounding |k|."""
    n = len(one)
    k = np.arange(n) - n // 2
    wave = np.exp(-2j * np.pi * np.outer(k, np.arange(n)) / n)
    a, b = (np.einsum("az,by,cx,zyx->abc", wave, wave, wave, v, optimize=True) for v in (one, two))
    cross, left, right = (np.zeros(n) for _ in range(3))
    for z in range(n):
        for y in range(n):
            for x in range(n):
                shell = round(float(np.sqrt(k[z] ** 2 + k[y] ** 2 + k[x] ** 2)))
                cross[shell] += (a[z, y, x] * np.conj(b[z, y, x])).real
                left[shell] += abs(a[z, y, x]) ** 2
                right[shell] += abs(b[z, y, x]) ** 2
    half = slice(n // 2 + 1)
    return cross[half] / np.sqrt(left * right)[half]


@pytest.mark.parametrize("size", [8, 9])
def test_definition(size):
    one, two = noise(size), noise(size) + noise(size, 2)
    found = fourier_shell_correlation(one, two)
    np.testing.assert_allclose(found[1:], slow_fsc(one, two)[1:], atol=1e-12)
    assert found.shape == (size // 2 + 1,)


@pytest.mark.parametrize("size", [12, 13])
def test_identical_opposite_and_scaled(size):
    volume = noise(size).astype(np.float32)
    np.testing.assert_allclose(fourier_shell_correlation(volume, volume), 1, atol=1e-12)
    np.testing.assert_allclose(fourier_shell_correlation(volume, -volume)[1:], -1, atol=1e-12)
    np.testing.assert_allclose(fourier_shell_correlation(volume, 3 * volume + 1), 1, atol=1e-6)


def test_independent_noise_is_zero():
    size = 32
    fsc = fourier_shell_correlation(noise(size), noise(size, 2))
    shells = np.arange(1, size // 2 + 1)
    # about 4 pi k^2 coefficients in a shell, in conjugate pairs
    assert (abs(fsc[1:]) < 4 / np.sqrt(2 * np.pi * shells**2)).all()


def test_shells_without_signal_are_zero():
    assert not fourier_shell_correlation(np.zeros((8,) * 3), noise(8))[1:].any()


def test_shapes():
    with pytest.raises(ShapeError, match="expected equal cubes"):
        fourier_shell_correlation(noise(8), noise(9))
    with pytest.raises(ShapeError):
        fourier_shell_correlation(np.zeros((8, 8, 9)), np.zeros((8, 8, 9)))


def test_resolution_is_where_the_curve_crosses():
    fsc = np.array([1, 1, 0.9, 0.1, 0.4, 0])
    assert resolution_at(fsc, 0.5, 100.0) == pytest.approx(100 / 2.5)  # half way from 2 to 3
    assert resolution_at(np.ones(6), 0.143, 100.0) == 100 / 5  # never below: Nyquist
    assert resolution_at(np.array([1.0, 0.0]), 0.5, 100.0) == pytest.approx(200)

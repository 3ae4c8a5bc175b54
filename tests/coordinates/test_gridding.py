import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import i0

from napari_hypermol.coordinates.gridding import (
    KERNEL_POLYNOMIALS,
    OVERSAMPLING,
    WIDTH,
    compensation_taps,
    kernel_transform,
    kernel_value,
)


def test_polynomials_are_the_kaiser_bessel_kernel():
    beta = np.pi * np.sqrt((WIDTH / OVERSAMPLING) ** 2 * (OVERSAMPLING - 0.5) ** 2 - 0.8)
    x = np.linspace(-1.499, 1.499, 601)
    exact = i0(beta * np.sqrt(1 - (2 * x / WIDTH) ** 2)) / i0(beta)
    np.testing.assert_allclose(kernel_value(x), exact, atol=1e-5)  # the degree's promise is 4e-6


def test_kernel_is_even_and_ends():
    x = np.linspace(0, 3, 50)
    np.testing.assert_array_equal(kernel_value(x), kernel_value(-x))
    np.testing.assert_array_equal(kernel_value([1.51, -2.0]), 0)
    assert KERNEL_POLYNOMIALS.shape == (2, 7)


@pytest.mark.parametrize("frequency", [0.0, 0.05, 0.13, 0.25])
def test_transform_by_quadrature(frequency):
    def integrand(x):
        return float(kernel_value(x)) * np.cos(2 * np.pi * frequency * x)

    expected, _ = quad(integrand, -1.5, 1.5, points=[-0.5, 0.5], epsabs=1e-10)
    np.testing.assert_allclose(kernel_transform(frequency), expected, atol=1e-9)


def test_taps_interpolate_an_exponential():
    """What the kernel is for: sum of taps / transform = exp(2 pi i f u), f up to a quarter."""
    u = np.random.default_rng(1).uniform(10, 20, 200)
    steps = np.arange(30)
    taps = kernel_value(u[:, None] - steps)
    for frequency in (0.0, 0.1, 0.2, 0.25):
        waves = np.exp(2j * np.pi * frequency * steps)
        error = taps @ waves / kernel_transform(frequency) - np.exp(2j * np.pi * frequency * u)
        # three taps at two-fold oversampling; Beatty's tables give 1e-2 at the edge of the field
        assert np.sqrt((abs(error) ** 2).mean()) < 0.012


@pytest.mark.parametrize("reach", [0.25, 0.2, 0.1, 0.01])
def test_compensation_undoes_the_window(reach):
    """A filter with these taps along the grid multiplies positions by 1 / kernel_transform."""
    taps = compensation_taps(reach)
    assert len(taps) <= 5
    positions = np.linspace(-reach, reach, 333)
    both_sides = np.concatenate([taps[:0:-1], taps])
    offsets = np.arange(1 - len(taps), len(taps))
    factor = (np.exp(2j * np.pi * np.multiply.outer(positions, offsets)) @ both_sides).real
    np.testing.assert_allclose(factor * kernel_transform(positions), 1, atol=1e-4)

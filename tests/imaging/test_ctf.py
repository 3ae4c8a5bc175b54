import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hypermol.backend import as_numpy
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.imaging.ctf import contrast_transfer, electron_wavelength
from napari_hypermol.particles import Defocus, Optics
from oracles.relion_ctf import TABLE, WAVELENGTHS, relion_ctf

# Of values up to 1 rounded to float32.
ROUNDING = 1e-7


def ours(microscopes, samples, pixel_size):
    """CTF of one particle per microscope, each in an optics group of its own."""
    kv, cs, q0, u, v, angle, phase, b_factor = np.array(microscopes, dtype=float).T
    n = len(microscopes)
    optics = Optics(("x",) * n, kv, cs * 1e7, q0, np.zeros(n, dtype=bool))
    defocus = Defocus(u, v, np.radians(angle), np.radians(phase), b_factor, np.ones(n))
    return contrast_transfer(optics, np.arange(n), defocus, samples, pixel_size)


@pytest.mark.parametrize("kv", WAVELENGTHS)
def test_wavelengths(kv):
    assert electron_wavelength(kv) == pytest.approx(WAVELENGTHS[kv], abs=1e-12)


@pytest.mark.parametrize(("microscope", "values"), TABLE)
def test_tabulated_values(microscope, values):
    samples = fourier_samples(100, 40)  # 1 Å pixels: frequency index / 100
    ctf = dict(
        zip(
            zip(samples.kx.tolist(), samples.ky.tolist(), strict=True),
            ours([microscope], samples, 1.0)[0],
            strict=True,
        )
    )
    for (x, y), expected in values.items():
        assert relion_ctf(microscope, x, y) == pytest.approx(expected, abs=1e-9)
        assert ctf[round(100 * x), round(100 * y)] == pytest.approx(expected, abs=ROUNDING)


@given(
    st.tuples(
        st.sampled_from([100, 200, 300]), st.floats(0, 3), st.floats(0, 0.3),
        st.floats(2000, 50000), st.floats(2000, 50000), st.floats(-180, 180),
        st.floats(-180, 180), st.floats(0, 200),
    )
)  # fmt: skip
def test_second_formula(microscope):
    samples = fourier_samples(16, 7)
    found = ours([microscope], samples, 1.5)[0]
    frequencies = zip(samples.kx / 24, samples.ky / 24, strict=True)
    expected = [relion_ctf(microscope, float(x), float(y)) for x, y in frequencies]
    # samples are given in float32: 6e-8 of up to 1500 rad
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_groups_and_particles_keep_their_own():
    a, b = TABLE[0][0], TABLE[2][0]
    samples = fourier_samples(16, 7)
    both = ours([a, b], samples, 1.0)
    np.testing.assert_array_equal(both[0], ours([a], samples, 1.0)[0])
    np.testing.assert_array_equal(both[1], ours([b], samples, 1.0)[0])


def test_scale_and_the_floor_away_from_zero():
    samples = fourier_samples(8, 3)
    n = len(samples.kx)
    optics = Optics(("x",), np.array([300.0]), np.zeros(1), np.zeros(1), np.zeros(1, dtype=bool))
    one, zero = np.ones(1), np.zeros(1)

    def ctf(scale, phase):
        defocus = Defocus(zero, zero, zero, phase * one, zero, scale * one)
        return contrast_transfer(optics, np.zeros(1, dtype=int), defocus, samples, 2.0)

    np.testing.assert_allclose(ctf(0.5, np.pi / 2), np.full((1, n), 0.5))
    np.testing.assert_allclose(abs(ctf(1.0, 0.0)), np.full((1, n), 1e-8))  # sin 0, kept off zero


@pytest.mark.parametrize("n", [1, 3])
def test_on_a_device(cupy, rng, n):
    samples, groups = fourier_samples(16, 7), np.arange(n) % 2
    optics = Optics(
        ("a", "b"), np.array([200.0, 300.0]), np.array([2e7, 1e7]), np.array([0.1, 0.07]),
        np.zeros(2, dtype=bool),
    )  # fmt: skip
    columns = rng.uniform(0.1, 1, size=(6, n)) * [[2e4], [2e4], [3.0], [1.0], [50.0], [1.0]]
    there = Defocus(*map(cupy.asarray, columns))
    found = contrast_transfer(optics, cupy.asarray(groups), there, samples, 1.5)
    assert isinstance(found, cupy.ndarray)
    expected = contrast_transfer(optics, groups, Defocus(*columns), samples, 1.5)
    np.testing.assert_allclose(as_numpy(found), expected, atol=ROUNDING)

"""What a stage carries over from the one before it."""

import numpy as np
import pytest

from napari_hypermol.runs import stage_start as module

KNOWN = np.arange(9.0)


def test_spectra_follow_their_shells_inside_and_go_on_falling_beyond():
    spectrum = 5 * np.exp(-0.7 * KNOWN)
    spectrum[-1] = 40.0  # the corners: not to be believed
    radii = np.array([0.0, 0.5, 3.25, 7.0, 7.5, 9.0, 11.0])
    found = module._extended(spectrum, KNOWN, radii)
    np.testing.assert_allclose(found, 5 * np.exp(-0.7 * radii))


def test_only_the_last_shells_say_how_fast_a_spectrum_falls():
    """Flat, then a slope of 1 over the last four of the shells that count, 3 to 7."""
    spectrum = np.exp(-np.maximum(KNOWN - 3, 0))
    found = module._extended(spectrum, KNOWN, np.array([1.0, 9.0]))
    np.testing.assert_allclose(found, [1.0, np.exp(-6.0)])


@pytest.mark.parametrize("seed", range(5))
def test_spectra_never_rise_beyond_their_shells_nor_fall_by_more_than_thirty(seed):
    spectrum = np.exp(4 * np.random.default_rng(seed).normal(size=9))
    beyond = np.linspace(7, 40, 100)
    found = module._extended(spectrum, KNOWN, beyond)
    assert found[0] == pytest.approx(spectrum[-2])
    assert (np.diff(found) <= 0).all()
    assert found.min() >= 0.999 * spectrum[-2] / 30


def test_spectra_that_rise_stay_where_they_are_and_steep_ones_stop():
    beyond = np.array([8.0, 20.0, 100.0])
    np.testing.assert_allclose(module._extended(np.exp(KNOWN), KNOWN, beyond), np.exp(7.0))
    steep = np.exp(-3 * KNOWN)
    expected = [np.exp(-24.0), np.exp(-21.0) / 30, np.exp(-21.0) / 30]
    np.testing.assert_allclose(module._extended(steep, KNOWN, beyond), expected)


def test_spectrum_of_a_single_shell_is_constant():
    found = module._extended(np.array([2.0, 9.0]), np.array([0.0, 1.0]), np.array([0.0, 3.0]))
    np.testing.assert_allclose(found, 2.0)

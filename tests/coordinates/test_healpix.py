import numpy as np
import pytest
from astropy_healpix import HEALPix

from napari_hypermol.coordinates.healpix import pixel_centres


@pytest.mark.parametrize("n_side", [1, 2, 4, 8, 32])
def test_centres_are_those_of_another_program(n_side):
    azimuth, tilt = pixel_centres(n_side)
    pixels = HEALPix(n_side, order="ring")
    longitude, latitude = pixels.healpix_to_lonlat(np.arange(pixels.npix))
    np.testing.assert_allclose(azimuth, longitude.rad, rtol=0, atol=4e-15)
    np.testing.assert_allclose(tilt, np.pi / 2 - latitude.rad, rtol=0, atol=4e-15)


def test_near_the_poles_nothing_is_rounded_away():
    """There z = 1 - 1 / (3 n^2), and its arccosine has lost half of its digits."""
    _, tilt = pixel_centres(1024)
    assert tilt[0] == pytest.approx(np.sqrt(2 / 3) / 1024, rel=1e-7)
    assert np.sin(tilt[0] / 2) == pytest.approx(1 / (np.sqrt(6) * 1024), rel=1e-14)
    assert np.pi - tilt[-1] == pytest.approx(tilt[0], abs=1e-15)


@pytest.mark.parametrize("n_side", [1, 4, 16])
def test_directions_are_even(n_side):
    azimuth, tilt = pixel_centres(n_side)
    assert len(azimuth) == 12 * n_side**2
    directions = np.stack([np.sin(tilt) * np.cos(azimuth), np.sin(tilt) * np.sin(azimuth),
                           np.cos(tilt)])  # fmt: skip
    np.testing.assert_allclose(directions.mean(axis=1), 0, atol=1e-14)
    second = directions @ directions.T / len(azimuth)
    np.testing.assert_allclose(second, np.eye(3) / 3, atol=0.07 / n_side**2)

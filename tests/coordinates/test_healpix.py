import numpy as np
import pytest
from astropy_healpix import HEALPix

from napari_hypermol.coordinates.healpix import pixel_centres


@pytest.mark.parametrize("n_side", [1, 2, 4, 8, 32])
def test_centres_are_those_of_another_program(n_side):
    azimuth, tilt = pixel_centres(n_side)
    pixels = HEALPix(n_side, order="ring")
    longitude, latitude = pixels.healpix_to_lonlat(np.arange(pixels.npix))
    np.testing.assert_allclose(azimuth, longitude.rad, atol=1e-14)
    np.testing.assert_allclose(tilt, np.pi / 2 - latitude.rad, atol=1e-14)


@pytest.mark.parametrize("n_side", [1, 4, 16])
def test_directions_are_even(n_side):
    azimuth, tilt = pixel_centres(n_side)
    assert len(azimuth) == 12 * n_side**2
    directions = np.stack([np.sin(tilt) * np.cos(azimuth), np.sin(tilt) * np.sin(azimuth),
                           np.cos(tilt)])  # fmt: skip
    np.testing.assert_allclose(directions.mean(axis=1), 0, atol=1e-14)
    second = directions @ directions.T / len(azimuth)
    np.testing.assert_allclose(second, np.eye(3) / 3, atol=0.07 / n_side**2)

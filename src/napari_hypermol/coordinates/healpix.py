"""Directions evenly over the sphere: centres of HEALPix pixels.

Written out because the library for it imports astropy, which takes longer than a small search.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["pixel_centres"]

Float64 = NDArray[np.float64]


def pixel_centres(n_side: int) -> tuple[Float64, Float64]:
    """Azimuth and angle from the z axis of all pixels, ring after ring from north to south.

    Gorski et al., The Astrophysical Journal 622 (2005), Eqs. (4) to (9).

    Parameters
    ----------
    n_side : int
        Pixels along an edge of each of the twelve base pixels.

    Returns
    -------
    azimuth, tilt : (12 n_side^2,) float64 ndarray
        [rad].
    """
    azimuth, tilt = [], []
    for ring in range(1, 4 * n_side):
        from_pole = min(ring, 4 * n_side - ring)
        if from_pole < n_side:  # a polar cap; by half of the angle, which is exact near the pole
            n_pixels, phase = 4 * from_pole, 0.5
            own = 2 * np.arcsin(from_pole / (np.sqrt(6) * n_side))
            own = own if ring == from_pole else np.pi - own
        else:
            n_pixels, phase = 4 * n_side, 0.5 if (ring - n_side) % 2 == 0 else 0.0
            own = np.arccos(4 / 3 - 2 * ring / (3 * n_side))
        azimuth.append(2 * np.pi * (np.arange(n_pixels) + phase) / n_pixels)
        tilt.append(np.full(n_pixels, own))
    return np.concatenate(azimuth), np.concatenate(tilt)

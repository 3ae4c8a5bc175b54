"""In-plane shifts as phases, S(s) of Eq. (6)."""

from typing import Any

import numpy as np

from napari_hypermol.backend import array_module
from napari_hypermol.coordinates.grids import FourierSamples

__all__ = ["shift_phases"]


def shift_phases(shifts: Any, samples: FourierSamples, pixel_size: float) -> Any:
    """exp(-2 pi i w.s): multiplying by it moves a particle from the centre to +s.

    Parameters
    ----------
    shifts : (n, 2) float array
        s_i, (x, y) in the image frame [Å].
    samples : FourierSamples
    pixel_size : float
        [Å].

    Returns
    -------
    phases : (n, k) complex64 array
    """
    xp = array_module(shifts)
    turns = (-2 * np.pi / (samples.box_size * pixel_size)) * xp.asarray(shifts)
    angle = turns[:, :1] * xp.asarray(samples.kx) + turns[:, 1:] * xp.asarray(samples.ky)
    return xp.exp(1j * angle).astype(xp.complex64)

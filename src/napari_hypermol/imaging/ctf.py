"""Contrast transfer function, exactly RELION's, Eq. (5)-(6)'s H.

Not here: aberrations beyond Cs and astigmatism; `io` warns about them by name.
"""

from typing import Any

import numpy as np

from napari_hypermol.backend import array_module
from napari_hypermol.coordinates.grids import FourierSamples
from napari_hypermol.particles import Defocus, IntArray, Optics

__all__ = ["contrast_transfer", "electron_wavelength"]


def electron_wavelength(voltage: Any) -> Any:
    """Relativistic wavelength [Å] of electrons accelerated by `voltage` [kV]."""
    volts = voltage * 1e3
    return 12.2643247 / (volts * (1.0 + volts * 0.978466e-6)) ** 0.5


def contrast_transfer(
    optics: Optics, groups: IntArray, defocus: Defocus, samples: FourierSamples, pixel_size: float
) -> Any:
    """CTF of each particle at the samples.

    Parameters
    ----------
    optics : Optics
    groups : (n,) int array
        Optics group of each particle; on the device of `defocus`.
    defocus : Defocus
        Of the same n particles.
    samples : FourierSamples
    pixel_size : float
        [Å].

    Returns
    -------
    ctf : (n, k) float32 array
        -sin(chi) exp(-B w^2 / 4) times the scale; +Q0 at the origin (protein bright).

    Notes
    -----
    chi = pi lambda (-defocus(angle)) w^2 + pi/2 Cs lambda^3 w^4 - phase shift - asin(Q0).
    RELION's signs and constants; values below 1e-8 are raised to it, as there.
    """
    xp = array_module(defocus.u)
    edge = samples.box_size * pixel_size
    # double: at high frequency and defocus chi is hundreds of radians, beyond single precision
    wx, wy = (xp.asarray(k, dtype=xp.float64) / edge for k in (samples.kx, samples.ky))
    square, azimuth = wx**2 + wy**2, xp.arctan2(wy, wx)
    voltage, aberration, amplitude = (
        xp.asarray(of_group)[groups][:, None]
        for of_group in (optics.voltage, optics.spherical_aberration, optics.amplitude_contrast)
    )
    wavelength = electron_wavelength(voltage)
    mean = 0.5 * (defocus.u + defocus.v)[:, None]
    half_difference = 0.5 * (defocus.u - defocus.v)[:, None]
    depth = mean + half_difference * xp.cos(2 * (azimuth[None, :] - defocus.angle[:, None]))
    chi = np.pi * wavelength * square * (0.5 * aberration * wavelength**2 * square - depth)
    chi = chi - defocus.phase_shift[:, None] - xp.arcsin(amplitude)
    envelope = xp.exp(-0.25 * defocus.b_factor[:, None] * square) * defocus.scale[:, None]
    ctf = -xp.sin(chi) * envelope
    tiny = xp.abs(ctf) < 1e-8
    return xp.where(tiny, xp.where(ctf < 0, -1e-8, 1e-8), ctf).astype(xp.float32)

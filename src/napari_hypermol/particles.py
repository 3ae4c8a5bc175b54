"""Particles, their optics and their latents: frozen tuples of arrays, without behaviour.

Not here: how they are read (`io`), what is computed from them (`imaging`, `posterior`).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Defocus", "FloatArray", "IntArray", "Latents", "Optics", "Particles"]

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]


class Optics(NamedTuple):
    """Parameters shared by all particles of an optics group; g groups.

    Attributes
    ----------
    names : tuple of str, length g
    voltage : (g,) float ndarray
        Acceleration voltage [kV].
    spherical_aberration : (g,) float ndarray
        Cs [Å].
    amplitude_contrast : (g,) float ndarray
        Fraction Q0 in [0, 1].
    is_premultiplied : (g,) bool ndarray
        Whether the images were already multiplied by their CTF.
    """

    names: tuple[str, ...]
    voltage: FloatArray
    spherical_aberration: FloatArray
    amplitude_contrast: FloatArray
    is_premultiplied: NDArray[np.bool_]


class Defocus(NamedTuple):
    """The part of the CTF each particle has for itself; n particles.

    Attributes
    ----------
    u, v : (n,) float ndarray
        Defocus along the two principal axes, positive for underfocus [Å].
    angle : (n,) float ndarray
        Angle from the x axis to the axis of `u` [rad].
    phase_shift : (n,) float ndarray
        Of a phase plate [rad].
    b_factor : (n,) float ndarray
        Gaussian envelope exp(-B |w|^2 / 4) [Å^2].
    scale : (n,) float ndarray
        Factor on the whole CTF (rlnCtfScalefactor), 1 where absent.
    """

    u: FloatArray
    v: FloatArray
    angle: FloatArray
    phase_shift: FloatArray
    b_factor: FloatArray
    scale: FloatArray


class Latents(NamedTuple):
    """What is unknown about each particle, (R, s, a, tau) of Eq. (23).

    Attributes
    ----------
    rotations : (n, 3, 3) float ndarray
        R_i, molecule to image frame, acting on (x, y, z) columns.
    shifts : (n, 2) float ndarray
        s_i, (x, y) in the image frame [Å]: the particle lies at +s from the centre.
    contrasts : (n,) float ndarray
        a_i, positive.
    states : (n, d) float ndarray
        All components' states side by side, in [0, 1].
    """

    rotations: FloatArray
    shifts: FloatArray
    contrasts: FloatArray
    states: FloatArray


class Particles(NamedTuple):
    """A particle stack with everything the file says about it.

    Attributes
    ----------
    images : (n, y, x) dask array
        Lazy, float32 when computed; row i of the file is image i whatever the order in the stack.
    pixel_size : float
        Edge of a pixel [Å], one for all particles.
    optics : Optics
    optics_group : (n,) int ndarray
        Index into `optics`.
    defocus : Defocus or None
        None when the file has no CTF columns: the CTF is then 1.
    rotations : (n, 3, 3) float ndarray or None
        From the file's angles; None when it has none.
    shifts : (n, 2) float ndarray
        From the file's origins [Å]; zero where it has none.
    half_sets : (n,) int ndarray or None
        rlnRandomSubset, 1 or 2.
    """

    images: Any
    pixel_size: float
    optics: Optics
    optics_group: IntArray
    defocus: Defocus | None
    rotations: FloatArray | None
    shifts: FloatArray
    half_sets: IntArray | None

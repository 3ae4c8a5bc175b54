"""The whole imaging model of Eq. (6) for a chunk of particles, and the whitening that undoes it.

`image_samples` crops images to a band limit; `whiten` folds shift, CTF and noise into the two
arrays the likelihood works on.
"""

from typing import Any

import numpy as np

from napari_hypermol.backend import array_module
from napari_hypermol.coordinates.fourier import image_to_half_plane
from napari_hypermol.coordinates.grids import FourierSamples
from napari_hypermol.imaging.ctf import contrast_transfer
from napari_hypermol.imaging.shift import shift_phases
from napari_hypermol.particles import Defocus, FloatArray, IntArray, Optics

__all__ = ["image_samples", "select_defocus", "shell_sums", "whiten"]


def image_samples(images: Any, samples: FourierSamples) -> Any:
    """Unitary Fourier transform of real images at the samples; (n, y, x) -> (n, k) complex64."""
    xp = array_module(images)
    rows, columns = xp.asarray(samples.rows), xp.asarray(samples.columns)
    return image_to_half_plane(images)[:, rows, columns].astype(xp.complex64)


def select_defocus(defocus: Defocus | None, rows: Any) -> Defocus | None:
    """The defocus of some particles."""
    return None if defocus is None else Defocus(*(column[rows] for column in defocus))


def shell_sums(values: Any, samples: FourierSamples, n_shells: int) -> Any:
    """Sum of real `values` (n, k) in each shell of |k|; (n, n_shells) float64."""
    xp = array_module(values)
    order = np.argsort(samples.shells, kind="stable")
    starts = np.searchsorted(samples.shells[order], np.arange(samples.shells.max() + 1))
    sorted_values = values[:, xp.asarray(order)].astype(xp.float64)
    sums = xp.add.reduceat(sorted_values, xp.asarray(starts), axis=1)
    out = xp.zeros((len(values), n_shells))
    out[:, : sums.shape[1]] = sums
    return out


def whiten(
    images_ft: Any,
    shifts: FloatArray,
    defocus: Defocus | None,
    optics: Optics,
    groups: IntArray,
    noise: FloatArray,
    samples: FourierSamples,
    pixel_size: float,
) -> tuple[Any, Any, Any]:
    """D = w H conj(S) Y / sigma^2 and W = w H^2 / sigma^2 of Eq. (10).

    Parameters
    ----------
    images_ft : (n, k) complex64 array
        Y at the samples. Where it is, the other arrays are too, but for `optics` and `samples`.
    shifts : (n, 2) float array
        [Å].
    defocus : Defocus or None
        None: H = 1.
    optics : Optics
    groups : (n,) int array
    noise : (groups, shells) float array
        sigma^2.

    Returns
    -------
    data : (n, 2, k) float32 array
        Re and Im of D.
    weights : (n, k) float32 array
        W.
    ctf_square : (n, k) float32 array
        H^2.
    """
    xp, n = array_module(images_ft), len(images_ft)
    if defocus is None:
        ctf = xp.ones((n, len(samples.kx)), dtype=xp.float32)
    else:
        ctf = contrast_transfer(optics, groups, defocus, samples, pixel_size)
    sigma_square = noise[groups][:, xp.asarray(samples.shells)].astype(xp.float32)
    scale = xp.asarray(samples.weights) / sigma_square
    # Premultiplied images are H Y already: one factor H less.
    is_premultiplied = xp.asarray(optics.is_premultiplied)[groups][:, None]
    once = xp.where(is_premultiplied, xp.float32(1), ctf)
    values = images_ft * xp.conj(shift_phases(shifts, samples, pixel_size))
    values *= scale * once
    data = xp.stack([values.real, values.imag], axis=1).astype(xp.float32)
    square = ctf * ctf
    return data, (scale * square).astype(xp.float32), square

"""The whole imaging model of Eq. (6) for a chunk of particles, and the whitening that undoes it.

`image_samples` crops images to a band limit; `whiten` folds shift, CTF and noise into the two
arrays the likelihood works on.
"""

from typing import Any

import numpy as np

from napari_hypermol.coordinates.fourier import image_to_half_plane
from napari_hypermol.coordinates.grids import FourierSamples
from napari_hypermol.imaging.ctf import contrast_transfer
from napari_hypermol.imaging.shift import shift_phases
from napari_hypermol.particles import Defocus, FloatArray, IntArray, Optics

__all__ = ["image_samples", "select_defocus", "shell_sums", "whiten"]


def image_samples(images: Any, samples: FourierSamples) -> Any:
    """Unitary Fourier transform of real images at the samples; (n, y, x) -> (n, k) complex64."""
    return image_to_half_plane(images)[:, samples.rows, samples.columns].astype(np.complex64)


def select_defocus(defocus: Defocus | None, rows: Any) -> Defocus | None:
    """The defocus of some particles."""
    return None if defocus is None else Defocus(*(column[rows] for column in defocus))


def shell_sums(values: Any, samples: FourierSamples, n_shells: int) -> Any:
    """Sum of real `values` (n, k) in each shell of |k|; (n, n_shells) float64."""
    order = np.argsort(samples.shells, kind="stable")
    starts = np.searchsorted(samples.shells[order], np.arange(samples.shells.max() + 1))
    sums = np.add.reduceat(values[:, order].astype(np.float64), starts, axis=1)
    out = np.zeros((len(values), n_shells))
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
    images_ft : (n, k) complex64 ndarray
        Y at the samples.
    shifts : (n, 2) float ndarray
        [Å].
    defocus : Defocus or None
        None: H = 1.
    noise : (groups, shells) float ndarray
        sigma^2.

    Returns
    -------
    data : (n, 2, k) float32 ndarray
        Re and Im of D.
    weights : (n, k) float32 ndarray
        W.
    ctf_square : (n, k) float32 ndarray
        H^2.
    """
    n = len(images_ft)
    if defocus is None:
        ctf = np.ones((n, len(samples.kx)), dtype=np.float32)
    else:
        ctf = contrast_transfer(optics, groups, defocus, samples, pixel_size)
    scale = samples.weights / noise[groups][:, samples.shells].astype(np.float32)
    # Premultiplied images are H Y already: one factor H less.
    once = np.where(optics.is_premultiplied[groups][:, None], np.float32(1), ctf)
    values = images_ft * np.conj(shift_phases(shifts, samples, pixel_size))
    values *= scale * once
    data = np.stack([values.real, values.imag], axis=1).astype(np.float32)
    square = ctf * ctf
    return data, (scale * square).astype(np.float32), square

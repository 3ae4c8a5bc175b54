"""Images as a person looks at them: low-passed, and with the effect of the CTF undone.

For the eye only. A recovery works on the images as they are, where the CTF is part of the model.
"""

from typing import Any

import numba
import numpy as np

from napari_hypermol.coordinates.fourier import (
    half_plane_signs,
    half_plane_to_image,
    image_to_half_plane,
    signed_half_plane_to_image,
)
from napari_hypermol.coordinates.grids import FourierSamples, fourier_samples
from napari_hypermol.imaging.ctf import contrast_transfer
from napari_hypermol.loops import compiled
from napari_hypermol.particles import Defocus, IntArray, Optics

__all__ = ["ctf_planes", "image_from_samples", "low_pass", "phase_flip", "wiener"]

_PLANES = 2**21  # [bytes] of half planes at once: they stay in the caches near a core


@compiled(parallel=True)
def _fill_planes(values: Any, rows: Any, columns: Any, signs: Any, planes: Any) -> None:
    """Half planes of samples, zero elsewhere; (n, k), (k,), (k,), (k,) -> (n, y, x // 2 + 1)."""
    for i in numba.prange(len(values)):
        planes[i] = 0
        for k in range(len(rows)):
            planes[i, rows[k], columns[k]] = values[i, k] * signs[k]


def image_from_samples(
    values: Any, samples: FourierSamples, out: Any = None, rows: IntArray | None = None
) -> Any:
    """Real images of Fourier samples, zero at those left out.

    Parameters
    ----------
    values : (n, k) complex array
    samples : FourierSamples
    out : (m, y, x) float32 ndarray or None
        Where they go.
    rows : (n,) int ndarray or None
        Which of `out` they are; None: the first ones.

    Returns
    -------
    (m, y, x) float32 ndarray
        `out`, or the n images where there is none.
    """
    size = samples.box_size
    if out is None:
        out = np.empty((len(values), size, size), dtype=np.float32)
    chunk = max(_PLANES // (8 * size * (size // 2 + 1)), 1)
    planes = np.empty((min(chunk, len(values)), size, size // 2 + 1), dtype=np.complex64)
    is_even = size % 2 == 0
    signs = half_plane_signs(size) if is_even else np.ones(planes.shape[1:], np.float32)
    where = samples.rows, samples.columns, signs[samples.rows, samples.columns]
    for start in range(0, len(values), chunk):
        some = np.ascontiguousarray(values[start : start + chunk], dtype=np.complex64)
        own = planes[: len(some)]
        _fill_planes(some, *where, own)
        images = (
            signed_half_plane_to_image(own) if is_even else half_plane_to_image(own, (size, size))
        )
        part = slice(start, start + len(own))
        out[part if rows is None else rows[part]] = images
    return out


def ctf_planes(
    optics: Optics, groups: IntArray, defocus: Defocus | None, box_size: int, pixel_size: float
) -> Any:
    """CTF of each particle on the whole half plane.

    Parameters
    ----------
    optics : Optics
    groups : (n,) int ndarray
        Optics group of each particle.
    defocus : Defocus or None
        Of the same n particles; None: 1.
    box_size : int
    pixel_size : float
        [Å].

    Returns
    -------
    (n, y, x // 2 + 1) float32 ndarray
        Zero at Nyquist of an even box, where the sign of a frequency is ambiguous.
    """
    samples = fourier_samples(box_size, box_size)  # up to the corners
    values = np.float32(1)
    if defocus is not None:
        values = contrast_transfer(optics, groups, defocus, samples, pixel_size)
    planes = np.zeros((len(groups), box_size, box_size // 2 + 1), dtype=np.float32)
    planes[:, samples.rows, samples.columns] = values
    return planes


def low_pass(images: Any, pixel_size: float, resolution: float) -> Any:
    """Images without detail finer than a resolution.

    Parameters
    ----------
    images : (n, y, x) float array
    pixel_size : float
        [Å].
    resolution : float
        Where a Gaussian leaves half of the amplitude [Å].
    """
    size = images.shape[-1]
    x = np.arange(size // 2 + 1)
    y = (np.arange(size) + size // 2) % size - size // 2
    square = (x[None] ** 2 + y[:, None] ** 2) / (size * pixel_size) ** 2
    return _filtered(images, np.exp2(-square * resolution**2))


def phase_flip(images: Any, ctf: Any) -> Any:
    """Images with the sign of the CTF undone: sign(H) Y.

    Parameters
    ----------
    images : (n, y, x) float array
    ctf : (n, y, x // 2 + 1) float array
        H, as `ctf_planes` gives it.
    """
    return _filtered(images, np.sign(ctf))


def wiener(images: Any, ctf: Any, snr: float, is_premultiplied: Any = False) -> Any:
    """Images with the CTF undone where there is signal: H Y / (H^2 + 1 / SNR).

    Parameters
    ----------
    images : (n, y, x) float array
    ctf : (n, y, x // 2 + 1) float array
        H, as `ctf_planes` gives it.
    snr : float
        Power of the signal over that of the noise, the same at all frequencies.
    is_premultiplied : (n,) bool array or bool
        Whether the images are H Y already.
    """
    once = np.where(np.asarray(is_premultiplied)[..., None, None], np.sign(ctf) ** 2, ctf)
    return _filtered(images, once / (ctf**2 + 1 / snr))


def _filtered(images: Any, factors: Any) -> Any:
    planes = image_to_half_plane(images) * factors
    return half_plane_to_image(planes, images.shape[-2:]).astype(np.float32)

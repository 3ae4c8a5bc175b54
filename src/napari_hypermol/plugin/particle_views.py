"""Particle images as they are wanted on the screen, image by image as the slider asks; no Qt."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.imaging.forward import select_defocus
from napari_hypermol.imaging.restoration import ctf_planes, low_pass, phase_flip, wiener
from napari_hypermol.io.stack import computed
from napari_hypermol.particles import Particles

__all__ = ["Correction", "ImageView", "OneByOne", "ViewedImages"]

Float32 = NDArray[np.float32]
Rows = NDArray[np.int64]
Correction = Literal["none", "flip", "wiener"]
_SNR = 0.5  # Wiener's: zeros of the CTF stay quiet, and low frequencies are restored by a third


class ImageView(Protocol):
    """Something that makes images (m, y, x) of rows (m,)."""

    def __call__(self, rows: Rows) -> Float32:
        """The images."""


@dataclass(frozen=True, eq=False)
class ViewedImages:
    """Particle images, low-passed and CTF-corrected for the eye.

    Parameters
    ----------
    particles : Particles
    correction : "none", "flip" or "wiener"
        Phase flip or Wiener filter; without defocus in the file they change nothing.
    resolution : float
        Of the low-pass [Å]; 0: none.
    """

    particles: Particles
    correction: Correction = "none"
    resolution: float = 0.0

    def __call__(self, rows: Rows) -> Float32:
        """Images of some rows; (m, y, x)."""
        particles, size = self.particles, float(self.particles.pixel_size)
        images = computed(particles.images[rows]).astype(np.float32, copy=False)
        if self.correction != "none" and particles.defocus is not None:
            groups = particles.optics_group[rows].astype(np.int64)
            defocus = select_defocus(particles.defocus, rows)
            planes = ctf_planes(particles.optics, groups, defocus, images.shape[-1], size)
            is_done = particles.optics.is_premultiplied[groups]
            if self.correction == "wiener":
                images = wiener(images, planes, _SNR, is_done)
            else:  # images that were multiplied by their CTF have their phases right
                flipped = phase_flip(images, planes)
                images = np.where(is_done[:, None, None], images, flipped)
        return low_pass(images, size, self.resolution) if self.resolution > 0 else images


class OneByOne:
    """What napari takes for an array (n, y, x), made image by image.

    Parameters
    ----------
    view : ImageView
    shape : (n, y, x)
    """

    dtype = np.dtype(np.float32)
    ndim = 3

    def __init__(self, view: ImageView, shape: tuple[int, ...]) -> None:
        self.view = view
        self.shape = tuple(int(s) for s in shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Float32:
        """Images of the rows that are asked for, and of them the pixels."""
        first, *rest = key if isinstance(key, tuple) else (key,)
        rows = np.arange(self.shape[0])[first]
        images = self.view(np.atleast_1d(rows))
        return np.asarray((images if np.ndim(rows) else images[0])[(..., *rest) if rest else ...])

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        """All of them; napari asks for single images only."""
        return np.asarray(self[:], dtype=dtype)

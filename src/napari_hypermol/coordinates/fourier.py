"""Every discrete Fourier transform of the project, with its origin and weights, in one place.

Kernel exp(-2 pi i w.r), unitary for images, real-space origin at index ``size // 2``, zero
frequency at index 0 (unshifted), half planes along x. Half-plane sums carry `half_plane_weights`.
"""

from typing import Any

import numpy as np
import scipy.fft as cpu_fft

from napari_hypermol.backend import array_module
from napari_hypermol.errors import ShapeError

__all__ = [
    "fast_even_size",
    "half_plane_signs",
    "half_plane_to_image",
    "half_plane_weights",
    "image_to_half_plane",
    "padded_from_half_space",
    "padded_to_half_space",
    "radius_index",
    "resample_volume",
    "signed_half_plane_to_image",
    "volume_from_half_space",
    "volume_gradient",
    "volume_to_half_space",
]

# Numbers of a transform from which on threads share it; fewer take them longer than one alone.
_SHARED_FROM = 2**17


def _fft(x: Any) -> Any:
    """The FFT module for the library of `x`."""
    xp = array_module(x)
    return cpu_fft if xp is np else xp.fft


def _workers(x: Any) -> dict[str, int]:
    """SciPy alone takes a number of threads; for few numbers they cost more than they save."""
    return {"workers": -1} if array_module(x) is np and x.size >= _SHARED_FROM else {}


def fast_even_size(size: float) -> int:
    """Smallest even number >= `size` whose FFT is fast (factors 2, 3, 5)."""
    half = max(1, int(np.ceil(size / 2)))
    return 2 * int(cpu_fft.next_fast_len(half, real=True))


def image_to_half_plane(images: Any) -> Any:
    """Unitary Fourier transform of real images.

    Parameters
    ----------
    images : (..., y, x) real array
        Origin at (y // 2, x // 2).

    Returns
    -------
    images_ft : (..., y, x // 2 + 1) complex array
        Zero frequency at [0, 0].
    """
    xp = array_module(images)
    centred = xp.fft.ifftshift(images, axes=(-2, -1))
    return _fft(images).rfft2(centred, norm="ortho", **_workers(images))


def half_plane_to_image(images_ft: Any, shape: tuple[int, int]) -> Any:
    """Inverse of `image_to_half_plane`; `shape` is (y, x)."""
    xp = array_module(images_ft)
    centred = _fft(images_ft).irfft2(images_ft, s=shape, norm="ortho", **_workers(images_ft))
    return xp.fft.fftshift(centred, axes=(-2, -1))


def half_plane_signs(size: int) -> np.ndarray:
    """What half planes of even squares carry for `signed_half_plane_to_image`.

    (-1)^(row + column) shifts an image by half of both edges; (size, size // 2 + 1) float32.
    """
    rows, columns = np.indices((size, size // 2 + 1))
    return (1 - 2 * ((rows + columns) % 2)).astype(np.float32)


def signed_half_plane_to_image(images_ft: Any) -> Any:
    """`half_plane_to_image` of even squares that were multiplied by `half_plane_signs`.

    No image has to be shifted then; (..., y, y // 2 + 1) -> (..., y, y).
    """
    size = images_ft.shape[-2]
    if size % 2:
        raise ShapeError(f"signs centre images of even edges only, got {size}")
    return _fft(images_ft).irfft2(images_ft, s=(size, size), norm="ortho", **_workers(images_ft))


def half_plane_weights(shape: tuple[int, int]) -> np.ndarray:
    """How often each half-plane entry stands in the full plane.

    Parameters
    ----------
    shape : (y, x)
        Of the image.

    Returns
    -------
    weights : (y, x // 2 + 1) float64 ndarray
        1 on x = 0 and on the Nyquist column of an even x, 2 elsewhere.
    """
    y, x = shape
    weights = np.full((y, x // 2 + 1), 2.0)
    weights[:, 0] = 1.0
    if x % 2 == 0:
        weights[:, -1] = 1.0
    return weights


def volume_to_half_space(volumes: Any) -> Any:
    """Unnormalised transform of real volumes, origin at index ``size // 2``.

    Parameters
    ----------
    volumes : (..., z, y, x) real array

    Returns
    -------
    volumes_ft : (..., z, y, x // 2 + 1) complex array
        Zero frequency at [0, 0, 0].
    """
    xp = array_module(volumes)
    axes = (-3, -2, -1)
    centred = xp.fft.ifftshift(volumes, axes=axes)
    return _fft(volumes).rfftn(centred, axes=axes, **_workers(volumes))


def volume_from_half_space(volumes_ft: Any, size: int) -> Any:
    """Inverse of `volume_to_half_space` for cubes of `size` voxels."""
    xp = array_module(volumes_ft)
    axes = (-3, -2, -1)
    centred = _fft(volumes_ft).irfftn(
        volumes_ft, s=(size, size, size), axes=axes, **_workers(volumes_ft)
    )
    return xp.fft.fftshift(centred, axes=axes)


def padded_to_half_space(volumes: Any, edge: int) -> Any:
    """Unnormalised transform of real cubes that are padded with zeros, origin at index 0.

    Parameters
    ----------
    volumes : (..., n, n, n) real array
    edge : int
        Of the padded cubes; transforms of lines that hold nothing but padding are not computed.

    Returns
    -------
    (..., edge, edge, edge // 2 + 1) complex array
    """
    fft, workers = _fft(volumes), _workers(volumes)
    half = fft.rfft(volumes, n=edge, axis=-1, **workers)
    half = fft.fft(half, n=edge, axis=-2, **workers)
    return fft.fft(half, n=edge, axis=-3, **workers)


def padded_from_half_space(volumes_ft: Any, size: int) -> Any:
    """Inverse of `padded_to_half_space`, cut to (..., size, size, size)."""
    fft, workers = _fft(volumes_ft), _workers(volumes_ft)
    edge = volumes_ft.shape[-2]
    volumes = fft.ifft(volumes_ft, axis=-3, **workers)[..., :size, :, :]
    volumes = fft.ifft(volumes, axis=-2, **workers)[..., :size, :]
    return fft.irfft(volumes, n=edge, axis=-1, **workers)[..., :size]


def resample_volume(volumes: Any, size: int) -> Any:
    """The same band-limited functions on a cube of another number of voxels.

    Parameters
    ----------
    volumes : (..., n, n, n) real array
        n even.
    size : int
        Even; smaller crops the Fourier transform, larger pads it with zeros.

    Returns
    -------
    (..., size, size, size) real array
        Values of the same function: a constant stays that constant.
    """
    xp = array_module(volumes)
    n = volumes.shape[-1]
    if size == n:
        return volumes
    old, half = volume_to_half_space(volumes), min(n, size) // 2
    new = xp.zeros((*volumes.shape[:-3], size, size, size // 2 + 1), dtype=old.dtype)
    # The Nyquist planes are left out: their phase is ambiguous on the coarser of the two grids.
    for z in (slice(0, half), slice(1 - half, None)):
        for y in (slice(0, half), slice(1 - half, None)):
            new[..., z, y, :half] = old[..., z, y, :half]
    return volume_from_half_space(new, size) * (size / n) ** 3


def volume_gradient(volumes: Any) -> Any:
    """Derivatives of band-limited volumes, per voxel; even cubes.

    Parameters
    ----------
    volumes : (q, n, n, n) float array

    Returns
    -------
    (q, 3, n, n, n) float array
        Along x, y, z. The Nyquist planes, whose derivative is not defined, are left out.
    """
    xp = array_module(volumes)
    size = volumes.shape[-1]
    half = volume_to_half_space(volumes)
    full_index, half_index = cpu_fft.fftfreq(size, 1 / size), np.arange(size // 2 + 1.0)
    full_index[size // 2] = half_index[-1] = 0
    along = (
        half_index[None, None, :],
        full_index[None, :, None],
        full_index[:, None, None],
    )
    slopes = [half * xp.asarray(2j * np.pi / size * k).astype(half.dtype) for k in along]
    return volume_from_half_space(xp.stack(slopes, axis=1), size)


def radius_index(size: int) -> np.ndarray:
    """Rounded |k| of every entry of a cube's unshifted half space; (size, size, size // 2 + 1)."""
    full = cpu_fft.fftfreq(size, 1 / size)
    half = np.arange(size // 2 + 1)
    squares = full[:, None, None] ** 2 + full[None, :, None] ** 2 + half[None, None, :] ** 2
    return np.rint(np.sqrt(squares)).astype(np.int64)

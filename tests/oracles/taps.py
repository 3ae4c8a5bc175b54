"""Where the 27 taps of a Fourier sample lie, from the words of the documents."""

import numpy as np

from napari_hypermol.coordinates.gridding import kernel_value


def taps_of(basis, rotation, kx, ky):
    """First tap (z, y, x), weights along x, y and z, and whether the sample is reflected."""
    step = basis.grid_scale * rotation.T @ np.array([kx, ky, 0], dtype=np.float32)
    flips = step[0] < 0
    step = -step if flips else step
    near = np.floor(step + 0.5).astype(int)
    weights = [kernel_value(u - (i + np.arange(-1, 2))) for u, i in zip(step, near, strict=True)]
    origin = basis.grid_origin
    return (near[2] + origin - 1, near[1] + origin - 1, near[0]), weights, flips

"""Projections of Gaussians in closed form, in real space."""

import numpy as np


def gaussian_projection(centres, amplitudes, widths, rotation, size: int) -> np.ndarray:
    """Line integrals through pixel centres: a Gaussian projects to one of the same width."""
    image = np.zeros((size, size))
    for centre, amplitude, width in zip(centres, amplitudes, widths, strict=True):
        place = np.asarray(rotation) @ np.asarray(centre)
        for row in range(size):
            for column in range(size):
                square = (column - size // 2 - place[0]) ** 2 + (row - size // 2 - place[1]) ** 2
                height = amplitude * width * np.sqrt(2 * np.pi)
                image[row, column] += height * np.exp(-square / (2 * width**2))
    return image

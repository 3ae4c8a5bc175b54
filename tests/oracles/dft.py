"""Central slices and half planes by summing over points: no FFT, no grid, no interpolation."""

import numpy as np


def cube_points(size: int, spacing: float = 1.0, centre=(0.0, 0.0, 0.0)) -> np.ndarray:
    """Positions (x, y, z) of a cube's voxels in the order of its flattened (z, y, x) array."""
    points = []
    for z in range(size):
        for y in range(size):
            for x in range(size):
                points.append([spacing * (i - size // 2) for i in (x, y, z)])
    return np.array(points) + np.array(centre)


def slice_of_points(points, values, rotation, frequencies, box_size: int) -> np.ndarray:
    """Unitary transform of the projection of point masses; values (v, q) -> (k, q).

    sum_v values_v exp(-2 pi i k . (R r_v)) / N, k in cycles per box edge.
    """
    in_image = np.asarray(points, dtype=np.float64) @ np.asarray(rotation, dtype=np.float64).T
    slices = []
    for kx, ky in frequencies:
        turns = (kx * in_image[:, 0] + ky * in_image[:, 1]) / box_size
        slices.append(np.exp(-2j * np.pi * turns) @ values / box_size)
    return np.array(slices)


def image_transform(image: np.ndarray, kx: int, ky: int) -> complex:
    """One coefficient of the unitary transform of an image, pixel by pixel."""
    rows, columns = image.shape
    total = 0j
    for y in range(rows):
        for x in range(columns):
            turns = kx * (x - columns // 2) / columns + ky * (y - rows // 2) / rows
            total += image[y, x] * np.exp(-2j * np.pi * turns)
    return total / np.sqrt(rows * columns)

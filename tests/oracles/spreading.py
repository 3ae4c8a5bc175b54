"""Weights spread over a periodic grid, sample by sample and tap by tap."""

import numpy as np


def spread_plain(weights, moments, rows, samples, edge, scale):
    """Every sample and its mirror image on the whole grid; (z, y, x >= 0, r).

    `rows` (n, 2, 3) are those of the rotations, from image frequencies to the grid's own frame.
    """
    whole = np.zeros((edge, edge, edge, moments.shape[1]))
    for i in range(len(weights)):
        for k, (kx, ky) in enumerate(zip(samples.kx, samples.ky, strict=True)):
            for sign in (1, -1):
                u = sign * scale * (kx * rows[i, 0] + ky * rows[i, 1])
                first = np.floor(u).astype(int)
                for step in np.ndindex(2, 2, 2):
                    near = np.where(step, u - first, 1 - (u - first)).prod()
                    x, y, z = (first + step) % edge
                    whole[z, y, x] += near * weights[i, k] / 2 * moments[i]
    return whole[:, :, : edge // 2 + 1]

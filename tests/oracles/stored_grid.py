"""Stored Fourier grids by their definition: one entry, one formula."""

import numpy as np

from napari_hypermol.coordinates.gridding import HALO


def stored_entries(cubes):
    """Transforms (q, n, n, n) -> (z, y, x, q), origin at n // 2, twice as fine, in double."""
    n = cubes.shape[1]
    r = np.arange(n) - n // 2
    along = np.arange(-n - HALO, n + HALO + 1)
    waves = np.exp(-2j * np.pi * np.outer(along, r) / (2 * n))
    waves_x = np.exp(-2j * np.pi * np.outer(np.arange(-1, n + 2 * HALO - 1), r) / (2 * n))
    return np.einsum("zc,yb,xa,qcba->zyxq", waves, waves, waves_x, cubes, optimize=True)

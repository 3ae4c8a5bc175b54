"""The order in which particles are sliced: like views one after the other.

A slice reads a plane of the Fourier grid. Grids are larger than the caches near a processor, but
planes of neighbouring views lie in the same cache lines, so that what one particle fetched is still
there for the next. Sums over particles differ by rounding from those in another order.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["view_order"]

_CELLS, _MOST_BANDS = 2**16, 2**8


def view_order(rotations: NDArray[np.floating], window: int | None = None) -> NDArray[np.int64]:
    """Every particle once, so that neighbours in the order have neighbouring viewing directions.

    Parameters
    ----------
    rotations : (n, 3, 3) float ndarray
        Molecule to image frame.
    window : int or None
        So many particles at a time, in the order in which they come; None: all at once.

    Returns
    -------
    (n,) int64 ndarray
        Bands of latitude, walked to and fro.
    """
    n = len(rotations)
    window = max(n, 1) if window is None else window
    x, y, z = rotations[:, 2].T.astype(np.float32)  # the normals of the planes that are sliced
    x, y, z = x * np.where(z < 0, -1, 1), y * np.where(z < 0, -1, 1), np.abs(z)  # a plane has two
    # as many bands as there are views along a meridian, and cells of which a short number tells
    n_bands = int(np.clip(np.pi / 2 / np.sqrt(2 * np.pi / window), 1, _MOST_BANDS))
    n_cells = _CELLS // n_bands
    band = np.minimum(np.arccos(np.minimum(z, 1)) * np.float32(n_bands / (np.pi / 2)), n_bands - 1)
    band = band.astype(np.int32)
    turn = np.arctan2(y, x) * np.float32(0.5 / np.pi) * np.where(band % 2, -1, 1) + np.float32(0.5)
    cell = np.minimum((turn * n_cells).astype(np.int32), n_cells - 1)
    place = (band * n_cells + cell).astype(np.uint16)  # which NumPy sorts by counting
    pieces = [
        start + np.argsort(place[start : start + window], kind="stable")
        for start in range(0, n, window)
    ]
    return np.concatenate(pieces or [np.arange(0)]).astype(np.int64, copy=False)

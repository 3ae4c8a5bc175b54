"""The order in which particles are sliced: like views one after the other.

A slice reads a plane of the Fourier grid. Grids are larger than the caches near a processor, but
planes of neighbouring views lie in the same cache lines, so that what one particle fetched is still
there for the next. Sums over particles differ by rounding from those in another order.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["view_order"]


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
    views = rotations[:, 2].astype(np.float64)  # the normals of the planes that are sliced
    views[views[:, 2] < 0] *= -1  # a plane has two
    window = max(n, 1) if window is None else window
    height = np.sqrt(2 * np.pi / window)  # of a square of the half sphere with one view
    band = np.floor(np.arccos(np.clip(views[:, 2], -1, 1)) / height)
    along = np.arctan2(views[:, 1], views[:, 0]) * np.where(band % 2, -1, 1)
    # one number to sort by: a turn along a band is less than a step to the next
    n_bands = np.floor(np.pi / 2 / height) + 1
    place = (np.arange(n) // window * n_bands + band) * 8 + along
    return np.argsort(place).astype(np.int64, copy=False)

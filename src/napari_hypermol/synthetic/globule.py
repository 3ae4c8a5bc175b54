"""A globular protein domain in pseudo-atoms: a chain that never leaves its ball."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["globule"]

_STEP = 1.3  # from one pseudo-atom to the next, in voxels of a 64-voxel box


def globule(rng: np.random.Generator, radius: float, atoms: int) -> NDArray[np.float64]:
    """A compact random walk about the origin: each step keeps the chain inside its ball.

    Parameters
    ----------
    rng : Generator
    radius : float
        Of the ball, in voxels of a 64-voxel box.
    atoms : int

    Returns
    -------
    (atoms, 3) float64 ndarray
        (x, y, z), the first at the origin.
    """
    places = np.zeros((atoms, 3))
    for i in range(1, atoms):
        while True:
            step = rng.normal(size=3)
            place = places[i - 1] + _STEP * step / np.linalg.norm(step)
            if place @ place < radius**2:
                places[i] = place
                break
    return places

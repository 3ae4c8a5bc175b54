"""The slowest modes of diffusion over a cloud of points: what a curve or a ring is ordered by."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import eigsh
from scipy.spatial import cKDTree

__all__ = ["diffusion_modes"]

Float64 = NDArray[np.float64]
_LANDMARKS = 3000  # points between which distances are diffused along
_NEIGHBOURS = 15
_OWN_SCALE = 7  # a point's own scale is the distance to this neighbour
_NEAREST = 5  # landmarks whose mean stands for a point


def diffusion_modes(points: Float64, n_modes: int, rng: np.random.Generator) -> Float64:
    """The slowest modes but the constant one.

    Parameters
    ----------
    points : (n, k) float64 ndarray
        In coordinates of equal noise.
    n_modes : int
    rng : Generator
        Chooses landmarks where there are many points.

    Returns
    -------
    (n, n_modes) float64 ndarray
        Slowest first; along an open curve the first one rises from end to end, along a ring the
        first two are the cosine and sine of the angle.
    """
    n = len(points)
    chosen = np.sort(rng.permutation(n)[:_LANDMARKS])
    landmarks = points[chosen]
    k = min(_NEIGHBOURS, len(chosen) - 1)
    query: Any = cKDTree(landmarks).query
    distance, neighbour = query(landmarks, k + 1)
    width = np.maximum(distance[:, min(_OWN_SCALE, k)], 1e-12)
    weight = np.exp(-(distance**2) / (width[:, None] * width[neighbour]))
    rows = np.repeat(np.arange(len(chosen)), k + 1)
    graph = sparse.csr_matrix((weight.ravel(), (rows, neighbour.ravel())), (len(chosen),) * 2)
    graph = 0.5 * (graph + graph.T)
    scale = 1 / np.sqrt(np.asarray(graph.sum(axis=1)).ravel())
    walk = sparse.diags(scale) @ graph @ sparse.diags(scale)
    _, modes = eigsh(walk, n_modes + 1, which="LA", v0=np.ones(len(chosen)))
    modes = modes[:, ::-1][:, 1:] * scale[:, None]
    nearest = query(points, [*range(1, min(_NEAREST, len(chosen)) + 1)])[1]
    return np.asarray(modes[nearest].mean(axis=1))

"""Where states on a circle begin: the ring that the particles form among their linear coordinates.

From random states a full turn is hard to find: its harmonics are motions of their own, and
expectation maximisation settles on a curve through them in the wrong order. But the particles'
coordinates along the strongest linear motions (factor analysis, x ~ N(0, 1)) lie on a closed
curve, and the two slowest modes of diffusion along it are its angle's cosine and sine.
"""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.runs.diffusion import diffusion_modes
from napari_hypermol.runs.linear_coordinates import linear_coordinates
from napari_hypermol.runs.stage_problem import Estimate, StageProblem

__all__ = ["circle_states", "ring_angles"]

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]


def ring_angles(points: Float64, rng: np.random.Generator) -> Float64:
    """Angle of every point along the closed curve they lie on.

    Parameters
    ----------
    points : (n, k) float64 ndarray
    rng : Generator

    Returns
    -------
    (n,) float64 ndarray
        In turns, [0, 1), uniformly occupied.
    """
    if len(points) < 4:  # any order is once round
        return np.asarray((np.arange(len(points)) + 0.5) / len(points))
    modes = diffusion_modes(points, 2, rng)
    angles = np.arctan2(modes[:, 1], modes[:, 0])
    ranks = np.empty(len(points))
    ranks[np.argsort(angles, kind="stable")] = (np.arange(len(points)) + 0.5) / len(points)
    return ranks


def circle_states(
    problem: StageProblem, estimate: Estimate, rng: np.random.Generator
) -> dict[int, Float64]:
    """First states of every component whose state is a circle; (n,) by component."""
    molecule = problem.molecule
    out: dict[int, Float64] = {}
    for s in range(len(molecule.bases)):
        users = np.flatnonzero(molecule.owners == s).tolist()
        if molecule.kinds(users[0]) != ("circle",):
            continue
        coordinates = linear_coordinates(problem, estimate, s, rng)
        # copies must agree on where the circle begins and which way it runs: one ring for all
        angles = ring_angles(np.concatenate(coordinates), rng).reshape(len(users), -1)
        out |= dict(zip(users, angles, strict=True))
    return out

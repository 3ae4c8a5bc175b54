"""Where states on a circle begin: the ring that the particles form among their linear coordinates.

From random states a full turn is hard to find: its harmonics are motions of their own, and
expectation maximisation settles on a curve through them in the wrong order. But the particles'
coordinates along the strongest linear motions (factor analysis, x ~ N(0, 1)) lie on a closed
curve, and the two slowest modes of diffusion along it are its angle's cosine and sine.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import eigsh
from scipy.spatial import cKDTree

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.likelihood import overlaps
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.protocols import StateBasis
from napari_hypermol.runs.sweep import Estimate, StageProblem, kindled_mixing, maximisation

__all__ = ["circle_states", "linear_coordinates", "ring_angles"]

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
_FACTORS = 8  # four harmonics: two pairs can cross where three do not
_ROUNDS = 8
_KINDLING = 3.0  # as for states: information at which weak functions are read
_LANDMARKS = 3000  # particles between which distances are diffused along
_NEIGHBOURS = 15


@dataclass(frozen=True)
class _LinearBasis(ConstantBasis):
    """The constant and `n_factors` coordinates, unbounded: x itself, not functions of a state."""

    n_factors: int = 0

    @property
    def n_functions(self) -> int:
        return 1 + self.n_factors


def _linear_molecule(molecule: LinearMolecule, s: int) -> LinearMolecule:
    """The molecule with linear coordinates on coefficient set `s` and all else at its mean."""
    bases: list[StateBasis] = [
        _LinearBasis(_FACTORS) if owner == s else ConstantBasis() for owner in molecule.owners
    ]
    return replace(molecule, state_bases=tuple(bases))


def _moments(
    b: NDArray[np.floating], g: NDArray[np.floating], factors: NDArray[np.int64]
) -> tuple[Float32, Float32, Float64]:
    """E[c], E[c c^T] and the mean of the factors' posteriors N(0, 1) x likelihood."""
    n, n_q = b.shape
    still = np.setdiff1d(np.arange(n_q), factors)
    own = g[:, factors[:, None], factors].astype(np.float64)
    linear = b[:, factors] - g[:, factors[:, None], still].sum(axis=2)
    covariance = np.linalg.inv(own + np.eye(len(factors)))
    mean = np.einsum("nij,nj->ni", covariance, linear)
    first = np.ones((n, n_q))
    first[:, factors] = mean
    second = first[:, :, None] * first[:, None, :]
    second[:, factors[:, None], factors] += covariance
    return first.astype(np.float32), second.astype(np.float32), mean


def linear_coordinates(
    problem: StageProblem, estimate: Estimate, s: int, rng: np.random.Generator
) -> list[Float64]:
    """Coordinates of every particle along the strongest linear motions of coefficient set `s`.

    Parameters
    ----------
    problem : StageProblem
    estimate : Estimate
        With the mean molecule.
    s : int
    rng : Generator

    Returns
    -------
    list of (n, k) float64 ndarray
        For every component that uses the set; in units of their standard error.
    """
    molecule = _linear_molecule(problem.molecule, s)
    linear = replace(problem, molecule=molecule)
    means = [part[:1] for part in problem.molecule.split(estimate.theta)]
    parts, spectra = [], []
    for (q, k), mean, spectrum in zip(molecule.set_shapes, means, estimate.spectra, strict=True):
        parts.append(np.concatenate([mean, np.zeros((q - 1, k), dtype=np.float32)]).ravel())
        # so little that the solve is a matched filter and noise cannot pose as signal
        spectra.append(np.concatenate([spectrum[:1], np.repeat(1e-3 * spectrum[:1], q - 1, 0)]))
    current = estimate._replace(theta=np.concatenate(parts), spectra=spectra)
    users = [columns for columns, owner in zip(molecule.columns, molecule.owners, strict=True)
             if owner == s]  # fmt: skip
    factors = np.concatenate([np.arange(c.start + 1, c.stop) for c in users])
    n = len(problem.mean_weights)
    first: Float32 = np.ones((n, sum(molecule.n_functions)), dtype=np.float32)
    first[:, factors] = rng.normal(size=(n, len(factors)))
    second = np.asarray(first[:, :, None] * first[:, None, :]).astype(np.float32)
    for _ in range(_ROUNDS):
        solved, _ = maximisation(linear, current, _only_moments(first, second), 6)
        current = current._replace(theta=solved.theta)
        grids = molecule.grids(current.theta)
        b, g = overlaps(problem.images, grids, linear.placements, problem.samples)
        mixing = kindled_mixing(molecule, g, _KINDLING)
        first, second, _ = _moments(b @ mixing, mixing.T @ g @ mixing, factors)
    coordinates = _moments(b, g, factors)[2]
    # of all copies together: they are to lie on one curve
    blocks = [slice(columns.start + 1, columns.stop) for columns in users]
    each = [g[:, own, own].mean(axis=0, dtype=np.float64) for own in blocks]
    information: Float64 = np.asarray(np.mean(each, axis=0))
    root = np.linalg.cholesky(information + 1e-9 * np.eye(_FACTORS))
    by_user = np.split(coordinates, len(users), axis=1)
    return [np.asarray(part @ root, dtype=np.float64) for part in by_user]


def _only_moments(first: Float32, second: Float32) -> ParticlePosterior:
    nothing = np.zeros((len(first), 0))
    zeros = np.zeros(len(first))
    return ParticlePosterior(nothing, nothing, zeros, zeros, first, second, zeros, ())


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
    n = len(points)
    if n < 4:  # any order is once round
        return np.asarray((np.arange(n) + 0.5) / n)
    chosen = np.sort(rng.permutation(n)[:_LANDMARKS])
    landmarks = points[chosen]
    k = min(_NEIGHBOURS, len(chosen) - 1)
    query: Any = cKDTree(landmarks).query
    distance, neighbour = query(landmarks, k + 1)
    width = np.maximum(distance[:, min(7, k)], 1e-12)  # each point's own scale, its 7th neighbour's
    weight = np.exp(-(distance**2) / (width[:, None] * width[neighbour]))
    rows = np.repeat(np.arange(len(chosen)), k + 1)
    graph = sparse.csr_matrix((weight.ravel(), (rows, neighbour.ravel())), (len(chosen),) * 2)
    graph = 0.5 * (graph + graph.T)
    scale = 1 / np.sqrt(np.asarray(graph.sum(axis=1)).ravel())
    walk = sparse.diags(scale) @ graph @ sparse.diags(scale)
    _, modes = eigsh(walk, 3, which="LA", v0=np.ones(len(chosen)))
    modes = modes[:, ::-1][:, 1:] * scale[:, None]
    circle = modes[:, 0] + 1j * modes[:, 1]
    circle /= np.maximum(np.abs(circle), 1e-30)
    nearest = query(points, [*range(1, min(5, len(chosen)) + 1)])[1]
    angles = np.angle(circle[nearest].mean(axis=1))
    ranks = np.empty(n)
    ranks[np.argsort(angles, kind="stable")] = (np.arange(n) + 0.5) / n
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

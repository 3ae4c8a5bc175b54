"""Coordinates of the particles along the strongest linear motions of a component.

Factor analysis, x ~ N(0, 1): a block power iteration on the particles' covariance that needs no
idea of how states run. Curves and rings are found among its points.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.protocols import StateBasis
from napari_hypermol.runs.coefficient_step import maximisation
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.sweep import kindled_mixing

__all__ = ["linear_coordinates"]

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
_LEARNED_FROM = 2000  # particles; motions strong enough to order particles show in fewer
_FACTORS = 8  # four harmonics: two pairs can cross where three do not
_ROUNDS, _ITERATIONS = 6, 4  # of power iteration, and of the solve in each
_KINDLING = 3.0  # as for states: information at which weak functions are read


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
    still = (None,) * len(molecule.bases)
    return replace(molecule, state_bases=tuple(bases), trajectories=still)


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
    n = len(problem.mean_weights)
    rows = np.sort(rng.permutation(n)[:_LEARNED_FROM])
    linear = replace(problem.of(rows), molecule=molecule)
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
    shape = (len(rows), sum(molecule.n_functions))
    first: NDArray[np.floating] = np.ones(shape, dtype=np.float32)
    first[:, factors] = rng.normal(size=(len(rows), len(factors)))
    second: NDArray[np.floating] = first[:, :, None] * first[:, None, :]
    for _ in range(_ROUNDS):
        solved, _ = maximisation(linear, current, _only_moments(first, second), _ITERATIONS)
        current = current._replace(theta=solved.theta)
        b, g = linear.overlaps(current.theta)
        mixing = kindled_mixing(molecule, g, _KINDLING)
        first, second, _ = _moments(b @ mixing, mixing.T @ g @ mixing, factors)
    b, g = replace(problem, molecule=molecule).overlaps(current.theta)
    places = _moments(b, g, factors)[2]
    # of all copies together: they are to lie on one curve
    blocks = [slice(columns.start + 1, columns.stop) for columns in users]
    informations = [g[:, own, own].mean(axis=0, dtype=np.float64) for own in blocks]
    information: Float64 = np.asarray(np.mean(informations, axis=0))
    root = np.linalg.cholesky(information + 1e-9 * np.eye(_FACTORS))
    by_user = np.split(places, len(users), axis=1)
    return [np.asarray(part @ root, dtype=np.float64) for part in by_user]


def _only_moments(first: Any, second: Any) -> ParticlePosterior:
    nothing = np.zeros((len(first), 0))
    zeros = np.zeros(len(first))
    return ParticlePosterior(nothing, nothing, zeros, zeros, first, second, zeros, ())

"""Particles put in order along the path they form: a way out of states that fold onto themselves.

Expectation maximisation can end with a knob that runs to the middle of the motion, jumps to its
end and comes back: every map is right, their order is not. The coordinates of the particles in the
span of the state functions found so far do not know that order; they lie on a curve, and the
slowest mode of diffusion along it rises from one end to the other.
"""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.likelihood import overlaps
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.diffusion import diffusion_modes
from napari_hypermol.runs.sweep import Estimate, StageProblem

__all__ = ["can_be_threaded", "path_ranks", "threaded_posterior"]

Float64 = NDArray[np.float64]


def path_ranks(points: Float64, rng: np.random.Generator) -> Float64:
    """Place of every point along the open curve they lie on.

    Parameters
    ----------
    points : (n, k) float64 ndarray
    rng : Generator

    Returns
    -------
    (n,) float64 ndarray
        In (0, 1), uniformly occupied; the direction is arbitrary.
    """
    slowest = diffusion_modes(points, 1, rng)[:, 0]
    ranks = np.empty(len(points))
    ranks[np.argsort(slowest, kind="stable")] = (np.arange(len(points)) + 0.5) / len(points)
    return ranks


def can_be_threaded(molecule: LinearMolecule) -> bool:
    """Whether some component has a state on an interval and functions enough to be in disorder."""
    return bool(_threaded_sets(molecule))


def _threaded_sets(molecule: LinearMolecule) -> list[tuple[int, list[int]]]:
    """Coefficient sets to be put in order, and their users."""
    out = []
    for s in range(len(molecule.bases)):
        users = np.flatnonzero(molecule.owners == s).tolist()
        is_simple = molecule.trajectories[s] is None and molecule.kinds(users[0]) == ("interval",)
        if is_simple and molecule.state_bases[users[0]].n_functions > 2:
            out.append((s, users))
    return out


def threaded_posterior(
    problem: StageProblem,
    estimate: Estimate,
    posterior: ParticlePosterior,
    rng: np.random.Generator,
) -> ParticlePosterior:
    """The particles with their states on intervals replaced by their order along the path.

    Parameters
    ----------
    problem : StageProblem
    estimate : Estimate
    posterior : ParticlePosterior
        Other components' states and all contrasts are kept.
    rng : Generator

    Returns
    -------
    ParticlePosterior
        As if the new states were known.
    """
    molecule = problem.molecule
    grids = molecule.grids(estimate.theta)
    b, g = overlaps(problem.images, grids, problem.placements, problem.samples, molecule.pairs)
    first, states = posterior.first.copy(), posterior.state_mean.copy()
    starts = np.cumsum([0, *(len(molecule.kinds(m)) for m in range(len(molecule.components)))])
    for _, users in _threaded_sets(molecule):
        points = [_free_coordinates(b, g, posterior.first, molecule.columns[m]) for m in users]
        # copies have one molecule, hence one curve
        ranks = path_ranks(np.concatenate(points), rng).reshape(len(users), -1)
        for m, rank in zip(users, ranks, strict=True):
            states[:, starts[m]] = rank
            functions = molecule.state_bases[m].evaluate(rank[:, None])
            first[:, molecule.columns[m]] = posterior.contrast_mean[:, None] * functions
    return posterior._replace(
        state_mean=states, first=first, second=first[:, :, None] * first[:, None, :]
    )


def _free_coordinates(
    b: NDArray[np.floating], g: NDArray[np.floating], first: NDArray[np.floating], columns: slice
) -> Float64:
    """Coordinates in the span of a component's moving functions, free of any curve; (n, q - 1).

    In units of their mean standard error; all other columns at their posterior mean.
    """
    own = np.arange(columns.start + 1, columns.stop)
    others = np.setdiff1d(np.arange(b.shape[1]), own)
    information = g[:, own[:, None], own].astype(np.float64)
    rest = np.einsum("nfp,np->nf", g[:, own[:, None], others], first[:, others])
    precision = information + np.eye(len(own))
    found = np.linalg.solve(precision, (b[:, own] - rest)[:, :, None])[:, :, 0]
    root = np.linalg.cholesky(information.mean(axis=0) + 1e-9 * np.eye(len(own)))
    return np.asarray(found @ root)

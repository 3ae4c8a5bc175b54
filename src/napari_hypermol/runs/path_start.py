"""Particles put in order along the path they form: a way out of states that fold onto themselves.

Expectation maximisation can end with a knob that runs to the middle of the motion, jumps to its
end and comes back: every map is right, their order is not. Coordinates of the particles along the
strongest linear motions do not know that order; they lie on a curve, and the slowest mode of
diffusion along it rises from one end to the other.
"""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.diffusion import diffusion_modes
from napari_hypermol.runs.image_work import brought
from napari_hypermol.runs.linear_coordinates import linear_coordinates
from napari_hypermol.runs.stage_problem import Estimate, StageProblem

__all__ = ["can_be_threaded", "path_ranks", "path_states", "threaded_posterior"]

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
    if len(points) < 4:  # too few to be near one another
        return np.asarray((np.arange(len(points)) + 0.5) / len(points))
    slowest = diffusion_modes(points, 1, rng)[:, 0]
    ranks = np.empty(len(points))
    ranks[np.argsort(slowest, kind="stable")] = (np.arange(len(points)) + 0.5) / len(points)
    return ranks


def can_be_threaded(molecule: LinearMolecule) -> bool:
    """Whether some component has a state on an interval and functions enough to be in disorder."""
    sets = _threaded_sets(molecule)
    return any(molecule.state_bases[users[0]].n_functions > 2 for _, users in sets)


def _threaded_sets(molecule: LinearMolecule) -> list[tuple[int, list[int]]]:
    """Coefficient sets to be put in order, and their users."""
    out = []
    for s in range(len(molecule.bases)):
        users = np.flatnonzero(molecule.owners == s).tolist()
        if molecule.trajectories[s] is None and molecule.kinds(users[0]) == ("interval",):
            out.append((s, users))
    return out


def path_states(
    problem: StageProblem, estimate: Estimate, rng: np.random.Generator
) -> dict[int, Float64]:
    """Place along their paths of all components with a simple state on an interval.

    Parameters
    ----------
    problem : StageProblem
        At a low band limit.
    estimate : Estimate
        With the mean molecule.
    rng : Generator

    Returns
    -------
    dict of (n,) float64 ndarray
        By component.
    """
    out: dict[int, Float64] = {}
    for s, users in _threaded_sets(problem.molecule):
        points = linear_coordinates(problem, estimate, s, rng)
        # copies have one molecule, hence one curve
        ranks = path_ranks(np.concatenate(points), rng).reshape(len(users), -1)
        out |= dict(zip(users, ranks, strict=True))
    return out


def threaded_posterior(
    molecule: LinearMolecule, posterior: ParticlePosterior, states: dict[int, Float64]
) -> ParticlePosterior:
    """A posterior as if some components' states were known.

    Parameters
    ----------
    molecule : LinearMolecule
    posterior : ParticlePosterior
        Other components' states and moments and all contrasts are kept.
    states : dict of (n,) float64 ndarray
        By component.

    Returns
    -------
    ParticlePosterior
    """
    first, moments = brought(posterior.first).copy(), brought(posterior.second)
    mean = posterior.state_mean.copy()
    is_kept = np.ones(first.shape[1], dtype=bool)
    starts = np.cumsum([0, *(len(molecule.kinds(m)) for m in range(len(molecule.components)))])
    for m, own in states.items():
        mean[:, starts[m]] = own
        functions = molecule.state_bases[m].evaluate(own[:, None])
        first[:, molecule.columns[m]] = posterior.contrast_mean[:, None] * functions
        is_kept[molecule.columns[m]] = False
    # E[a^2] of E[a]^2, as if contrasts did not depend on the states
    spread = 1 + (posterior.contrast_std / posterior.contrast_mean) ** 2
    second = spread[:, None, None] * first[:, :, None] * first[:, None, :]
    kept = np.flatnonzero(is_kept)
    second[:, kept[:, None], kept] = moments[:, kept[:, None], kept]
    return posterior._replace(state_mean=mean, first=first, second=second.astype(np.float32))

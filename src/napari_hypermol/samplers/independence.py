"""Independence proposals: drawn without regard to where the chain is, so that it can jump far.

`RotationCells` proposes from what a search found: per particle, cells of a grid of rotations and
their log probabilities. The proposal density is that of the whole mixture, so the Hastings ratio
is exact, whatever the cells overlap.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from napari_hypermol.coordinates.rotations import angles_between, turned
from napari_hypermol.coordinates.tangent import (
    log_tangent_normal,
    random_rotations,
    tangent_normal,
)
from napari_hypermol.samplers.conjugate import categorical
from napari_hypermol.samplers.metropolis import Chain, Info, LogDensity, update

__all__ = ["Proposal", "RotationCells", "independence"]

Float64 = NDArray[np.float64]


class Proposal(Protocol):
    """A density of n particles to draw from, and to evaluate anywhere."""

    def draw(self, rng: np.random.Generator) -> Float64:
        """One value for every particle; (n, ...)."""
        ...

    def log_density(self, value: Float64) -> Float64:
        """(n, ...) -> (n,), up to a constant of each particle."""
        ...


class RotationCells(NamedTuple):
    """Per particle a mixture of cells, each a normal in the tangent space of its centre.

    Attributes
    ----------
    rotations : (n, c, 3, 3) float ndarray
        Centres.
    log_probabilities : (n, c) float ndarray
        Up to a constant of each particle.
    step_size : float
        Standard deviation within a cell [rad]: about the distance to the next centre.
    uniform : float
        Probability of a uniform rotation instead, above 0: else a chain that stands outside of all
        cells would hardly ever leave.
    """

    rotations: NDArray[np.floating]
    log_probabilities: NDArray[np.floating]
    step_size: float
    uniform: float = 0.02

    def draw(self, rng: np.random.Generator) -> Float64:
        """A rotation for every particle; (n, 3, 3)."""
        n = len(self.rotations)
        cells = categorical(rng.random(n), self.log_probabilities)
        near = turned(self.rotations[np.arange(n), cells], tangent_normal(rng, self.step_size, n))
        anywhere = random_rotations(rng, n)
        return np.where((rng.random(n) < self.uniform)[:, None, None], anywhere, near)

    def log_density(self, value: Float64) -> Float64:
        """Of the mixture, with respect to the uniform measure, normalised; (n, 3, 3) -> (n,)."""
        away = angles_between(value[:, None], self.rotations)
        cells = self.log_probabilities - logsumexp(self.log_probabilities, axis=1, keepdims=True)
        near = logsumexp(cells + log_tangent_normal(away, self.step_size), axis=1)
        with np.errstate(divide="ignore"):  # no uniform part: log 0
            mixed = np.logaddexp(np.log1p(-self.uniform) + near, np.log(self.uniform))
        return np.asarray(mixed)


def independence(
    rng: np.random.Generator, chain: Chain, log_density: LogDensity, proposal: Proposal
) -> tuple[Chain, Info]:
    """A Metropolis-Hastings update to a draw from `proposal`, Eq. (15) and (16).

    Parameters
    ----------
    rng : Generator
    chain : Chain
    log_density : callable, (n, ...) -> (n,)
        With respect to the measure of the proposal's.
    proposal : Proposal

    Returns
    -------
    chain : Chain
    info : Info
    """
    proposed = proposal.draw(rng)
    ratio = proposal.log_density(chain.value) - proposal.log_density(proposed)
    return update(rng, chain, proposed, log_density, ratio)

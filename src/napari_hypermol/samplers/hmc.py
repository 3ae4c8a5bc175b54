"""Hamiltonian Monte Carlo: several leapfrog steps, then one Metropolis-Hastings decision.

The mass is the inverse of the preconditioner A of Eq. (19), momenta are drawn from N(0, A^-1).
One leapfrog step of size sqrt(2 epsilon) is the Langevin step of `mala` with step size epsilon.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hypermol.samplers.mala import GradientChain, LogDensityGrad, check_gradient
from napari_hypermol.samplers.metropolis import accept, check_log_density, choose, per_chain
from napari_hypermol.samplers.preconditioner import IDENTITY, Preconditioner

__all__ = ["TrajectoryInfo", "hmc"]

Float64 = NDArray[np.float64]
# Lost energy beyond which a path has left the region where leapfrog is stable; e^-1000 is never
# accepted, so this only names what happened (the same number as in Stan).
_DIVERGENT = 1000.0
# Values beyond this are outside of the support: unstable paths end there before they overflow.
_EVERYWHERE = 1e100


class TrajectoryInfo(NamedTuple):
    """What a Hamiltonian step reports.

    Attributes
    ----------
    is_accepted : (n,) bool ndarray
    acceptance_rate : (n,) float64 ndarray
    is_divergent : (n,) bool ndarray
        Whether leapfrog was unstable or left the support: the step size is too large there.
    n_steps : int
    """

    is_accepted: NDArray[np.bool_]
    acceptance_rate: Float64
    is_divergent: NDArray[np.bool_]
    n_steps: int


def hmc(
    rng: np.random.Generator,
    chain: GradientChain,
    log_density_grad: LogDensityGrad,
    step_size: ArrayLike,
    n_steps: int,
    preconditioner: Preconditioner = IDENTITY,
    jitter: float = 0.5,
) -> tuple[GradientChain, TrajectoryInfo]:
    """One Hamiltonian step of n vectors; start the chain with `mala.start`.

    Parameters
    ----------
    rng : Generator
    chain : GradientChain
    log_density_grad : callable, (n, ...) -> (n,), (n, ...)
    step_size : float or (n,) array_like
        Of leapfrog, in units of the root of the preconditioner.
    n_steps : int
        Leapfrog steps, at most.
    preconditioner : Preconditioner
    jitter : float
        The number of steps is drawn uniformly from the upper part `jitter` of 1 to `n_steps`, so
        that no period of the target keeps paths from forgetting where they began; 0: always
        `n_steps`. One number for all chains.

    Returns
    -------
    chain : GradientChain
    info : TrajectoryInfo

    Notes
    -----
    With v the velocity A p that was drawn and k the sum of all kicks to p, the kinetic energy rises
    by ``k.(v + A k / 2)``, which needs no inverse of A.
    """
    least = max(1, n_steps - int(jitter * n_steps))
    count = int(rng.integers(least, n_steps + 1))
    step = per_chain(step_size, chain.value.ndim)
    velocity = preconditioner.apply_sqrt(rng.standard_normal(chain.value.shape))
    kicks = 0.5 * step * chain.gradient
    now, inside = chain, np.ones(len(chain.value), dtype=np.bool_)
    for i in range(count):
        onward = now.value + step * (velocity + preconditioner.apply(kicks))
        near = (np.abs(onward) < _EVERYWHERE).reshape(len(onward), -1).all(axis=1)
        inside &= near
        there, gradient = log_density_grad(choose(inside, onward, now.value))
        there = check_log_density(there)
        # a path that leaves the support is rejected: so would be the path back
        inside &= there > -np.inf
        gradient = check_gradient(gradient, inside)
        moved = (onward, there, gradient)
        now = GradientChain(
            *(choose(inside, new, old) for new, old in zip(moved, now, strict=True))
        )
        kicks = kicks + (0.5 if i == count - 1 else 1.0) * step * now.gradient
    rise = kicks * (velocity + 0.5 * preconditioner.apply(kicks))
    lost = chain.log_density - now.log_density + rise.reshape(len(rise), -1).sum(axis=1)
    decision = accept(rng, np.where(inside, -lost, -np.inf))
    pairs = zip(now, chain, strict=True)
    after = GradientChain(*(choose(decision.is_accepted, new, old) for new, old in pairs))
    return after, TrajectoryInfo(*decision, ~inside | (lost > _DIVERGENT), count)

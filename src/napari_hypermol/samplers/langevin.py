"""Stochastic-gradient Langevin dynamics [1]_: the paper's second mode, on batches of particles.

    X' = X + epsilon_t A g + sqrt(2 epsilon_t A) W,    epsilon_t = a (b + t)^-gamma,

with g an unbiased estimate of the gradient: that of the log prior, plus n / batch times the sum
over a batch. Nothing is rejected; as the steps decrease, the error of the discretisation and the
noise of the batches vanish. Averages over draws must be weighted by the step sizes.

References
----------
.. [1] Welling and Teh (2011), whose epsilon_t is twice the one here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import RecipeError
from napari_hypermol.samplers.mala import check_gradient
from napari_hypermol.samplers.preconditioner import IDENTITY, Preconditioner

__all__ = ["DecreasingSteps", "LangevinChain", "LangevinInfo", "langevin"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class DecreasingSteps:
    """Step sizes a (b + t)^-gamma.

    Parameters
    ----------
    a, b : float
        Positive.
    gamma : float
        In (1/2, 1]: then the steps lead anywhere and their noise dies out. 0 keeps them constant,
        which leaves an error of their order.
    """

    a: float
    b: float = 1.0
    gamma: float = 0.55

    def __post_init__(self) -> None:
        if not (self.a > 0 and self.b > 0 and (self.gamma == 0 or 0.5 < self.gamma <= 1)):
            raise RecipeError(
                f"step sizes {self.a} ({self.b} + t)^-{self.gamma}: expected a, b above 0 and "
                "gamma above 0.5 up to 1, or 0 for constant steps"
            )

    def at(self, n_steps: int) -> float:
        """Step size after so many steps."""
        return float(self.a * (self.b + n_steps) ** -self.gamma)


class LangevinChain(NamedTuple):
    """What the next step needs.

    Attributes
    ----------
    value : (n, ...) float64 ndarray
    n_steps : int
        Done so far.
    """

    value: Float64
    n_steps: int = 0


class LangevinInfo(NamedTuple):
    """What a step reports.

    Attributes
    ----------
    step_size : float
        epsilon_t, the weight of this draw in averages.
    gradient_norm : (n,) float64 ndarray
    """

    step_size: float
    gradient_norm: Float64


def langevin(
    rng: np.random.Generator,
    chain: LangevinChain,
    gradient: Callable[[Float64], Float64],
    steps: DecreasingSteps,
    preconditioner: Preconditioner = IDENTITY,
) -> tuple[LangevinChain, LangevinInfo]:
    """One step of n vectors, all at the same step size.

    Parameters
    ----------
    rng : Generator
    chain : LangevinChain
    gradient : callable, (n, ...) -> (n, ...)
        An unbiased estimate on a batch that the caller has drawn.
    steps : DecreasingSteps
    preconditioner : Preconditioner

    Returns
    -------
    chain : LangevinChain
    info : LangevinInfo
    """
    n = len(chain.value)
    step = steps.at(chain.n_steps)
    slope = check_gradient(gradient(chain.value), np.ones(n, dtype=np.bool_))
    noise = preconditioner.apply_sqrt(rng.standard_normal(chain.value.shape))
    value = chain.value + step * preconditioner.apply(slope) + np.sqrt(2 * step) * noise
    norm = np.linalg.norm(slope.reshape(n, -1), axis=1)
    return LangevinChain(value, chain.n_steps + 1), LangevinInfo(step, norm)

"""Step sizes found in the warm-up: dual averaging [1]_ to a wanted acceptance rate.

One step size per group of chains, such as all particles of one kernel. Kernels know nothing of it.
After the warm-up take `frozen_steps` and leave them alone: a chain whose steps go on adapting to
its own past is no Markov chain and need not have the right equilibrium.

References
----------
.. [1] Hoffman and Gelman (2014), J. Machine Learning Research 15, section 3.2.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hypermol.errors import ShapeError

__all__ = [
    "HMC_ACCEPTANCE",
    "MALA_ACCEPTANCE",
    "WALK_ACCEPTANCE",
    "Adaptation",
    "adapt",
    "frozen_steps",
    "start",
    "step_sizes",
]

Float64 = NDArray[np.float64]
# Of the greatest efficiency in many dimensions; flat optima, anything near will do.
WALK_ACCEPTANCE = 0.234
MALA_ACCEPTANCE = 0.574
HMC_ACCEPTANCE = 0.8  # the theory's 0.651 is where one step too large costs most

# Of the reference: how strongly the log step is drawn to its start, how many early steps hardly
# count, and how fast old ones are forgotten in the average.
_SHRINKAGE, _STABILISATION, _DECAY = 0.05, 10.0, 0.75


class Adaptation(NamedTuple):
    """What the next adaptation needs; g groups of chains.

    Attributes
    ----------
    log_step, log_average : (g,) float64 ndarray
        Of the step size to try next, and of the average to keep.
    centre : (g,) float64 ndarray
        Log step size that early steps are drawn to: ten times the first, since too large a step
        is found out sooner than too small a one.
    shortfall : (g,) float64 ndarray
        Running mean of wanted less reached acceptance.
    n_steps : int
    """

    log_step: Float64
    log_average: Float64
    centre: Float64
    shortfall: Float64
    n_steps: int


def start(step_size: ArrayLike, n_groups: int = 1) -> Adaptation:
    """Begin with step sizes, a number or (g,)."""
    log_step = np.log(np.broadcast_to(np.asarray(step_size, dtype=np.float64), (n_groups,)))
    return Adaptation(log_step, log_step, log_step + np.log(10), np.zeros(n_groups), 0)


def adapt(
    adaptation: Adaptation,
    acceptance_rate: NDArray[np.floating],
    target: float,
    groups: NDArray[np.integer] | None = None,
) -> Adaptation:
    """One step of dual averaging.

    Parameters
    ----------
    adaptation : Adaptation
    acceptance_rate : (n,) float ndarray
        As the kernel's info reports it.
    target : float
        Wanted mean of it, such as `MALA_ACCEPTANCE`.
    groups : (n,) int ndarray or None
        Group of each chain; None: all are in one. A group without chains keeps its step.

    Returns
    -------
    Adaptation
    """
    n_groups = len(adaptation.log_step)
    if groups is None:
        groups = np.zeros(len(acceptance_rate), dtype=np.int64)
    if len(groups) != len(acceptance_rate) or groups.max(initial=0) >= n_groups:
        raise ShapeError(
            f"step sizes: {len(acceptance_rate)} chains in {len(groups)} groups up to "
            f"{groups.max(initial=0)}, expected one group below {n_groups} for each chain"
        )
    count = np.bincount(groups, minlength=n_groups)
    reached = np.bincount(groups, weights=acceptance_rate, minlength=n_groups)
    missing = np.where(count > 0, target - reached / np.maximum(count, 1), 0.0)
    n = adaptation.n_steps + 1
    weight = 1 / (n + _STABILISATION)
    shortfall = (1 - weight) * adaptation.shortfall + weight * missing
    log_step = adaptation.centre - np.sqrt(n) / _SHRINKAGE * shortfall
    forget = n**-_DECAY
    log_average = forget * log_step + (1 - forget) * adaptation.log_average
    has_chains = count > 0
    return Adaptation(
        np.where(has_chains, log_step, adaptation.log_step),
        np.where(has_chains, log_average, adaptation.log_average),
        adaptation.centre,
        np.where(has_chains, shortfall, adaptation.shortfall),
        n,
    )


def step_sizes(adaptation: Adaptation) -> Float64:
    """Step sizes to try next in the warm-up; (g,)."""
    return np.exp(adaptation.log_step)


def frozen_steps(adaptation: Adaptation) -> Float64:
    """Step sizes to keep after the warm-up; (g,)."""
    return np.exp(adaptation.log_average)

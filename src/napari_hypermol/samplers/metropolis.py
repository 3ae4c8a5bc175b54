"""Metropolis-Hastings updates, Eq. (15) and (16), and random walks on vectors, states, rotations.

All kernels step n independent chains at once, chain i with the log density that `log_density`
gives in entry i. A walk on rotations is best given a log density with shift, contrast and state
summed out. Other proposals are in `independence`, those with gradients in `mala` and `hmc`.

A log density of minus infinity is a proposal outside of the support and is rejected; one that is
not a number is a mistake and raises `DensityError`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hypermol.coordinates.rotations import turned
from napari_hypermol.coordinates.tangent import tangent_normal
from napari_hypermol.errors import DensityError
from napari_hypermol.protocols import StateKind
from napari_hypermol.samplers.folding import fold

__all__ = [
    "Chain",
    "Info",
    "accept",
    "check_log_density",
    "check_start",
    "choose",
    "per_chain",
    "random_walk",
    "rotation_walk",
    "start",
    "state_walk",
    "update",
]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]
LogDensity = Callable[[Float64], Float64]


class Chain(NamedTuple):
    """What a kernel without gradients carries to its next call.

    Attributes
    ----------
    value : (n, ...) float64 ndarray
    log_density : (n,) float64 ndarray
        At `value`, as returned by the callable.
    """

    value: Float64
    log_density: Float64


class Info(NamedTuple):
    """What a Metropolis-Hastings kernel reports.

    Attributes
    ----------
    is_accepted : (n,) bool ndarray
    acceptance_rate : (n,) float64 ndarray
        The probability of Eq. (16), whether or not the proposal was then accepted.
    """

    is_accepted: NDArray[np.bool_]
    acceptance_rate: Float64


def start(value: Float, log_density: LogDensity) -> Chain:
    """A chain at `value` (n, ...), where every log density must be finite."""
    there = np.array(value, dtype=np.float64)
    return Chain(there, check_start(log_density(there)))


def check_start(log_density: Float) -> Float64:
    """The log densities (n,) in double, if all of them are finite: a chain may begin there."""
    there = check_log_density(log_density)
    lost = np.flatnonzero(there == -np.inf)
    if len(lost):
        raise DensityError(
            f"chain {lost[0]} ({len(lost)} of {len(there)}) starts where the log density is "
            "minus infinity; start it inside the support of its prior"
        )
    return there


def check_log_density(log_density: Float) -> Float64:
    """The log densities (n,) in double, if all of them are numbers below infinity."""
    there = np.asarray(log_density, dtype=np.float64)
    which = np.flatnonzero(np.isnan(there) | (there == np.inf))
    if len(which):
        raise DensityError(
            f"log density of chain {which[0]} ({len(which)} of {len(there)}) is "
            f"{there[which[0]]}, expected a number or -inf; look for zeros in a division or "
            "a noise spectrum"
        )
    return there


def accept(rng: np.random.Generator, log_ratio: Float64) -> Info:
    """Eq. (16), given the log of the Hastings ratio (n,)."""
    rate = np.exp(np.minimum(log_ratio, 0.0))
    return Info(rng.random(len(rate)) < rate, rate)


def choose(is_accepted: NDArray[np.bool_], proposed: Float64, current: Float64) -> Float64:
    """`proposed` where accepted, else `current`; (n, ...)."""
    mask = is_accepted.reshape(-1, *[1] * (current.ndim - 1))
    return np.where(mask, proposed, current)


def update(
    rng: np.random.Generator,
    chain: Chain,
    proposed: Float64,
    log_density: LogDensity,
    log_proposal_ratio: Float64 | float = 0.0,
) -> tuple[Chain, Info]:
    """The Metropolis-Hastings update.

    Parameters
    ----------
    rng : Generator
    chain : Chain
    proposed : (n, ...) float64 ndarray
    log_density : callable, (n, ...) -> (n,)
    log_proposal_ratio : (n,) float64 ndarray or float
        log q(proposed, current) - log q(current, proposed), q(from, to) as in Eq. (15); 0 for a
        symmetric proposal.

    Returns
    -------
    chain : Chain
    info : Info
    """
    there = check_log_density(log_density(proposed))
    info = accept(rng, there - chain.log_density + log_proposal_ratio)
    value = choose(info.is_accepted, proposed, chain.value)
    return Chain(value, choose(info.is_accepted, there, chain.log_density)), info


def per_chain(step_size: ArrayLike, dims: int) -> Float64:
    """Step sizes (n,) made to multiply values (n, ...) of `dims` axes; others as they are."""
    size = np.asarray(step_size, dtype=np.float64)
    return size.reshape(-1, *[1] * (dims - 1)) if size.ndim == 1 else size


def random_walk(
    rng: np.random.Generator, chain: Chain, log_density: LogDensity, step_size: ArrayLike
) -> tuple[Chain, Info]:
    """Normal steps of standard deviation `step_size`: a number, one per chain or per entry.

    A step size (n,) is each chain's own; for one per coordinate give (1, d).
    """
    steps = per_chain(step_size, chain.value.ndim) * rng.standard_normal(chain.value.shape)
    return update(rng, chain, chain.value + steps, log_density)


def state_walk(
    rng: np.random.Generator,
    chain: Chain,
    log_density: LogDensity,
    step_size: ArrayLike,
    kinds: Sequence[StateKind],
) -> tuple[Chain, Info]:
    """Steps of states (n, d) that stay in [0, 1]; the proposal is symmetric.

    Parameters
    ----------
    rng : Generator
    chain : Chain
    log_density : callable, (n, d) -> (n,)
    step_size : float, (n,) or (1, d) array_like
        Standard deviation of the normal step.
    kinds : sequence of d StateKind
        Intervals reflect at their ends, circles close, a class is drawn afresh.

    Returns
    -------
    chain : Chain
    info : Info
    """
    steps = per_chain(step_size, 2) * rng.standard_normal(chain.value.shape)
    proposed, _ = fold(chain.value + steps, kinds)
    for axis, kind in enumerate(kinds):
        if kind == "class":
            proposed[:, axis] = rng.random(len(proposed))
    return update(rng, chain, proposed, log_density)


def rotation_walk(
    rng: np.random.Generator, chain: Chain, log_density: LogDensity, step_sizes: ArrayLike
) -> tuple[Chain, Info]:
    """Steps of rotations (n, 3, 3) in the tangent space, at a scale drawn from several.

    Parameters
    ----------
    rng : Generator
    chain : Chain
    log_density : callable, (n, 3, 3) -> (n,)
        With respect to the uniform measure.
    step_sizes : float, (j,) or (n, j) array_like
        Standard deviations [rad], equally probable: large ones to find another orientation, small
        ones to settle. Symmetric, since the choice does not depend on the rotation.

    Returns
    -------
    chain : Chain
    info : Info
    """
    n = len(chain.value)
    scales = np.atleast_2d(np.asarray(step_sizes, dtype=np.float64))
    scales = np.broadcast_to(scales, (n, scales.shape[1]))
    std = scales[np.arange(n), rng.integers(scales.shape[1], size=n)]
    proposed = turned(chain.value, tangent_normal(rng, std, n))
    return update(rng, chain, proposed, log_density)

"""Metropolis-adjusted Langevin steps, Eq. (17) with the preconditioner of Eq. (19).

    X' = X + epsilon A grad log P(X) + sqrt(2 epsilon A) W,    W ~ N(0, 1),

where epsilon, the step size, is sigma^2 / 2 of the paper. Coefficients bring an operator A, states
and shifts a diagonal one; rotations step in the tangent space, `rotation_mala`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hypermol.coordinates.rotations import angles_between, turned
from napari_hypermol.coordinates.tangent import (
    log_tangent_normal,
    tangent_normal,
)
from napari_hypermol.errors import DensityError
from napari_hypermol.samplers.metropolis import (
    Info,
    accept,
    check_log_density,
    check_start,
    choose,
    per_chain,
)
from napari_hypermol.samplers.preconditioner import IDENTITY, Preconditioner

__all__ = ["GradientChain", "check_gradient", "mala", "rotation_mala", "start"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]
LogDensityGrad = Callable[[Float64], tuple[Float64, Float64]]


class GradientChain(NamedTuple):
    """What a kernel with gradients carries to its next call.

    Attributes
    ----------
    value : (n, ...) float64 ndarray
    log_density : (n,) float64 ndarray
        At `value`.
    gradient : (n, ...) float64 ndarray
        There too; of rotations (n, 3, 3) the tangent vectors (n, 3).
    """

    value: Float64
    log_density: Float64
    gradient: Float64


def start(value: Float, log_density_grad: LogDensityGrad) -> GradientChain:
    """A chain at `value` (n, ...), where log densities and gradients must be finite."""
    begin = np.array(value, dtype=np.float64)
    there, gradient = log_density_grad(begin)
    there = check_start(there)
    return GradientChain(begin, there, check_gradient(gradient, np.ones(len(there), np.bool_)))


def check_gradient(gradient: Float, is_needed: NDArray[np.bool_]) -> Float64:
    """The gradients (n, ...) in double, if those that are needed are finite; others become 0."""
    slope = np.asarray(gradient, dtype=np.float64)
    finite = np.asarray(np.isfinite(slope.reshape(len(slope), -1)).all(axis=1))
    wrong = np.flatnonzero(~finite & is_needed)
    if len(wrong):
        raise DensityError(
            f"gradient of chain {wrong[0]} ({len(wrong)} of {len(finite)}) is not finite where its "
            "log density is; look for a division by zero in the gradient"
        )
    return choose(finite, slope, np.zeros_like(slope))


def mala(
    rng: np.random.Generator,
    chain: GradientChain,
    log_density_grad: LogDensityGrad,
    step_size: ArrayLike,
    preconditioner: Preconditioner = IDENTITY,
) -> tuple[GradientChain, Info]:
    """One step of n vectors.

    Parameters
    ----------
    rng : Generator
    chain : GradientChain
    log_density_grad : callable, (n, ...) -> (n,), (n, ...)
    step_size : float or (n,) array_like
        epsilon.
    preconditioner : Preconditioner

    Returns
    -------
    chain : GradientChain
    info : Info

    Notes
    -----
    With h the sum of the gradients at both ends and xi the noise that was added, the proposal
    densities are in the ratio ``log q(X', X) - log q(X, X') = -h.(xi + epsilon A h / 2) / 2``,
    which needs no inverse of A.
    """
    step = per_chain(step_size, chain.value.ndim)
    noise = np.sqrt(2 * step) * preconditioner.apply_sqrt(rng.standard_normal(chain.value.shape))
    proposed = chain.value + step * preconditioner.apply(chain.gradient) + noise
    there, gradient = log_density_grad(proposed)
    there = check_log_density(there)
    gradient = check_gradient(gradient, there > -np.inf)
    both = chain.gradient + gradient
    ratio = -0.5 * _dot(both, noise + 0.5 * step * preconditioner.apply(both))
    return _updated(rng, chain, GradientChain(proposed, there, gradient), ratio)


def rotation_mala(
    rng: np.random.Generator,
    chain: GradientChain,
    log_density_grad: LogDensityGrad,
    step_size: ArrayLike,
) -> tuple[GradientChain, Info]:
    """One step of n rotations, R' = exp([xi]_x) exp([epsilon grad]_x) R.

    Parameters
    ----------
    rng : Generator
    chain : GradientChain
    log_density_grad : callable, (n, 3, 3) -> (n,), (n, 3)
        With respect to the uniform measure; the gradient is that over omega at 0 of the log density
        at exp([omega]_x) R.
    step_size : float or (n,) array_like
        epsilon [rad^2].

    Returns
    -------
    chain : GradientChain
    info : Info

    Notes
    -----
    The proposal is isotropic about exp([epsilon grad]_x) R, so its density depends on the angle
    from there alone and the Hastings ratio is exact at any step size. The volume of the exponential
    map does not cancel between the two directions and is part of it.
    """
    n = len(chain.value)
    step = np.broadcast_to(np.asarray(step_size, dtype=np.float64), (n,))
    std = np.sqrt(2 * step)
    noise = tangent_normal(rng, std, n)
    proposed = turned(turned(chain.value, step[:, None] * chain.gradient), noise)
    there, gradient = log_density_grad(proposed)
    there = check_log_density(there)
    gradient = check_gradient(gradient, there > -np.inf)
    back = turned(proposed, step[:, None] * gradient)
    ratio = log_tangent_normal(angles_between(chain.value, back), std)
    ratio = ratio - log_tangent_normal(np.linalg.norm(noise, axis=1), std)
    return _updated(rng, chain, GradientChain(proposed, there, gradient), ratio)


def _updated(
    rng: np.random.Generator, chain: GradientChain, proposed: GradientChain, ratio: Float64
) -> tuple[GradientChain, Info]:
    """Eq. (16), `ratio` the log of that of the proposal densities."""
    info = accept(rng, proposed.log_density - chain.log_density + ratio)
    pairs = zip(proposed, chain, strict=True)
    return GradientChain(*(choose(info.is_accepted, new, old) for new, old in pairs)), info


def _dot(x: Float64, y: Float64) -> Float64:
    return np.asarray((x * y).reshape(len(x), -1).sum(axis=1))

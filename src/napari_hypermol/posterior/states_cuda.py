"""`states` on a CUDA device: the joint tables of many particles as products of matrices.

The same formulas as in `states`, which goes through one particle after the other in main memory;
here a particle's table is one matrix of a stack. Written for either array library, so that the
two can be compared anywhere; `states` calls it for CuPy arrays.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from napari_hypermol.backend import array_module, special_functions

__all__ = ["JointTables", "contrast_moments", "joint_tables"]

_FAR_TAIL = -30.0  # [standard deviations]; as in `states`
_ENTRIES = 2**22  # of all tables at once: some ten arrays of 32 MiB


class JointTables(NamedTuple):
    """What `joint_tables` finds for n particles; all float64.

    Attributes
    ----------
    p1, p2 : (n, t1), (n, t2) array
        Marginal posteriors.
    first : (n, q) array
        E[a c].
    second : (n, q, q) array
        E[a^2 c c^T].
    contrast : (n, 2) array
        Mean and standard deviation.
    evidence : (n,) array
    """

    p1: Any
    p2: Any
    first: Any
    second: Any
    contrast: Any
    evidence: Any


def contrast_moments(linear: Any, square: Any, std: float) -> tuple[Any, Any, Any]:
    """Log evidence and moments of the contrast; `states.contrast_moments` of whole arrays.

    Parameters
    ----------
    linear, square : float64 array
        c.b and c.G c.
    std : float
        Of the normal prior about 1, truncated at 0; zero fixes the contrast at 1.

    Returns
    -------
    log_evidence, mean, mean_square : float64 array
    """
    xp, log_tail = array_module(linear), special_functions(linear).log_ndtr
    if std == 0.0:
        return linear - 0.5 * square, xp.ones_like(linear), xp.ones_like(linear)
    prior = 1.0 / (std * std)
    precision = square + prior
    centre, root = (linear + prior) / precision, xp.sqrt(precision)
    z = centre * root
    tail = log_tail(z)
    prior_tail = math.log(0.5 * math.erfc(-1.0 / (std * math.sqrt(2.0))))
    log_evidence = 0.5 * z * z - 0.5 * prior + tail - prior_tail - 0.5 * xp.log(precision / prior)
    ratio = xp.exp(-0.5 * z * z - 0.5 * math.log(2 * math.pi) - tail) / root
    mean, mean_square = centre + ratio, centre * centre + 1.0 / precision + centre * ratio
    # Far in the tail the density is nearly exponential, and the sums above cancel.
    is_far = z < _FAR_TAIL
    far = xp.where(is_far, z, _FAR_TAIL)
    inverse = 1.0 / (far * far)
    share = inverse * (2.0 - inverse * (10.0 - 74.0 * inverse))
    mean = xp.where(is_far, (share - 1.0) / (far * root), mean)
    return log_evidence, mean, xp.where(is_far, share / precision, mean_square)


def joint_tables(
    b: Any, g: Any, rigid: Any, f1: Any, f2: Any, prior1: Any, prior2: Any,
    std: float, temperature: float, negligible: float,
) -> JointTables:  # fmt: skip
    """Joint posterior of contrast and two components' states, for a stack of particles.

    Parameters
    ----------
    b : (n, q) array
    g : (n, q, q) array
    rigid : (q,) float array
        1 in the columns of rigid components, else 0.
    f1, f2 : (t, q) float array
        State functions in a component's columns, 0 in all others.
    prior1, prior2 : (t,) float array
        Log priors.
    std, temperature, negligible : float
        As for `states.table_posterior`.

    Returns
    -------
    JointTables
    """
    xp = array_module(b)
    entries = max(1, len(f1) * len(f2) + g.shape[1] * (g.shape[1] + len(f1)))
    parts = [
        _tables(b[rows], g[rows], rigid, f1, f2, prior1, prior2, std, temperature, negligible)
        for rows in _batches(len(b), max(1, _ENTRIES // entries))
    ]
    return JointTables(*(xp.concatenate(column) for column in zip(*parts, strict=True)))


def _batches(n: int, length: int) -> Iterator[slice]:
    """At least one, so that no particles have arrays of the right shape too."""
    for start in range(0, max(n, 1), length):
        yield slice(start, min(start + length, n))


def _tables(
    b: Any, g: Any, rigid: Any, f1: Any, f2: Any, prior1: Any, prior2: Any,
    std: float, temperature: float, negligible: float,
) -> JointTables:  # fmt: skip
    xp = array_module(b)
    b, g = b.astype(xp.float64), g.astype(xp.float64)
    linear = (b @ rigid)[:, None, None] + (b @ f1.T)[:, :, None] + (b @ f2.T)[:, None, :]
    square = xp.maximum(_quadratic(g, rigid, f1, f2), 0.0)
    log_p, mean, mean_square = contrast_moments(linear, square, std)
    log_p = log_p * temperature + prior1[:, None] + prior2
    best = log_p.max(axis=(1, 2), keepdims=True)
    p = xp.exp(log_p - best)
    total = p.sum(axis=(1, 2), keepdims=True)
    evidence = (best + xp.log(total))[:, 0, 0]
    if negligible > 0.0:
        p = xp.where(p < negligible * total, 0.0, p)
        total = p.sum(axis=(1, 2), keepdims=True)
    p = p / total
    weighted, weighted_square = p * mean, p * mean_square
    first_total = weighted.sum(axis=(1, 2))
    second_total = weighted_square.sum(axis=(1, 2))
    spread = xp.sqrt(xp.maximum(second_total - first_total**2, 0.0))
    first = first_total[:, None] * rigid
    first = first + weighted.sum(axis=2) @ f1 + weighted.sum(axis=1) @ f2
    return JointTables(
        p.sum(axis=2),
        p.sum(axis=1),
        first,
        _second_moments(weighted_square, second_total, rigid, f1, f2),
        xp.stack([first_total, spread], axis=1),
        evidence,
    )


def _quadratic(g: Any, rigid: Any, f1: Any, f2: Any) -> Any:
    """c.G c at every pair of states; (n, t1, t2)."""
    half_rigid, half1, half2 = g @ rigid, f1 @ g, f2 @ g
    square1 = (half1 * f1).sum(axis=2) + 2 * half_rigid @ f1.T
    square2 = (half2 * f2).sum(axis=2) + 2 * half_rigid @ f2.T
    still = (half_rigid @ rigid)[:, None, None]
    return still + square1[:, :, None] + square2[:, None, :] + 2 * half1 @ f2.T


def _second_moments(weights: Any, total: Any, rigid: Any, f1: Any, f2: Any) -> Any:
    """E[a^2 c c^T] from p E[a^2] at every pair of states (n, t1, t2) and its sum (n,)."""
    weights1, weights2 = weights.sum(axis=2), weights.sum(axis=1)
    mixed = f1.T @ weights @ f2
    mixed = mixed + rigid[:, None] * (weights1 @ f1 + weights2 @ f2)[:, None, :]
    alone = (f1.T * weights1[:, None, :]) @ f1 + (f2.T * weights2[:, None, :]) @ f2
    alone = alone + total[:, None, None] * (rigid[:, None] * rigid)
    return alone + mixed + mixed.transpose(0, 2, 1)

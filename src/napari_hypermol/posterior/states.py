"""Exact posterior tables of state and contrast, given b and G (Section 2.1 of the guide; Eq. 23).

For one or two components with states the table is joint; the contrast is integrated out exactly
(a truncated normal at every entry). More components are drawn one after the other by
`samplers.gibbs` from the same conditionals. Tables of CuPy arrays are computed by `states_cuda`.
"""

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module
from napari_hypermol.loops import compiled, inlined
from napari_hypermol.posterior.states_cuda import JointTables, joint_tables
from napari_hypermol.protocols import StateKind

__all__ = [
    "ParticlePosterior",
    "StateTable",
    "contrast_moments",
    "state_moments",
    "table_posterior",
]

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]

# [standard deviations] below which series stand for the normal tail: there they are good to 1e-8,
# and erfc is still far from its underflow at -37.
FAR_TAIL = -30.0
MAX_ENTRIES = 4096  # of a joint table; 64 x 64, some 20 microseconds a particle


class StateTable(NamedTuple):
    """The grid of states at which one component's posterior is evaluated.

    Attributes
    ----------
    states : (t, d) float64 ndarray
        In [0, 1].
    functions : (t, q) float64 ndarray
        State functions there.
    log_prior : (t,) float64 ndarray
    columns : slice
        The component's columns among all q.
    kinds : tuple of StateKind
        Of every coordinate; empty: all intervals.
    """

    states: Float64
    functions: Float64
    log_prior: Float64
    columns: slice
    kinds: tuple[StateKind, ...] = ()


class ParticlePosterior(NamedTuple):
    """What the posterior of n particles says; moments are what the coefficients' solve needs.

    Attributes
    ----------
    state_mean, state_std : (n, d) float64 ndarray
        Components' coordinates side by side; see `state_moments` for circles and classes.
    contrast_mean, contrast_std : (n,) float64 ndarray
    first : (n, q) float32 ndarray
        E[a c].
    second : (n, q, q) float32 ndarray
        E[a^2 c c^T].
    log_evidence : (n,) float64 ndarray
        Log likelihood with state and contrast integrated out, against the empty molecule.
    tables : tuple of (n, t) float32 ndarray
        Marginal posterior of each component with a state.
    """

    state_mean: Float64
    state_std: Float64
    contrast_mean: Float64
    contrast_std: Float64
    first: Float32
    second: Float32
    log_evidence: Float64
    tables: tuple[Float32, ...]


def state_moments(posterior: NDArray[np.floating], table: StateTable) -> tuple[Float64, Float64]:
    """One number and its spread for every coordinate of a tabulated posterior.

    Parameters
    ----------
    posterior : (n, t) float array
        Rows sum to 1.
    table : StateTable

    Returns
    -------
    mean, std : (n, d) float64 ndarray
        Interval: mean and standard deviation. Circle: circular mean in [0, 1), and the circular
        standard deviation, at most that of the uniform density. Class: the middle of the most
        probable class, and the probability that it is another one.
    """
    xp, dims = array_module(posterior), table.states.shape[1]
    mean, std = xp.zeros((len(posterior), dims)), xp.zeros((len(posterior), dims))
    kinds = table.kinds or ("interval",) * dims
    for axis, kind in enumerate(kinds):
        unique, index = np.unique(table.states[:, axis], return_inverse=True)
        values = xp.asarray(unique)
        p = xp.zeros((len(posterior), len(values)))
        xp.add.at(p.T, xp.asarray(index), posterior.T)
        if kind == "interval":
            mean[:, axis] = p @ values
            std[:, axis] = xp.sqrt(xp.maximum(p @ values**2 - mean[:, axis] ** 2, 0.0))
        elif kind == "circle":
            resultant = p @ xp.exp(2j * np.pi * values)
            turns = xp.angle(resultant) / (2 * np.pi) % 1.0
            mean[:, axis] = xp.where(turns < 1, turns, 0.0)  # -1e-20 % 1 is 1
            length = xp.clip(xp.abs(resultant), 1e-12, 1.0)
            spread = xp.sqrt(-2 * xp.log(length)) / (2 * np.pi)
            std[:, axis] = xp.minimum(spread, math.sqrt(1 / 12))
        else:
            best = p.argmax(axis=1)
            mean[:, axis] = values[best]
            std[:, axis] = 1 - p[xp.arange(len(p)), best]
    return mean, xp.maximum(std, 0.0)


@inlined()
def _log_normal_tail(z: Any) -> Any:
    """Log Phi(z), safe far into the lower tail."""
    if z > 8.0:  # 1 to rounding, the usual case: contrasts are far from 0
        return 0.0
    if z > FAR_TAIL:
        return math.log(0.5 * math.erfc(-z / math.sqrt(2.0)))
    inverse = 1.0 / (z * z)
    series = math.log1p(-inverse * (1.0 - 3.0 * inverse))
    return -0.5 * z * z - math.log(-z) - 0.5 * math.log(2.0 * math.pi) + series


@inlined()
def contrast_moments(linear: Any, square: Any, std: Any) -> Any:
    """Log evidence and moments of the contrast of one particle at one state.

    Parameters
    ----------
    linear, square : float
        c.b and c.G c.
    std : float
        Of the normal prior about 1, truncated at 0; zero fixes the contrast at 1.

    Returns
    -------
    log_evidence, mean, mean_square : float
    """
    if std == 0.0:
        return linear - 0.5 * square, 1.0, 1.0
    prior = 1.0 / (std * std)
    precision = square + prior
    centre = (linear + prior) / precision
    root = math.sqrt(precision)
    tail = _log_normal_tail(centre * root)
    log_evidence = 0.5 * precision * centre * centre - 0.5 * prior
    log_evidence += tail - _log_normal_tail(1.0 / std) - 0.5 * math.log(precision / prior)
    z = centre * root
    if z > 8.0:
        return log_evidence, centre, centre * centre + 1.0 / precision
    if z < FAR_TAIL:  # nearly exponential; the differences below would cancel
        inverse = 1.0 / (z * z)
        share = inverse * (2.0 - inverse * (10.0 - 74.0 * inverse))
        return log_evidence, (share - 1.0) / (z * root), share / precision
    ratio = math.exp(-0.5 * centre * centre * precision - 0.5 * math.log(2 * math.pi) - tail) / root
    mean = centre + ratio
    return log_evidence, mean, centre * centre + 1.0 / precision + centre * ratio


@compiled(parallel=True)
def _joint_tables(
    b: Any, g: Any, rigid: Any, f1: Any, f2: Any, start1: Any, start2: Any,
    prior1: Any, prior2: Any, std: Any, temperature: Any, negligible: Any,
    p1: Any, p2: Any, first: Any, second: Any, contrast: Any, evidence: Any,
) -> None:  # fmt: skip
    n, n_q = b.shape
    t1, q1, t2, q2 = f1.shape[0], f1.shape[1], f2.shape[0], f2.shape[1]
    for i in numba.prange(n):
        u0, g00 = 0.0, 0.0
        for p in range(n_q):
            if rigid[p]:
                u0 += b[i, p]
                for q in range(n_q):
                    if rigid[q]:
                        g00 += g[i, p, q]
        linear1, square1 = np.zeros(t1), np.zeros(t1)
        half1 = np.zeros((t1, n_q))  # G c for component 1's part of c, plus the rigid part
        for t in range(t1):
            for p in range(n_q):
                total = 0.0
                for q in range(q1):
                    total += g[i, p, start1 + q] * f1[t, q]
                half1[t, p] = total
            for q in range(q1):
                linear1[t] += f1[t, q] * b[i, start1 + q]
                square1[t] += f1[t, q] * half1[t, start1 + q]
            for p in range(n_q):
                if rigid[p]:
                    square1[t] += 2.0 * half1[t, p]
        linear2, square2 = np.zeros(t2), np.zeros(t2)
        for t in range(t2):
            for q in range(q2):
                total = 0.0
                for r in range(q2):
                    total += g[i, start2 + q, start2 + r] * f2[t, r]
                for p in range(n_q):
                    if rigid[p]:
                        total += 2.0 * g[i, start2 + q, p]
                square2[t] += f2[t, q] * total
                linear2[t] += f2[t, q] * b[i, start2 + q]
        log_p = np.empty((t1, t2))
        mean = np.empty((t1, t2))
        mean_square = np.empty((t1, t2))
        best = -np.inf
        for s in range(t1):
            for t in range(t2):
                cross = 0.0
                for q in range(q2):
                    cross += half1[s, start2 + q] * f2[t, q]
                linear = u0 + linear1[s] + linear2[t]
                square = max(g00 + square1[s] + square2[t] + 2.0 * cross, 0.0)
                log_p[s, t], mean[s, t], mean_square[s, t] = contrast_moments(linear, square, std)
                log_p[s, t] = log_p[s, t] * temperature + prior1[s] + prior2[t]
                best = max(best, log_p[s, t])
        total = 0.0
        for s in range(t1):
            for t in range(t2):
                log_p[s, t] = math.exp(log_p[s, t] - best)
                total += log_p[s, t]
        evidence[i] = best + math.log(total)
        if negligible > 0.0:
            kept = 0.0
            for s in range(t1):
                for t in range(t2):
                    if log_p[s, t] < negligible * total:
                        log_p[s, t] = 0.0
                    kept += log_p[s, t]
            total = kept
        a1, a2, w1, w2 = np.zeros(t1), np.zeros(t2), np.zeros(t1), np.zeros(t2)
        first_total, second_total = 0.0, 0.0
        between = np.zeros((t1, q2))
        for s in range(t1):
            for t in range(t2):
                p = log_p[s, t] / total
                p1[i, s] += p
                p2[i, t] += p
                a1[s] += p * mean[s, t]
                a2[t] += p * mean[s, t]
                first_total += p * mean[s, t]
                weight = p * mean_square[s, t]
                second_total += weight
                w1[s] += weight
                w2[t] += weight
                for q in range(q2):
                    between[s, q] += weight * f2[t, q]
        contrast[i, 0] = first_total
        contrast[i, 1] = math.sqrt(max(second_total - first_total * first_total, 0.0))
        for p in range(n_q):
            if rigid[p]:
                first[i, p] = first_total
                for q in range(n_q):
                    if rigid[q]:
                        second[i, p, q] = second_total
        for q in range(q1):
            for s in range(t1):
                first[i, start1 + q] += a1[s] * f1[s, q]
                for p in range(n_q):
                    if rigid[p]:
                        second[i, p, start1 + q] += w1[s] * f1[s, q]
                        second[i, start1 + q, p] += w1[s] * f1[s, q]
                for r in range(q1):
                    second[i, start1 + q, start1 + r] += w1[s] * f1[s, q] * f1[s, r]
                for r in range(q2):
                    value = f1[s, q] * between[s, r]
                    second[i, start1 + q, start2 + r] += value
                    second[i, start2 + r, start1 + q] += value
        for q in range(q2):
            for t in range(t2):
                first[i, start2 + q] += a2[t] * f2[t, q]
                for p in range(n_q):
                    if rigid[p]:
                        second[i, p, start2 + q] += w2[t] * f2[t, q]
                        second[i, start2 + q, p] += w2[t] * f2[t, q]
                for r in range(q2):
                    second[i, start2 + q, start2 + r] += w2[t] * f2[t, q] * f2[t, r]


def table_posterior(
    b: Float32,
    g: Float32,
    tables: tuple[StateTable, ...],
    contrast_std: float,
    temperature: float = 1.0,
    negligible: float = 0.0,
) -> ParticlePosterior:
    """Joint posterior of contrast and at most two components' states.

    Parameters
    ----------
    b : (n, q) float32 array
    g : (n, q, q) float32 array
    tables : tuple of at most two StateTable
        Columns in none of them belong to rigid components, whose state function is 1.
    contrast_std : float
        Of the contrast's normal prior about 1; zero: contrast known to be 1.
    temperature : float
        Factor on the log likelihood; 1 is the posterior.
    negligible : float
        Joint states less probable than this are left out of tables and moments, below 1 / entries;
        where every state has slices of its own, the others then need none.

    Returns
    -------
    ParticlePosterior
    """
    xp, n_q = array_module(b), b.shape[1]
    empty = StateTable(np.zeros((1, 0)), np.zeros((1, 0)), np.zeros(1), slice(0, 0))
    one, two = (*tables, empty, empty)[:2]
    rigid = np.ones(n_q, dtype=np.bool_)
    for table in tables:
        rigid[table.columns] = False
    numbers = float(contrast_std), float(temperature), float(negligible)
    joint = (_compiled_tables if xp is np else _device_tables)(b, g, rigid, one, two, *numbers)
    marginals = (joint.p1, joint.p2)[: len(tables)]
    moments = [state_moments(p, t) for p, t in zip(marginals, tables, strict=True)]
    nothing = xp.zeros((len(b), 0))
    return ParticlePosterior(
        state_mean=xp.concatenate([*(m for m, _ in moments), nothing], axis=1),
        state_std=xp.concatenate([*(s for _, s in moments), nothing], axis=1),
        contrast_mean=joint.contrast[:, 0],
        contrast_std=joint.contrast[:, 1],
        first=joint.first.astype(np.float32),
        second=joint.second.astype(np.float32),
        log_evidence=joint.evidence,
        tables=tuple(p.astype(np.float32) for p in marginals),
    )


def _compiled_tables(
    b: Float32, g: Float32, rigid: NDArray[np.bool_], one: StateTable, two: StateTable,
    std: float, temperature: float, negligible: float,
) -> JointTables:  # fmt: skip
    n, n_q = b.shape
    found = JointTables(
        p1=np.zeros((n, len(one.states))),
        p2=np.zeros((n, len(two.states))),
        first=np.zeros((n, n_q)),
        second=np.zeros((n, n_q, n_q)),
        contrast=np.zeros((n, 2)),
        evidence=np.zeros(n),
    )
    f1, f2 = (np.ascontiguousarray(table.functions) for table in (one, two))
    _joint_tables(
        b, g, rigid, f1, f2, one.columns.start, two.columns.start,
        one.log_prior, two.log_prior, std, temperature, negligible, *found,
    )  # fmt: skip
    return found


def _device_tables(
    b: Any, g: Any, rigid: NDArray[np.bool_], one: StateTable, two: StateTable,
    std: float, temperature: float, negligible: float,
) -> JointTables:  # fmt: skip
    xp = array_module(b)

    def spread(table: StateTable) -> Any:
        functions = np.zeros((len(table.states), len(rigid)))
        functions[:, table.columns] = table.functions
        return xp.asarray(functions)

    return joint_tables(
        b, g, xp.asarray(rigid.astype(np.float64)), spread(one), spread(two),
        xp.asarray(one.log_prior), xp.asarray(two.log_prior), std, temperature, negligible,
    )  # fmt: skip

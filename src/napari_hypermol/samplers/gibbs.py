"""Exact Gibbs draws of many components' states, one component after the other.

For composites whose joint table would be too large. Every conditional is a table over one
component's states with the contrast integrated out, so the cost grows with the number of
components, not exponentially in it. Moments are averaged over sweeps, each component's from its
whole conditional table rather than from its draw (Rao-Blackwell).
"""

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.loops import compiled
from napari_hypermol.posterior.states import (
    ParticlePosterior,
    StateTable,
    contrast_moments,
    state_moments,
)

__all__ = ["gibbs_posterior"]

Float32 = NDArray[np.float32]


@compiled(parallel=True)
def _gibbs(
    b: Any, g: Any, functions: Any, priors: Any, lengths: Any, starts: Any, counts: Any,
    offsets: Any, uniforms: Any, burn_in: Any, std: Any,
    tables: Any, first: Any, second: Any, contrast: Any, evidence: Any,
) -> None:  # fmt: skip
    n, n_q = b.shape
    n_components, sweeps = lengths.shape[0], uniforms.shape[1]
    for i in numba.prange(n):
        c = np.ones(n_q)
        for m in range(n_components):
            t = int(uniforms[i, 0, m] * lengths[m])
            for q in range(counts[m]):
                c[starts[m] + q] = functions[offsets[m] + t, q]
        log_p = np.empty(lengths.max())
        mean, mean_square = np.empty(lengths.max()), np.empty(lengths.max())
        kept = sweeps - burn_in
        for sweep in range(sweeps):
            for m in range(n_components):
                start, count = starts[m], counts[m]
                others_linear, others_square = 0.0, 0.0
                toward = np.zeros(count)
                for p in range(n_q):
                    if start <= p < start + count:
                        continue
                    others_linear += c[p] * b[i, p]
                    for q in range(n_q):
                        if start <= q < start + count:
                            toward[q - start] += 2.0 * c[p] * g[i, p, q]
                        else:
                            others_square += c[p] * c[q] * g[i, p, q]
                best = -np.inf
                for t in range(lengths[m]):
                    linear, square = others_linear, others_square
                    for q in range(count):
                        f = functions[offsets[m] + t, q]
                        linear += f * b[i, start + q]
                        square += f * toward[q]
                        for r in range(count):
                            square += f * functions[offsets[m] + t, r] * g[i, start + q, start + r]
                    square = max(square, 0.0)
                    log_p[t], mean[t], mean_square[t] = contrast_moments(linear, square, std)
                    log_p[t] += priors[offsets[m] + t]
                    best = max(best, log_p[t])
                total = 0.0
                for t in range(lengths[m]):
                    log_p[t] = math.exp(log_p[t] - best)
                    total += log_p[t]
                if sweep >= burn_in:
                    # one component's table stands for the whole vector in this sweep
                    share = 1.0 / (kept * n_components)
                    for t in range(lengths[m]):
                        p = log_p[t] / total
                        tables[i, offsets[m] + t] += p / kept
                        for q in range(count):
                            c[start + q] = functions[offsets[m] + t, q]
                        contrast[i, 0] += share * p * mean[t]
                        contrast[i, 1] += share * p * mean_square[t]
                        for q in range(n_q):
                            first[i, q] += share * p * mean[t] * c[q]
                            for r in range(n_q):
                                second[i, q, r] += share * p * mean_square[t] * c[q] * c[r]
                    evidence[i] += share * (best + math.log(total))
                target, cumulated, t = uniforms[i, sweep, m] * total, 0.0, 0
                while t < lengths[m] - 1:
                    cumulated += log_p[t]
                    if cumulated >= target:
                        break
                    t += 1
                for q in range(count):
                    c[start + q] = functions[offsets[m] + t, q]


def gibbs_posterior(
    rng: np.random.Generator,
    b: Float32,
    g: Float32,
    tables: tuple[StateTable, ...],
    contrast_std: float,
    burn_in: int = 8,
    sweeps: int = 24,
) -> ParticlePosterior:
    """Posterior of contrast and any number of components' states.

    Parameters
    ----------
    rng : Generator
    b : (n, q) float32 ndarray
    g : (n, q, q) float32 ndarray
    tables : tuple of StateTable
    contrast_std : float
    burn_in, sweeps : int
        Sweeps thrown away and kept.

    Returns
    -------
    ParticlePosterior
        Moments are Monte Carlo averages over `sweeps` sweeps; `log_evidence` is the mean
        conditional evidence, not the joint one.
    """
    n, n_q = b.shape
    lengths = np.array([len(t.states) for t in tables])
    counts = np.array([t.functions.shape[1] for t in tables])
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    functions = np.zeros((int(lengths.sum()), int(counts.max())))
    for table, offset in zip(tables, offsets, strict=True):
        functions[offset : offset + len(table.states), : table.functions.shape[1]] = table.functions
    priors = np.concatenate([t.log_prior for t in tables])
    starts = np.array([t.columns.start for t in tables])
    marginals = np.zeros((n, int(lengths.sum())))
    first, second = np.zeros((n, n_q)), np.zeros((n, n_q, n_q))
    contrast, evidence = np.zeros((n, 2)), np.zeros(n)
    uniforms = rng.random((n, burn_in + sweeps, len(tables)))
    _gibbs(
        b, g, functions, priors, lengths, starts, counts, offsets, uniforms, burn_in,
        float(contrast_std), marginals, first, second, contrast, evidence,
    )  # fmt: skip
    parts = [marginals[:, o : o + k] for o, k in zip(offsets, lengths, strict=True)]
    moments = [state_moments(p, t) for p, t in zip(parts, tables, strict=True)]
    return ParticlePosterior(
        state_mean=np.concatenate([m for m, _ in moments], axis=1),
        state_std=np.concatenate([s for _, s in moments], axis=1),
        contrast_mean=contrast[:, 0],
        contrast_std=np.sqrt(np.maximum(contrast[:, 1] - contrast[:, 0] ** 2, 0.0)),
        first=first.astype(np.float32),
        second=second.astype(np.float32),
        log_evidence=evidence,
        tables=tuple(p.astype(np.float32) for p in parts),
    )

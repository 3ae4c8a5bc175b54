"""States and contrasts of all particles drawn from their joint posterior, given b and G.

One component is drawn from its table, two jointly; of more, one after the other from their
conditionals. The contrast is summed out of every table and drawn last.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.loops import compiled
from napari_hypermol.posterior.states import (
    MAX_ENTRIES,
    StateTable,
    contrast_moments,
    table_posterior,
)
from napari_hypermol.samplers.conjugate import categorical, contrasts

__all__ = ["StateDraw", "are_drawn_jointly", "draw_states", "spread_states"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
_FIRST_ROUNDS = 8  # of conditionals, from random states


class StateDraw(NamedTuple):
    """States and contrasts of n particles.

    Attributes
    ----------
    entries : (n, components) int64 ndarray
        Of every component's table.
    c : (n, q) float64 ndarray
        State functions there; 1 for rigid components.
    contrasts : (n,) float64 ndarray
    log_likelihood : (n,) float64 ndarray
        Of all three, against the empty molecule.
    states : (n, d) float64 ndarray
        Components side by side: those of the entries, or near them where they were not drawn from a
        table.
    """

    entries: Int64
    c: Float64
    contrasts: Float64
    log_likelihood: Float64
    states: Float64


@compiled(parallel=True)
def _log_tables(
    b: Any, g: Any, c: Any, functions: Any, start: Any, log_prior: Any, std: Any, out: Any
) -> None:
    """Log posterior of one component's states given the others', contrast summed out; (n, t)."""
    n, n_q = b.shape
    n_t, count = functions.shape
    for i in numba.prange(n):
        linear0, square0 = 0.0, 0.0
        toward = np.zeros(count)
        for p in range(n_q):
            if start <= p < start + count or c[i, p] == 0:
                continue
            linear0 += c[i, p] * b[i, p]
            for q in range(n_q):
                if start <= q < start + count:
                    toward[q - start] += 2.0 * c[i, p] * g[i, p, q]
                else:
                    square0 += c[i, p] * c[i, q] * g[i, p, q]
        for t in range(n_t):
            linear, square = linear0, square0
            for q in range(count):
                f = functions[t, q]
                if f == 0:  # positions the component is not in
                    continue
                linear += f * b[i, start + q]
                square += f * toward[q]
                for r in range(count):
                    square += f * functions[t, r] * g[i, start + q, start + r]
            out[i, t] = contrast_moments(linear, max(square, 0.0), std)[0] + log_prior[t]


def are_drawn_jointly(tables: tuple[StateTable, ...]) -> bool:
    """Whether a draw of all components' states does not depend on the last one."""
    return len(tables) <= 1 or bool(
        len(tables) == 2 and np.prod([len(t.states) for t in tables]) <= MAX_ENTRIES
    )


def draw_states(
    rng: np.random.Generator,
    b: Float32,
    g: Float32,
    tables: tuple[StateTable, ...],
    contrast_std: float,
    entries: Int64 | None = None,
) -> StateDraw:
    """States and contrasts given the coefficients.

    Parameters
    ----------
    rng : Generator
    b : (n, q) float32 ndarray
    g : (n, q, q) float32 ndarray
    tables : tuple of StateTable
    contrast_std : float
        Of the contrasts' normal prior about 1, truncated at 0; zero fixes them at 1.
    entries : (n, components) int64 ndarray or None
        The last draw, where there are more than two components or too many joint states; of
        fewer the draw does not depend on it. None: the first draw, after a few rounds.

    Returns
    -------
    StateDraw
    """
    n, n_q = b.shape
    order, rounds = list(range(len(tables))), 1
    if len(tables) == 2 and are_drawn_jointly(tables):
        marginal = table_posterior(b, g, tables, contrast_std).tables[0]
        with np.errstate(divide="ignore"):
            first = categorical(rng.random((n,)), np.log(marginal))
        entries = np.stack([first, np.zeros(n, dtype=np.int64)], axis=1)
        order = [1]
    elif entries is None:
        rounds = _FIRST_ROUNDS if len(tables) > 1 else 1
        lengths = [len(t.states) for t in tables]
        entries = rng.integers(0, lengths, size=(n, len(tables)))
    entries = entries.copy()
    c = np.ones((n, n_q))
    for m, table in enumerate(tables):
        c[:, table.columns] = table.functions[entries[:, m]]
    for m in order * rounds:
        table = tables[m]
        log_table = np.empty((n, len(table.states)))
        _log_tables(
            b, g, c, table.functions, table.columns.start, table.log_prior, float(contrast_std),
            log_table,
        )  # fmt: skip
        entries[:, m] = categorical(rng.random((n,)), log_table)
        c[:, table.columns] = table.functions[entries[:, m]]
    linear = np.einsum("nq,nq->n", c, b)
    square = np.maximum(np.einsum("nq,nqr,nr->n", c, g, c, optimize=True), 0.0)
    a = contrasts(rng.random((n,)), linear, square, contrast_std)
    found = [t.states[own] for t, own in zip(tables, entries.T, strict=True)]
    states = np.concatenate([np.zeros((n, 0)), *found], axis=1)
    return StateDraw(entries, c, a, a * linear - 0.5 * a**2 * square, states)


def spread_states(
    rng: np.random.Generator, tables: tuple[StateTable, ...], entries: Int64
) -> Float64:
    """States of drawn entries, evenly over the part of [0, 1] that each entry stands for.

    A table is a density that is constant in its parts; classes stay where they are.

    Returns
    -------
    (n, d) float64 ndarray
        Components side by side.
    """
    columns = []
    for m, table in enumerate(tables):
        states = table.states[entries[:, m]]
        kinds = table.kinds or ("interval",) * states.shape[1]
        for axis, kind in enumerate(kinds):
            own = states[:, axis]
            if kind != "class":
                width = 1.0 / len(np.unique(table.states[:, axis]))
                own = own + width * (rng.random(len(own)) - 0.5)
                own = own % 1.0 if kind == "circle" else np.clip(own, 0.0, 1.0)
            columns.append(own)
    return np.stack(columns, axis=1) if columns else np.zeros((len(entries), 0))

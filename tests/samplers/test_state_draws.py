import numpy as np
import pytest
from scipy.stats import kstest

from napari_hypermol.posterior.states import StateTable, table_posterior
from napari_hypermol.samplers import state_draws as module
from napari_hypermol.samplers.state_draws import draw_states, spread_states

N = 6000  # particles, all alike: their draws are draws of one posterior


def tables(m):
    """m components of 6 states and 2 functions each, after a rigid one."""
    states = (np.arange(6)[:, None] + 0.5) / 6
    functions = np.concatenate([np.ones((6, 1)), np.sqrt(2) * np.cos(np.pi * states)], axis=1)
    prior = np.log(np.arange(1, 7) / 21)
    return tuple(
        StateTable(states, functions, prior, slice(1 + 2 * i, 3 + 2 * i)) for i in range(m)
    )


def overlaps(rng, m, strength=1.0, is_alike=False):
    q = 1 + 2 * m
    rows = strength * rng.normal(size=(8, q))
    if is_alike:  # two components seen only by their sum
        rows[:, 3:5] = rows[:, 1:3]
    b = (rows.T @ (rows.sum(axis=1) + rng.normal(size=8))).astype(np.float32)
    return np.tile(b, (N, 1)), np.tile((rows.T @ rows).astype(np.float32), (N, 1, 1))


def joint(b, g, parts, std):
    """Probabilities of all joint states by summing over a fine grid of contrasts; (6, ...)."""
    a = np.linspace(1e-4, 1 + 8 * std, 4001)
    prior = -0.5 * ((a - 1) / std) ** 2
    out = np.zeros((6,) * len(parts))
    for entries in np.ndindex(out.shape):
        c = np.ones(len(b))
        log_prior = 0.0
        for entry, table in zip(entries, parts, strict=True):
            c[table.columns] = table.functions[entry]
            log_prior += table.log_prior[entry]
        out[entries] = (
            np.exp(log_prior) * np.exp(a * (c @ b) - 0.5 * a**2 * (c @ g @ c) + prior).sum()
        )
    return out / out.sum()


def frequencies(entries):
    counts = np.zeros((6,) * entries.shape[1])
    np.add.at(counts, tuple(entries.T), 1)
    return counts / len(entries)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_draws_have_the_joint_posterior(rng, m):
    b, g = overlaps(rng, m, 0.5)
    drawn = draw_states(rng, b, g, tables(m), 0.3)
    if m == 3:  # one after the other: a few rounds more
        for _ in range(10):
            drawn = draw_states(rng, b, g, tables(m), 0.3, drawn.entries)
    expected = joint(b[0].astype(float), g[0].astype(float), tables(m), 0.3)
    # 5 standard errors of every entry, and a draw
    error = abs(frequencies(drawn.entries) - expected)
    np.testing.assert_array_less(error, 5 * np.sqrt(expected / N) + 1 / N)


def test_two_states_are_drawn_jointly(rng, monkeypatch):
    """Without the other's marginal it would be a draw given a state that is no draw."""
    b, g = overlaps(rng, 2, 0.8, is_alike=True)
    monkeypatch.setattr(module, "MAX_ENTRIES", 0)
    monkeypatch.setattr(module, "_FIRST_ROUNDS", 1)
    drawn = draw_states(rng, b, g, tables(2), 0.3, np.zeros((N, 2), dtype=np.int64))
    expected = joint(b[0].astype(float), g[0].astype(float), tables(2), 0.3)
    wrong = abs(frequencies(drawn.entries) - expected) > 5 * np.sqrt(expected / N) + 1 / N
    assert wrong.any()


def test_contrasts_go_with_states(rng):
    b, g = overlaps(rng, 1)
    drawn = draw_states(rng, b, g, tables(1), 0.3)
    posterior = table_posterior(b[:1], g[:1], tables(1), 0.3)
    error = drawn.contrasts.mean() - posterior.contrast_mean[0]
    assert abs(error) < 5 * posterior.contrast_std[0] / np.sqrt(N)
    moment = (drawn.contrasts[:, None] * drawn.c).mean(axis=0)
    np.testing.assert_allclose(moment, posterior.first[0], atol=0.05)
    linear, square = drawn.c @ b[0], np.einsum("nq,qr,nr->n", drawn.c, g[0], drawn.c)
    expected = drawn.contrasts * linear - 0.5 * drawn.contrasts**2 * square
    np.testing.assert_allclose(drawn.log_likelihood, expected, rtol=1e-5, atol=1e-5)


def test_nothing_to_draw(rng):
    b, g = overlaps(rng, 0)
    drawn = draw_states(rng, b, g, (), 0.0)
    assert drawn.entries.shape == (N, 0)
    np.testing.assert_array_equal(drawn.contrasts, 1)
    assert spread_states(rng, (), drawn.entries).shape == (N, 0)


def test_states_fill_their_part_of_the_table(rng):
    (table,) = tables(1)
    entries = rng.integers(0, 6, size=(N, 1))
    spread = spread_states(rng, (table,), entries)
    assert kstest(spread[:, 0], "uniform").pvalue > 1e-4
    assert abs(spread - table.states[entries[:, 0]]).max() <= 1 / 12
    kinds = spread_states(rng, (table._replace(kinds=("class",)),), entries)
    np.testing.assert_array_equal(kinds, table.states[entries[:, 0]])
    turned = table._replace(states=table.states - 1 / 12, kinds=("circle",))
    circle = spread_states(rng, (turned,), entries)
    assert 0 <= circle.min() < 0.01 < 0.99 < circle.max() < 1

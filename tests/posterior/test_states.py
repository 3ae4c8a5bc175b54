import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import cosine_plane
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.posterior.states import StateTable, contrast_moments, table_posterior
from oracles.state_posterior import contrast_integrals, state_posterior
from strategies import seeds


def table(rng, basis, n, start):
    """A grid of random states with a prior that is not flat."""
    states = rng.uniform(size=(n, basis.dims))
    log_prior = rng.normal(size=n)
    columns = slice(start, start + basis.n_functions)
    return StateTable(states, basis.evaluate(states), log_prior, columns)


def overlaps(rng, n, n_q, strength):
    """b and G of n particles; G positive semi-definite."""
    roots = rng.normal(size=(n, n_q, n_q + 2))
    g = strength * roots @ np.swapaxes(roots, 1, 2) / n_q
    b = strength * rng.normal(size=(n, n_q))
    return b.astype(np.float32), g.astype(np.float32)


# Rigid columns first, between, last, or none; one and two components; a two-dimensional state.
CASES = {
    "one": (3, [(1, 2, 4, 0)]),
    "one and rigid": (5, [(1, 2, 4, 1)]),
    "two": (5, [(1, 2, 4, 0), (1, 1, 3, 3)]),
    "two and rigid between": (7, [(1, 2, 4, 1), (1, 1, 3, 5)]),
    "two in the other order": (6, [(1, 1, 3, 4), (1, 2, 4, 1)]),
    "plane": (5, [(2, 1, 5, 1)]),
    "plane and line": (7, [(2, 1, 5, 1), (1, 2, 3, 4)]),
    "none": (2, []),
}


@pytest.mark.parametrize("contrast_std", [0.0, 0.2])
@pytest.mark.parametrize("case", CASES)
def test_tables_against_brute_force(rng, case, contrast_std):
    n, (n_q, components) = 2, CASES[case]
    tables = tuple(
        table(rng, CosineBasis(degree) if dims == 1 else cosine_plane(degree), size, start)
        for dims, degree, size, start in components
    )
    b, g = overlaps(rng, n, n_q, strength=2.0)
    found = table_posterior(b, g, tables, contrast_std)
    plain = [(t.functions, t.log_prior, t.columns) for t in tables]
    for i in range(n):
        answer = state_posterior(b[i].astype(float), g[i].astype(float), plain, contrast_std)
        np.testing.assert_allclose(found.contrast_mean[i], answer.contrast_mean, rtol=1e-6)
        np.testing.assert_allclose(found.contrast_std[i], answer.contrast_std, rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(found.first[i], answer.first, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.second[i], answer.second, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.log_evidence[i], answer.log_evidence, rtol=1e-6)
        at = 0
        for t, marginal, ours in zip(tables, answer.marginals, found.tables, strict=True):
            np.testing.assert_allclose(ours[i], marginal, atol=1e-6)
            mean = marginal @ t.states
            std = np.sqrt(marginal @ t.states**2 - mean**2)
            columns = slice(at, at := at + t.states.shape[1])
            np.testing.assert_allclose(found.state_mean[i, columns], mean, rtol=1e-5)
            np.testing.assert_allclose(found.state_std[i, columns], std, rtol=1e-4, atol=1e-6)


def test_temperature_scales_the_log_likelihood(rng):
    tables = (table(rng, CosineBasis(2), 5, 0),)
    b, g = overlaps(rng, 1, 3, strength=3.0)
    found = table_posterior(b, g, tables, 0.1, temperature=0.3)
    plain = [(tables[0].functions, tables[0].log_prior, tables[0].columns)]
    answer = state_posterior(b[0].astype(float), g[0].astype(float), plain, 0.1, temperature=0.3)
    np.testing.assert_allclose(found.tables[0][0], answer.marginals[0], atol=1e-6)


def test_strong_data_find_the_state(rng):
    """b and G of a noise-free particle: the posterior sits at its true state and contrast."""
    basis = CosineBasis(3)
    states = (np.arange(32)[:, None] + 0.5) / 32
    grid = StateTable(states, basis.evaluate(states), np.full(32, -np.log(32)), slice(0, 4))
    roots = rng.normal(size=(4, 9))
    g = (200 * roots @ roots.T)[None]
    c = grid.functions[[7]]
    b = 0.9 * np.einsum("nqp,np->nq", g, c)
    found = table_posterior(b.astype(np.float32), g.astype(np.float32), (grid,), 0.3)
    assert found.tables[0][0, 7] > 0.99
    assert found.contrast_mean[0] == pytest.approx(0.9, abs=0.01)
    np.testing.assert_allclose(found.first[0], 0.9 * c[0], rtol=0.02, atol=1e-3)


# Contrasts from the usual case down to one that the data want deeply negative: -5 and -30 in
# units of its own standard deviation are where the formula changes.
@pytest.mark.parametrize("std", [0.05, 0.3])
@pytest.mark.parametrize("centre", [30.0, 8.1, 7.9, 3, 0, -3, -4.9, -5.1, -12, -29, -31, -300])
def test_contrast_moments_by_quadrature(std, centre):
    square = 400.0
    precision = square + 1 / std**2
    linear = centre * np.sqrt(precision) - 1 / std**2
    log_evidence, mean, mean_square = contrast_integrals(linear, square, std)
    found = contrast_moments(linear, square, std)
    np.testing.assert_allclose(found[0], log_evidence, rtol=1e-8, atol=1e-7)
    np.testing.assert_allclose(found[1], mean, rtol=1e-6)
    np.testing.assert_allclose(found[2], mean_square, rtol=1e-5)


@given(st.floats(-1e5, 1e5), st.floats(0, 1e5), st.floats(0.01, 1))
def test_contrast_moments_are_moments(linear, square, std):
    log_evidence, mean, mean_square = contrast_moments(linear, square, std)
    assert np.isfinite(log_evidence)
    assert mean > 0
    assert mean_square >= mean**2 * (1 - 1e-6)


def test_known_contrast_is_one():
    assert contrast_moments(3.0, 4.0, 0.0) == (1.0, 1.0, 1.0)


@settings(max_examples=20)
@given(seeds)
def test_second_moments_are_covariances(seed):
    """E[a^2 c c^T] - E[a c] E[a c]^T has no negative direction: the solve needs it."""
    rng = np.random.default_rng(seed)
    tables = (table(rng, CosineBasis(2), 4, 1), table(rng, CosineBasis(1), 4, 4))
    b, g = overlaps(rng, 3, 6, strength=float(rng.uniform(0.1, 100)))
    found = table_posterior(b, g, tables, 0.2)
    outer = np.einsum("nq,nr->nqr", found.first, found.first)
    lowest = np.linalg.eigvalsh(found.second.astype(float) - outer).min()
    assert lowest > -1e-5 * abs(found.second).max()
    for marginal in found.tables:
        np.testing.assert_allclose(marginal.sum(axis=1), 1, rtol=1e-5)


def test_permuting_particles_permutes_results(rng):
    tables = (table(rng, CosineBasis(2), 4, 1), table(rng, CosineBasis(1), 4, 4))
    b, g = overlaps(rng, 4, 6, strength=2.0)
    order = [2, 0, 3, 1]
    found, shuffled = (
        table_posterior(x, y, tables, 0.2) for x, y in ((b, g), (b[order], g[order]))
    )
    np.testing.assert_array_equal(shuffled.second, found.second[order])
    np.testing.assert_array_equal(shuffled.state_mean, found.state_mean[order])

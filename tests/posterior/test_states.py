import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import cosine_plane
from napari_hypermol.backend import as_numpy
from napari_hypermol.bases.classes import ClassBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.bases.product import ProductBasis
from napari_hypermol.posterior.states import (
    StateTable,
    contrast_moments,
    state_moments,
    table_posterior,
)
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


# ---- one number for each kind of state -----------------------------------------------------------


def table_of(basis, n=24):
    states = basis.table(n)
    log_prior = np.full(len(states), -np.log(len(states)))
    columns = slice(0, basis.n_functions)
    return StateTable(states, basis.evaluate(states), log_prior, columns, basis.kinds)


def test_circular_mean_does_not_know_where_the_circle_was_cut():
    grid = table_of(FourierBasis(1), 100)
    weights = []
    for middle in (0.3, 0.0, 0.98):
        away = (grid.states[:, 0] - middle + 0.5) % 1 - 0.5
        weights.append(np.exp(-((away / 0.03) ** 2) / 2))
    posterior = np.array(weights)
    posterior /= posterior.sum(axis=1, keepdims=True)
    mean, std = state_moments(posterior, grid)
    assert ((mean >= 0) & (mean < 1)).all()
    away = (mean[:, 0] - [0.3, 0.0, 0.98] + 0.5) % 1 - 0.5
    np.testing.assert_allclose(away, 0, atol=1e-6)
    np.testing.assert_allclose(std[:, 0], 0.03, rtol=0.01)  # narrow: that of the line


def test_circular_spread_is_at_most_that_of_the_uniform_density():
    grid = table_of(FourierBasis(1), 64)
    opposite = np.zeros(64)
    opposite[[0, 32]] = 0.5
    _, std = state_moments(np.array([np.full(64, 1 / 64), opposite]), grid)
    np.testing.assert_allclose(std[:, 0], np.sqrt(1 / 12))


def test_a_class_is_the_most_probable_one_and_the_doubt_about_it():
    grid = table_of(ClassBasis(3))
    mean, std = state_moments(np.array([[0.1, 0.2, 0.7], [0.5, 0.4, 0.1], [1.0, 0, 0]]), grid)
    np.testing.assert_allclose(mean[:, 0], [5 / 6, 1 / 6, 1 / 6])
    np.testing.assert_allclose(std[:, 0], [0.3, 0.5, 0], atol=1e-12)


def test_moments_of_mixed_states_are_those_of_the_marginals(rng):
    grid = table_of(ProductBasis(ClassBasis(2), FourierBasis(1), 1))
    posterior = rng.dirichlet(np.ones(len(grid.states)), size=4)
    mean, std = state_moments(posterior, grid)
    for i in range(4):
        by_class, resultant = {}, 0j
        for p, (one, two) in zip(posterior[i], grid.states, strict=True):
            by_class[one] = by_class.get(one, 0.0) + p
            resultant += p * np.exp(2j * np.pi * two)
        best = max(by_class, key=by_class.get)
        assert mean[i, 0] == best
        assert std[i, 0] == pytest.approx(1 - by_class[best])
        angle = np.angle(resultant) / (2 * np.pi) % 1
        spread = np.sqrt(-2 * np.log(abs(resultant))) / (2 * np.pi)
        assert mean[i, 1] == pytest.approx(angle)
        assert std[i, 1] == pytest.approx(min(spread, np.sqrt(1 / 12)))


def test_kinds_that_are_not_said_are_intervals(rng):
    grid = table_of(FourierBasis(1))
    posterior = rng.dirichlet(np.ones(24), size=3)
    mean, std = state_moments(posterior, grid._replace(kinds=()))
    values = grid.states[:, 0]
    np.testing.assert_allclose(mean[:, 0], posterior @ values)
    square = (posterior * (values - mean) ** 2).sum(axis=1)
    np.testing.assert_allclose(std[:, 0], np.sqrt(square))


# ---- what is negligible --------------------------------------------------------------------------


def placed_tables(rng):
    """A component at 8 positions, each with its own column, and a shape with two functions."""
    states = (np.arange(8)[:, None] + 0.5) / 8
    one = StateTable(states, np.eye(8), np.full(8, -np.log(8)), slice(1, 9))
    return (one, table(rng, CosineBasis(1), 5, 9))


def test_negligible_states_are_left_out_and_the_rest_is_normalised(rng):
    tables, limit = placed_tables(rng), 1e-2
    b, g = overlaps(rng, 6, 11, strength=6.0)
    whole = table_posterior(b, g, tables, 0.2)
    found = table_posterior(b, g, tables, 0.2, negligible=limit)
    np.testing.assert_array_equal(found.log_evidence, whole.log_evidence)
    for marginal in found.tables:
        np.testing.assert_allclose(marginal.sum(axis=1), 1, rtol=1e-6)
    left_out = found.tables[0] == 0
    assert left_out.any()
    assert (found.first[:, 1:9][left_out] == 0).all()
    diagonal = np.einsum("nqq->nq", found.second)
    assert (diagonal[:, 1:9][left_out] == 0).all()
    # 40 entries of at most `limit` each could be missing; that much can a probability be off
    np.testing.assert_allclose(found.tables[0], whole.tables[0], atol=40 * limit)
    assert (whole.tables[0][left_out] < 5 * limit).all()
    likely = whole.tables[0].max(axis=1) > 40 * limit
    assert (found.tables[0].argmax(axis=1) == whole.tables[0].argmax(axis=1))[likely].all()


def test_first_moments_stay_those_of_the_table(rng):
    """With the contrast known, E[c] of a position is its probability, whatever was left out."""
    tables = placed_tables(rng)
    b, g = overlaps(rng, 6, 11, strength=6.0)
    found = table_posterior(b, g, tables, 0.0, negligible=1e-2)
    np.testing.assert_allclose(found.first[:, 1:9], found.tables[0], atol=1e-6)
    np.testing.assert_allclose(found.contrast_mean, 1, atol=1e-12)
    diagonal = np.einsum("nqq->nq", found.second)[:, 1:9]
    np.testing.assert_allclose(diagonal, found.tables[0], atol=1e-6)


def test_nothing_is_negligible_by_default(rng):
    tables = placed_tables(rng)
    b, g = overlaps(rng, 4, 11, strength=3.0)
    one, two = (table_posterior(b, g, tables, 0.2, **more) for more in ({}, {"negligible": 0.0}))
    np.testing.assert_array_equal(one.second, two.second)
    plain = [(t.functions, t.log_prior, t.columns) for t in tables]
    answer = state_posterior(b[0].astype(float), g[0].astype(float), plain, 0.2)
    np.testing.assert_allclose(one.first[0], answer.first, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(one.second[0], answer.second, rtol=1e-4, atol=1e-6)


def same_on_device(cupy, found, expected):
    """Every field, to rounding of the table's sums; single precision where it is given so."""
    for name in expected._fields:
        mine, theirs = getattr(found, name), getattr(expected, name)
        if name == "tables":
            assert len(mine) == len(theirs)
        else:
            mine, theirs = (mine,), (theirs,)
        for one, other in zip(mine, theirs, strict=True):
            assert isinstance(one, cupy.ndarray), name
            assert one.dtype == other.dtype, name
            rtol = 1e-6 if other.dtype == np.float32 else 1e-9
            # a spread is a difference of squares: 1e-16 of them is 1e-8 of it
            atol = 1e-7 if name.endswith("std") else 1e-12
            np.testing.assert_allclose(
                as_numpy(one),
                other,
                rtol,
                max(atol, rtol * abs(other).max(initial=0)),
                err_msg=name,
            )


@pytest.mark.parametrize("contrast_std", [0.0, 0.2])
@pytest.mark.parametrize("case", CASES)
def test_tables_on_a_device(cupy, rng, case, contrast_std):
    n_q, components = CASES[case]
    tables = tuple(
        table(rng, CosineBasis(degree) if dims == 1 else cosine_plane(degree), size, start)
        for dims, degree, size, start in components
    )
    b, g = overlaps(rng, 3, n_q, strength=2.0)
    there = cupy.asarray(b), cupy.asarray(g)
    for options in ((contrast_std,), (contrast_std, 0.3), (contrast_std, 1.0, 1e-2)):
        expected = table_posterior(b, g, tables, *options)
        same_on_device(cupy, table_posterior(*there, tables, *options), expected)


def test_kinds_of_states_on_a_device(cupy, rng):
    kinds = ("circle", "interval", "class")
    states = np.stack(np.meshgrid(*[np.arange(3) / 3] * 3), axis=-1).reshape(-1, 3)
    of = StateTable(states, np.zeros((27, 1)), np.zeros(27), slice(0, 1), kinds)
    posterior = rng.dirichlet(np.ones(27), size=4)
    found = state_moments(cupy.asarray(posterior), of)
    for one, other in zip(found, state_moments(posterior, of), strict=True):
        assert isinstance(one, cupy.ndarray)
        np.testing.assert_allclose(as_numpy(one), other, atol=1e-12)

import numpy as np
import pytest

from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.posterior.states import StateTable, table_posterior
from napari_hypermol.samplers.gibbs import gibbs_posterior

COPIES = 200  # independent chains of one particle: their spread is the Monte-Carlo error


def grid(basis, n, start):
    states = np.random.default_rng(start).uniform(size=(n, basis.dims))
    columns = slice(start, start + basis.n_functions)
    return StateTable(states, basis.evaluate(states), np.full(n, -np.log(n)), columns)


TABLES = (grid(CosineBasis(2), 8, 1), grid(CosineBasis(1), 6, 4))


@pytest.fixture(scope="module")
def particle():
    """b and G of one particle whose two states depend on one another; column 0 is rigid."""
    rng = np.random.default_rng(50)  # of 200 seeds the one with the strongest coupling
    roots = rng.normal(size=(6, 9))
    g = 0.3 * roots @ roots.T
    b = 0.5 * rng.normal(size=6)
    return b.astype(np.float32)[None], g.astype(np.float32)[None]


def chains(particle, contrast_std, seed=0, **settings):
    b, g = (np.repeat(x, COPIES, axis=0) for x in particle)
    return gibbs_posterior(np.random.default_rng(seed), b, g, TABLES, contrast_std, **settings)


def standard_scores(found, expected):
    """Distance of the chains' mean from the truth, in standard errors of that mean."""
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    # 1e-6: what no draw moves has no spread, and float32 sums differ by that
    return (found.mean(axis=0) - expected) / (error + 1e-6)


@pytest.mark.parametrize("contrast_std", [0.0, 0.2])
def test_gibbs_agrees_with_the_joint_table(particle, contrast_std):
    exact = table_posterior(*particle, TABLES, contrast_std)
    found = chains(particle, contrast_std)
    # Some 60 numbers are compared: the largest of 60 normal scores exceeds 4.5 once in 2000 seeds.
    for ours, joint in zip(found.tables, exact.tables, strict=True):
        assert abs(standard_scores(ours, joint[0])).max() < 4.5
    for name in ("state_mean", "contrast_mean", "first", "second"):
        scores = standard_scores(getattr(found, name), getattr(exact, name)[0])
        assert abs(scores).max() < 4.5, name


def test_states_depend_on_one_another(particle):
    """Else the comparison above would test nothing: the joint table is far from the product."""
    exact = table_posterior(*particle, TABLES, 0.0)
    arm, other = exact.second[0, 1:4, 4:6], np.outer(exact.first[0, 1:4], exact.first[0, 4:6])
    assert abs(arm - other).max() > 0.5


def test_a_wrong_target_is_noticed(particle):
    b, g = particle
    wrong = table_posterior(0.9 * b, g, TABLES, 0.2)
    scores = standard_scores(chains(particle, 0.2).tables[0], wrong.tables[0][0])
    assert abs(scores).max() > 6


def test_one_component_is_exact(particle):
    """Its conditional is its posterior, whatever is drawn."""
    b, g = (x[:, :4] for x in particle)
    g = np.ascontiguousarray(g[:, :, :4])
    b = np.ascontiguousarray(b)
    exact = table_posterior(b, g, TABLES[:1], 0.2)
    found = gibbs_posterior(np.random.default_rng(0), b, g, TABLES[:1], 0.2, burn_in=1, sweeps=3)
    for name in ("state_mean", "state_std", "contrast_mean", "contrast_std", "log_evidence"):
        np.testing.assert_allclose(getattr(found, name), getattr(exact, name), rtol=1e-5)
    np.testing.assert_allclose(found.second, exact.second, rtol=1e-5, atol=1e-6)


def test_same_seed_same_draws_and_another_seed_others(particle):
    one, two, other = (chains(particle, 0.2, seed).first for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_more_sweeps_less_error(particle):
    short, long = (chains(particle, 0.2, sweeps=n).tables[0].std(axis=0).max() for n in (8, 128))
    # sixteen times the sweeps: a quarter of the error, if draws forget quickly
    assert long < 0.5 * short


def test_three_components(particle):
    """More than a joint table holds: moments are consistent with one another."""
    rng = np.random.default_rng(4)
    roots = rng.normal(size=(2, 8, 10))
    g = (roots @ np.swapaxes(roots, 1, 2)).astype(np.float32)
    b = rng.normal(size=(2, 8)).astype(np.float32)
    tables = (*TABLES, grid(CosineBasis(1), 5, 6))
    found = gibbs_posterior(rng, b, g, tables, 0.1)
    assert found.state_mean.shape == (2, 3)
    for marginal in found.tables:
        np.testing.assert_allclose(marginal.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found.first[:, 0], found.contrast_mean, rtol=1e-5)  # rigid: c = 1
    mean_square = found.contrast_mean**2 + found.contrast_std**2
    np.testing.assert_allclose(found.second[:, 0, 0], mean_square, rtol=1e-5)
    np.testing.assert_allclose(found.second, np.swapaxes(found.second, 1, 2), rtol=1e-5)

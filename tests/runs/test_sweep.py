import numpy as np
import pytest

from examples import cosine_plane, one_ball, pretzel_like, scene
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.runs.coefficient_step import maximisation
from napari_hypermol.runs.sweep import (
    edge_share,
    expectation,
    kindled_mixing,
    state_tables,
)
from small_problems import Simulated, problem_of


def quadratic_prior(molecule, theta, spectra):
    """theta . S^-1 theta of every coefficient set."""
    total = 0.0
    for basis, part, spectrum in zip(molecule.bases, molecule.split(theta), spectra, strict=True):
        filtered = basis.filter(part, (1 / spectrum.T).astype(np.float32))
        total += float(np.sum(part.astype(np.float64) * filtered))
    return total


def test_penalised_likelihood_never_falls(rng):
    """Expectation maximisation with fixed spectra and noise, whatever the solve leaves undone."""
    made = Simulated(rng, 60)
    molecule, tables = made.here.molecule, state_tables(made.here.molecule)
    start = (0.3 * rng.normal(size=molecule.n_coefficients)).astype(np.float32)
    estimate, objective = made.estimate._replace(theta=start), []
    for _ in range(6):
        posterior = expectation(made.problem, estimate, tables, rng)
        prior = quadratic_prior(molecule, estimate.theta, estimate.spectra)
        objective.append(posterior.log_evidence.sum() - 0.5 * prior)
        solved, _ = maximisation(made.problem, estimate, posterior, 3)
        estimate = estimate._replace(theta=solved.theta)
    rounding = 1e-5 * abs(np.array(objective)).max()  # float32 overlaps
    assert (np.diff(objective) > -rounding).all()
    assert objective[-1] - objective[0] > 100 * rounding


def test_true_molecule_reads_true_states(rng):
    made = Simulated(rng, 80)
    tables = state_tables(made.here.molecule)
    posterior = expectation(made.problem, made.estimate, tables, rng)
    z = (posterior.state_mean - made.states) / np.maximum(posterior.state_std, 1e-2)
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1, abs=0.3)  # as wrong as it says it is


def test_kindling_lifts_weak_functions_only(rng):
    made = Simulated(rng, 30)
    tables = state_tables(made.here.molecule)
    strong = expectation(made.problem, made.estimate, tables, rng)
    same = expectation(made.problem, made.estimate, tables, rng, kindling=1e-6)
    np.testing.assert_array_equal(same.state_mean, strong.state_mean)
    parts = made.here.molecule.split(made.theta.copy())
    for part in parts:
        part[1:] *= 1e-3
    weak = made.estimate._replace(theta=np.concatenate([p.ravel() for p in parts]))
    unlit = expectation(made.problem, weak, tables, rng)
    lit = expectation(made.problem, weak, tables, rng, kindling=1e3)
    assert unlit.state_std.mean() > 0.28  # 1 / sqrt(12): nothing to tell states apart by
    assert lit.state_std.mean() < 0.1


def test_new_noise_is_as_if_whitened_with_it(rng):
    made = Simulated(rng, 10)
    new = made.noise * rng.uniform(0.5, 2, made.noise.shape)
    found = made.problem.with_noise(made.noise, new)
    ratio = (made.noise / new)[made.images.groups][:, made.here.samples.shells]
    np.testing.assert_allclose(found.images.weights, made.images.weights * ratio, rtol=1e-5)
    np.testing.assert_allclose(
        found.images.data, made.images.data * ratio[:, None], rtol=1e-5, atol=1e-7
    )
    again = problem_of(made.here, found.images)
    np.testing.assert_allclose(found.mean_weights, again.mean_weights, rtol=1e-5)


def test_edge_share_is_how_much_of_it_is_data(rng):
    shares = []
    for amplitude in (1e-3, 1.0, 1e3):
        made = Simulated(rng, 40, amplitude=amplitude)
        shares.append(edge_share(made.problem, made.estimate, made.moments))
    assert shares[0] < 0.01
    assert shares[0] < shares[1] < shares[2]
    assert 0.99 < shares[2] <= 1


def test_tables_are_midpoints_of_the_range():
    one, two = state_tables(pretzel_like(16).discretise(6), n_states=10)
    np.testing.assert_allclose(one.states[:, 0], (np.arange(10) + 0.5) / 10)
    np.testing.assert_allclose(np.exp(one.log_prior).sum(), 1)
    assert one.columns == slice(1, 4)
    assert two.columns == slice(4, 7)
    assert state_tables(pretzel_like(16).discretise(6, 0)) == ()


def test_tables_of_two_dimensions():
    composite = one_ball(12)
    (component,) = composite.components
    plane = Component("plane", component.support, cosine_plane(2))
    (table,) = state_tables(Composite([plane], 12).discretise(4))
    assert table.states.shape == (256, 2)
    assert table.functions.shape == (256, 6)
    assert {tuple(s) for s in table.states[:2]} == {(1 / 32, 1 / 32), (1 / 32, 3 / 32)}


# ---- kindling several functions ------------------------------------------------------------------


def weak_overlaps(rng, strengths, n=200):
    """G (n, q, q): column 0 by itself, the others mixtures of directions of these strengths."""
    q = len(strengths)
    axes = np.eye(q)
    axes[1:, 1:] = np.linalg.qr(rng.normal(size=(q - 1, q - 1)))[0]
    axes *= np.sqrt(strengths)
    rows = rng.normal(size=(n, 5, q)) @ axes.T
    return np.einsum("nkq,nkr->nqr", rows, rows).astype(np.float32)


def lifted(g, mixing):
    return mixing.T.astype(np.float64) @ g.mean(axis=0, dtype=np.float64) @ mixing


def test_weak_functions_become_equally_strong_and_independent(rng):
    molecule = scene(one_ball(12, degree=3), 4).molecule
    g = weak_overlaps(rng, np.array([50.0, 1e-2, 3e-3, 5e-4]))
    mixing = kindled_mixing(molecule, g, 3.0)
    found = lifted(g, mixing)[1:, 1:]
    before = g.mean(axis=0)[1:, 1:]
    assert before[0, 1] ** 2 > 0.1 * before[0, 0] * before[1, 1]  # they were correlated
    np.testing.assert_allclose(found, np.eye(3), atol=1e-3)  # trace 3
    assert mixing.dtype == np.float32
    np.testing.assert_array_equal(mixing[0], [1, 0, 0, 0])  # the mean molecule is left alone
    np.testing.assert_array_equal(mixing[:, 0], [1, 0, 0, 0])


def test_a_single_weak_function_is_multiplied(rng):
    molecule = scene(one_ball(12, degree=1), 4).molecule
    g = weak_overlaps(rng, np.array([50.0, 1e-3]))
    mixing = kindled_mixing(molecule, g, 3.0)
    factor = np.sqrt(3.0 / g[:, 1, 1].mean(dtype=np.float64))
    np.testing.assert_allclose(mixing, np.diag([1, factor]), rtol=1e-5)


def test_strong_functions_are_read_as_they_are(rng):
    molecule = scene(one_ball(12, degree=3), 4).molecule
    g = weak_overlaps(rng, np.array([50.0, 2.0, 1.5, 1.0]))
    assert np.trace(g.mean(axis=0)[1:, 1:]) > 3.0
    np.testing.assert_array_equal(kindled_mixing(molecule, g, 3.0), np.eye(4))


def test_functions_that_are_nothing_stay_nothing():
    molecule = scene(one_ball(12, degree=2), 4).molecule
    np.testing.assert_array_equal(
        kindled_mixing(molecule, np.zeros((5, 3, 3), np.float32), 3.0), np.eye(3)
    )


def test_components_are_kindled_apart_and_circles_not_at_all(rng):
    ball = Ball((0, 0, 0), 3.6, 1.0)
    composite = Composite(
        (
            Component("circle", ball, FourierBasis(1)),
            Component("range", ball, CosineBasis(2)),
            Component("still", ball, ConstantBasis()),
        ),
        12,
    )
    molecule = composite.discretise(4.0)
    g = weak_overlaps(rng, np.full(7, 1e-2))
    mixing = kindled_mixing(molecule, g, 3.0)
    kindled = np.zeros((7, 7), dtype=bool)
    kindled[4:6, 4:6] = True  # columns: three of the circle, three of the range, one
    np.testing.assert_array_equal(mixing[~kindled], np.eye(7)[~kindled])
    np.testing.assert_allclose(lifted(g, mixing)[4:6, 4:6], 1.5 * np.eye(2), rtol=1e-3, atol=1e-3)


def test_a_direction_in_which_nothing_varies_is_no_fuel(rng):
    """A function a millionth as strong as another is lifted by no more than a thousandth of it."""
    molecule = scene(one_ball(12, degree=2), 4).molecule
    g = np.zeros((4, 3, 3), dtype=np.float32)
    g[:, 1, 1], g[:, 2, 2] = 1e-2, 1e-8
    found = np.diag(lifted(g, kindled_mixing(molecule, g, 3.0)))
    np.testing.assert_allclose(found[1:], [1.5, 1.5e-3], rtol=1e-3)


# ---- further priors ------------------------------------------------------------------------------

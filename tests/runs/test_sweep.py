import numpy as np
import pytest

from examples import cosine_plane, one_ball, pretzel_like, random_data, random_rotations, scene
from napari_hypermol.imaging import projector
from napari_hypermol.imaging.forward import shell_sums
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.sweep import (
    Estimate,
    StageProblem,
    edge_share,
    expectation,
    maximisation,
    state_tables,
    updated_noise,
)
from oracles.dft import cube_points
from oracles.normal_equations import dense_equations
from oracles.stationary_prior import stationary_precision


def problem_of(here, images):
    """A stage's problem on given images, with the mean weights that go with them."""
    n_shells = images.power.shape[1]
    fill = np.maximum(np.bincount(here.samples.shells, here.samples.weights, n_shells), 1e-12)
    mean_weights = shell_sums(images.weights, here.samples, n_shells) / fill
    return StageProblem(images, here.molecule, here.samples, mean_weights, 3.0)


def posterior_of(first, second):
    """Moments without the rest."""
    n = len(first)
    nothing, ones = np.zeros((n, 0)), np.ones(n)
    return ParticlePosterior(
        nothing, nothing, ones, 0 * ones,
        first.astype(np.float32), second.astype(np.float32), 0 * ones, (),
    )  # fmt: skip


def test_maximisation_solves_the_regularised_normal_equations(rng):
    n, box_size = 12, 12
    here = scene(one_ball(box_size), 4)
    (basis,), images = here.molecule.bases, random_data(rng, n, here.samples)
    c = rng.normal(size=(n, 2))
    first, second = c, np.einsum("nq,nr->nqr", c, c) + 0.1 * np.eye(2)
    spectra = rng.uniform(5, 50, size=(2, basis.n_shells))
    points = cube_points(basis.size, basis.edge / basis.size)
    masses = basis.mask.ravel()[basis.inside] * (basis.edge / basis.size) ** 3
    data = images.data[:, 0] + 1j * images.data[:, 1]
    frequencies = list(zip(here.samples.kx, here.samples.ky, strict=True))
    matrix, right = dense_equations(
        points[basis.inside], masses, images.rotations, frequencies, box_size, images.weights,
        data, first, second,
    )  # fmt: skip
    k = basis.n_coefficients
    for q in range(2):
        block = slice(q * k, (q + 1) * k)
        matrix[block, block] += stationary_precision(basis.size, basis.inside, spectra[q])
    expected = np.linalg.solve(matrix, right)
    start = Estimate(here.molecule.zeros(), [spectra], np.ones((1, images.power.shape[1])), 0.1)
    found, info = maximisation(
        problem_of(here, images), start, posterior_of(first, second), 300, 1e-6
    )
    assert info.residual < 1e-5
    error = np.linalg.norm(found.theta - expected) / np.linalg.norm(expected)
    assert error < 0.03  # the projector's 1 % on both sides of the equation


def quadratic_prior(molecule, theta, spectra):
    """theta . S^-1 theta of every coefficient set."""
    total = 0.0
    for basis, part, spectrum in zip(molecule.bases, molecule.split(theta), spectra, strict=True):
        filtered = basis.filter(part, (1 / spectrum.T).astype(np.float32))
        total += float(np.sum(part.astype(np.float64) * filtered))
    return total


class Simulated:
    """Images drawn from the model itself: a known molecule, CTF, contrasts, states and noise."""

    def __init__(self, rng, n, premultiplied=False, amplitude=1.0, levels=(1.0, 4.0)):
        here = self.here = scene(pretzel_like(16, degree=1), 6)
        molecule, samples = here.molecule, here.samples
        tables = state_tables(molecule)
        n_k, n_shells = len(samples.kx), int(samples.shells.max()) + 1
        self.theta = (amplitude * rng.normal(size=molecule.n_coefficients)).astype(np.float32)
        contrasts = rng.uniform(0.8, 1.2, n)
        c = np.ones((n, sum(molecule.n_functions)))
        self.states = np.empty((n, len(tables)))
        for axis, table in enumerate(tables):
            drawn = rng.integers(len(table.states), size=n)
            self.states[:, axis] = table.states[drawn, 0]
            c[:, table.columns] = table.functions[drawn]
        self.moments = posterior_of(
            contrasts[:, None] * c, (contrasts**2)[:, None, None] * c[:, :, None] * c[:, None, :]
        )
        groups = np.arange(n) % len(levels)
        self.noise = np.outer(levels, rng.uniform(0.5, 2, n_shells))
        sigma_square = self.noise[groups][:, samples.shells]
        ctf = rng.uniform(0.2, 1, size=(n, n_k)) * rng.choice([-1, 1], size=(n, n_k))
        rotations = random_rotations(rng, n)
        slices = projector.forward(rotations, molecule.grids(self.theta), here.placements, samples)
        normal = rng.normal(size=(2, n, n_k)) * np.sqrt(sigma_square / 2)
        y = ctf * np.einsum("nkq,nq->nk", slices, self.moments.first) + normal[0] + 1j * normal[1]
        scale = samples.weights / sigma_square
        whitened = scale * ctf * y
        once = ctf**2 if premultiplied else np.ones_like(ctf)
        self.images = WhitenedImages(
            data=np.stack([whitened.real, whitened.imag], axis=1).astype(np.float32),
            weights=(scale * ctf**2).astype(np.float32),
            power=shell_sums(samples.weights * once * abs(y) ** 2, samples, n_shells),
            fill=shell_sums(samples.weights * once, samples, n_shells),
            is_premultiplied=np.full(n, premultiplied),
            groups=groups,
            rotations=rotations,
        )
        self.problem = problem_of(here, self.images)
        spectra = [np.full((q, b.n_shells), amplitude**2) for (q, _), b in zip(
            molecule.set_shapes, molecule.bases, strict=True)]  # fmt: skip
        self.estimate = Estimate(self.theta, spectra, self.noise, 0.1)


@pytest.mark.parametrize("premultiplied", [False, True])
def test_true_molecule_and_moments_leave_the_true_noise(rng, premultiplied):
    n = 400
    made = Simulated(rng, n, premultiplied)
    found = updated_noise(made.problem, made.estimate, made.moments)
    samples = made.here.samples
    counts = np.bincount(samples.shells)
    # of a variance from so many complex numbers; those of premultiplied images count unequally
    error = 4 * (1.5 if premultiplied else 1) / np.sqrt(n / 2 * counts)
    assert (abs(found / made.noise - 1) < error + 0.01).all()  # and 1 % of the projector


def test_noise_of_a_group_without_particles_is_kept(rng):
    made = Simulated(rng, 20)
    noise = np.vstack([made.noise, 7 * made.noise[:1]])
    found = updated_noise(made.problem, made.estimate._replace(noise=noise), made.moments)
    np.testing.assert_array_equal(found[2], noise[2])
    assert (found[:2] != noise[:2]).all()


def test_noise_falls_by_nine_tenths_at_most(rng):
    made = Simulated(rng, 20)
    empty = made.images._replace(power=np.zeros_like(made.images.power))
    found = updated_noise(problem_of(made.here, empty), made.estimate, made.moments)
    np.testing.assert_allclose(found, 0.1 * made.noise)


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

import numpy as np
import pytest
from scipy.optimize import minimize

from examples import one_ball, pretzel_like, random_data, scene
from napari_hypermol.posterior.coefficient_priors import Ridge
from napari_hypermol.posterior.density_priors import (
    DensityAtStates,
    NonNegativity,
    SolventFlatness,
    Sparsity,
)
from napari_hypermol.runs import coefficient_step
from napari_hypermol.runs.coefficient_step import maximisation
from napari_hypermol.runs.stage_problem import Estimate
from oracles.dft import cube_points
from oracles.normal_equations import dense_equations
from oracles.stationary_prior import stationary_precision
from small_problems import posterior_of, problem_of


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


def test_brief_steps_lead_to_the_full_solve(rng):
    """With several components the stand-in leaves their overlaps out, yet every step gains."""
    here, n = scene(pretzel_like(16), 6), 60
    molecule, images = here.molecule, random_data(rng, n, here.samples)
    c = rng.normal(size=(n, sum(molecule.n_functions)))
    moments = posterior_of(c, np.einsum("nq,nr->nqr", c, c))
    spectra = [
        np.full(
            (molecule.n_functions[int(np.flatnonzero(molecule.owners == s)[0])], b.n_shells), 20.0
        )
        for s, b in enumerate(molecule.bases)
    ]
    noise = np.ones((1, images.power.shape[1]))
    estimate = Estimate(molecule.zeros(), spectra, noise, 0.1)
    problem = problem_of(here, images)
    full, info = maximisation(problem, estimate, moments, 400, 1e-6)
    assert info.residual <= 1e-6
    left = 1.0
    for _ in range(8):
        brief, _ = maximisation(problem, estimate, moments, 3, is_brief=True)
        before, left = left, relative(brief.theta, full.theta)
        assert left < before
        estimate = estimate._replace(theta=brief.theta)
    assert left < 0.1


class Dense:
    """A tiny problem and its normal equations, entry by entry."""

    def __init__(self, rng):
        self.n, box_size = 12, 12
        self.here = here = scene(one_ball(box_size), 4)
        (self.basis,), self.images = here.molecule.bases, random_data(rng, self.n, here.samples)
        basis, c = self.basis, rng.normal(size=(self.n, 2))
        second = np.einsum("nq,nr->nqr", c, c) + 0.1 * np.eye(2)
        self.moments = posterior_of(c, second)
        self.spectra = rng.uniform(5, 50, size=(2, basis.n_shells))
        spacing = basis.edge / basis.size
        self.voxel = spacing**3
        self.mask = basis.mask.ravel()[basis.inside].astype(np.float64)
        points = cube_points(basis.size, spacing)
        data = self.images.data[:, 0] + 1j * self.images.data[:, 1]
        frequencies = list(zip(here.samples.kx, here.samples.ky, strict=True))
        self.matrix, self.right = dense_equations(
            points[basis.inside], self.mask * self.voxel, self.images.rotations, frequencies,
            box_size, self.images.weights, data, c, second,
        )  # fmt: skip
        k = self.k = basis.n_coefficients
        for q in range(2):
            block = slice(q * k, (q + 1) * k)
            self.matrix[block, block] += stationary_precision(
                basis.size, basis.inside, self.spectra[q]
            )
        noise = np.ones((1, self.images.power.shape[1]))
        self.start = Estimate(here.molecule.zeros(), [self.spectra], noise, 0.1)
        self.problem = problem_of(here, self.images)

    def solved(self, estimate, *priors, tolerance=1e-5):
        found, info = maximisation(
            self.problem, estimate, self.moments, 300, tolerance, further=[list(priors)]
        )
        assert info.residual <= tolerance
        return estimate._replace(theta=found.theta)


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.fixture(scope="module")
def tiny():
    return Dense(np.random.default_rng(4))


def test_further_quadratic_priors_add_to_the_matrix(tiny, rng):
    n, k = tiny.basis.size, tiny.k
    without = tiny.solved(tiny.start)
    scale = without.theta.std()
    outside = rng.uniform(size=(n, n, n))
    expected = tiny.matrix + 0.7 * np.eye(2 * k)
    in_voxels = 30 * tiny.voxel / scale**2 * outside.ravel()[tiny.basis.inside] * tiny.mask**2
    expected += np.diag(np.tile(in_voxels, 2))
    expected = np.linalg.solve(expected, tiny.right)
    priors = Ridge(0.7), SolventFlatness(tiny.basis, outside, scale, 30)
    found = tiny.solved(tiny.start, *priors)
    assert relative(found.theta, expected) < 0.03  # the projector's 1 % on both sides
    assert relative(without.theta, expected) > 0.3
    # where it starts makes no difference
    again = tiny.solved(without, *priors)
    assert relative(again.theta, found.theta) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nonnegative", "sparse"])
def test_further_priors_by_their_parabolas_reach_the_optimum(kind, tiny):
    """Against a minimiser that knows the penalty's formula and the dense equations."""
    estimate = without = tiny.solved(tiny.start)
    scale, knee, strength = float(without.theta.std()), 0.1, 0.1
    tau = (np.arange(4) + 0.5) / 4
    functions = np.stack([np.ones(4), np.sqrt(2) * np.cos(np.pi * tau)], axis=1)

    def objective(x):
        v = functions @ (x.reshape(2, -1) * tiny.mask) / scale
        if kind == "nonnegative":
            penalty, slope = 0.5 * np.minimum(v, 0) ** 2, np.minimum(v, 0)
        else:
            root = np.sqrt(v**2 + knee**2)
            penalty, slope = root - knee, v / root
        weight = strength * tiny.voxel / 4
        value = 0.5 * x @ tiny.matrix @ x - tiny.right @ x + weight * penalty.sum()
        further = weight / scale * (functions.T @ slope) * tiny.mask
        return value, tiny.matrix @ x - tiny.right + further.ravel()

    answer = minimize(
        objective, np.zeros(2 * tiny.k), jac=True, method="L-BFGS-B",
        options={"maxiter": 5000, "maxfun": 10000, "ftol": 1e-14, "gtol": 1e-8},
    )  # fmt: skip
    densities = DensityAtStates(tiny.basis, functions)
    prior = {
        "nonnegative": NonNegativity(densities, scale, strength),
        "sparse": Sparsity(densities, scale, strength, knee),
    }[kind]
    errors = []
    for _ in range(8):
        estimate = tiny.solved(estimate, prior, tolerance=1e-4)
        errors.append(objective(estimate.theta.astype(np.float64))[0] - answer.fun)
    assert relative(estimate.theta, answer.x) < 0.03  # the projector's 1 % on both sides
    assert relative(without.theta, answer.x) > 0.2
    assert 0 < errors[-1] < 0.1 * errors[0]  # what is left is the projector's 1 %


# ---- as one sweep among others needs it ----------------------------------------------------------


class Stage:
    """Some particles of a molecule, moments of random states, and the exact solution."""

    def __init__(self, composite, n=60):
        rng = np.random.default_rng(8)
        self.here = here = scene(composite, 6)
        molecule = here.molecule
        q = sum(molecule.n_functions)
        c = rng.normal(size=(n, q)) / (1 + np.arange(q))
        self.moments = posterior_of(c, c[:, :, None] * c[:, None, :])
        self.problem = problem_of(here, random_data(rng, n, here.samples))
        spectra = [
            rng.uniform(5, 50, size=(width, basis.n_shells))
            for (width, _), basis in zip(molecule.set_shapes, molecule.bases, strict=True)
        ]
        noise = np.ones((1, self.problem.images.power.shape[1]))
        self.start = Estimate(molecule.zeros(), spectra, noise, 0.1)
        self.exact = self.solved(self.start, 300, 1e-6).theta
        self.calls = 0

    def solved(self, estimate, iterations, tolerance=None):
        def check():
            self.calls += 1

        self.calls = 0
        found, _ = maximisation(self.problem, estimate, self.moments, iterations, tolerance, check)
        return estimate._replace(theta=found.theta)  # spectra stay

    def error(self, estimate):
        """Of the density, in the norm that the images and the prior give it, beside the whole."""
        prior = coefficient_step.blockwise(
            self.here.molecule, [coefficient_step.signal_precision(s) for s in self.start.spectra]
        )

        def size(x):
            return np.dot(x, self.problem.normal(x, self.moments.second) + prior(x))

        return np.sqrt(size(estimate.theta - self.exact) / size(self.exact))


@pytest.fixture(scope="module", params=[one_ball, pretzel_like])
def stage(request):
    return Stage(request.param(16))


@pytest.fixture
def without(monkeypatch):
    """Nothing stands in for the operator."""

    def leave():
        monkeypatch.setattr(coefficient_step, "gridded_normal", lambda *about: None)

    return leave


def test_a_sweep_asks_the_particles_twice(stage):
    stage.solved(stage.start, 3)
    assert stage.calls == 2  # from anywhere else one component twice, several three times


def test_sweep_after_sweep_it_is_the_exact_solution(stage):
    """What the stand-in gets wrong is seen, and mended, by the operator it stands for."""
    estimate, errors = stage.start, []
    for _ in range(8):
        estimate = stage.solved(estimate, 3)
        errors.append(stage.error(estimate))
    assert errors[0] < 0.4
    assert errors[-1] < 0.02
    assert (np.diff(errors) <= 0).all()


def test_a_sweep_is_nearer_than_three_iterations_without(stage, without):
    found = stage.error(stage.solved(stage.start, 3))
    without()
    plain = stage.error(stage.solved(stage.start, 3))
    assert stage.calls == 3  # from zero; four from anywhere else
    assert found < plain


def test_a_tolerance_is_kept_with_a_stand_in_and_without(stage, without):
    with_help = stage.solved(stage.start, 300, 1e-5).theta
    calls = stage.calls
    without()
    plain = stage.solved(stage.start, 300, 1e-5).theta
    assert relative(with_help, plain) < 1e-3
    assert calls < stage.calls

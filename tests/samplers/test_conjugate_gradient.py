import numpy as np
import pytest

from examples import one_ball, random_data, scene
from napari_hypermol.posterior.likelihood import image_adjoint, normal_operator
from napari_hypermol.samplers.conjugate_gradient import refine, solve
from oracles.dft import cube_points
from oracles.normal_equations import dense_equations


@pytest.fixture
def problem(rng):
    """A symmetric positive matrix of condition 100, and a right-hand side."""
    axes = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    matrix = (axes * np.geomspace(1, 100, 30)) @ axes.T
    return matrix, rng.normal(size=30)


def identity(x):
    return x


def test_solution_is_that_of_the_dense_solver(problem):
    matrix, right = problem
    x, info = solve(matrix.dot, right, np.zeros(30), identity, 200, 1e-12)
    np.testing.assert_allclose(x, np.linalg.solve(matrix, right), rtol=1e-9)
    assert info.residual <= 1e-12
    assert info.n_iterations < 60


def test_any_start_gives_the_same_solution(problem, rng):
    matrix, right = problem
    x, _ = solve(matrix.dot, right, 10 * rng.normal(size=30), identity, 200, 1e-12)
    np.testing.assert_allclose(x, np.linalg.solve(matrix, right), rtol=1e-8)


def test_started_at_the_solution_it_stays(problem):
    matrix, right = problem
    start = np.linalg.solve(matrix, right)
    x, info = solve(matrix.dot, right, start, identity, 200, 1e-9)
    np.testing.assert_array_equal(x, start)
    assert info.n_iterations == 0


def test_exact_preconditioner_needs_one_step(problem):
    matrix, right = problem
    inverse = np.linalg.inv(matrix)
    x, info = solve(matrix.dot, right, np.zeros(30), inverse.dot, 200, 1e-8)
    assert info.n_iterations == 1
    np.testing.assert_allclose(x, inverse @ right, rtol=1e-8)


def test_a_preconditioner_changes_the_pace_not_the_solution(problem):
    matrix, right = problem
    scale = np.geomspace(1, 1e4, 30)
    hard = np.sqrt(scale)[:, None] * matrix * np.sqrt(scale)
    expected = np.linalg.solve(hard, right)
    plain, with_help = (
        solve(hard.dot, right, np.zeros(30), p, 40, 1e-10) for p in (identity, lambda r: r / scale)
    )
    assert with_help[1].residual < plain[1].residual
    np.testing.assert_allclose(with_help[0], expected, rtol=1e-4, atol=1e-6 * abs(expected).max())


def test_error_falls_with_every_step(problem):
    """In the norm of the operator, which is what conjugate gradients minimise."""
    matrix, right = problem
    exact = np.linalg.solve(matrix, right)
    errors = []
    for steps in range(8):
        x, info = solve(matrix.dot, right, np.zeros(30), identity, steps, 0.0)
        assert info.n_iterations == steps
        errors.append((x - exact) @ matrix @ (x - exact))
    assert (np.diff(errors) < 0).all()


def test_nothing_on_the_right_is_nothing(problem):
    x, info = solve(problem[0].dot, np.zeros(30), np.ones(30), identity, 5, 1e-3)
    assert not x.any()
    assert info == (0, 0.0)


def test_start_is_left_alone_and_its_type_kept(problem):
    matrix, right = (a.astype(np.float32) for a in problem)
    start = np.ones(30, dtype=np.float32)
    x, _ = solve(matrix.dot, right, start, identity, 3, 0.0)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(start, 1)


def test_coefficients_of_a_small_molecule_against_dense_equations(rng):
    """The whole solve, slices and all, against a matrix made of point sums without a grid."""
    n, box_size, ridge = 12, 12, 2e-2
    molecule, placements, samples = scene(one_ball(box_size), 4)
    basis, images = molecule.bases[0], random_data(rng, n, samples)
    c = rng.normal(size=(n, 2))
    first = c.astype(np.float32)
    second = (np.einsum("nq,nr->nqr", c, c) + 0.1 * np.eye(2)).astype(np.float32)
    points = cube_points(basis.size, basis.edge / basis.size)
    inside = basis.mask.ravel() > 0
    masses = basis.mask.ravel()[inside] * (basis.edge / basis.size) ** 3
    data = images.data[:, 0] + 1j * images.data[:, 1]
    frequencies = list(zip(samples.kx, samples.ky, strict=True))
    matrix, right = dense_equations(
        points[inside], masses, images.rotations, frequencies, box_size, images.weights, data,
        first, second,
    )  # fmt: skip
    expected = np.linalg.solve(matrix + ridge * np.eye(len(right)), right)

    def operator(theta):
        grids = molecule.grids(theta)
        values = normal_operator(images, second, grids, placements, samples)
        return molecule.grids_adjoint(values) + np.float32(ridge) * theta

    ours = molecule.grids_adjoint(
        image_adjoint(images, first, molecule.empty_grids, placements, samples)
    )
    assert np.linalg.norm(ours - right) < 0.01 * np.linalg.norm(right)  # the projector's promise
    theta, _ = solve(operator, ours, molecule.zeros(), identity, 200, 1e-5)
    error = np.linalg.norm(theta - expected) / np.linalg.norm(expected)
    assert error < 0.03  # 1 % of the slices on both sides of the equation, and the ridge's leverage


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_goes_on_while_what_is_left_is_too_much(problem, patience):
    """Residuals after 4, 8, 12 steps are all above what is enough: as long as patience lasts."""
    matrix, right = problem
    _, info = solve(matrix.dot, right, np.zeros(30), identity, 4, 1e-12, patience, 1e-9)
    assert info.n_iterations == 4 * patience
    assert info.residual > 1e-9


def test_stops_as_soon_as_it_is_enough(problem):
    matrix, right = problem
    residuals = [
        solve(matrix.dot, right, np.zeros(30), identity, steps, 0.0)[1].residual
        for steps in range(30)
    ]
    enough = 0.02
    first = next(k for k, residual in enumerate(residuals) if k >= 4 and residual <= enough)
    assert 5 < first < 20  # neither at once nor never
    _, info = solve(matrix.dot, right, np.zeros(30), identity, 4, 1e-12, 10, enough)
    assert info.n_iterations == first
    assert info.residual == pytest.approx(residuals[first])


def test_what_is_enough_cuts_no_solve_short(problem):
    """Below it, but not below the tolerance: still `max_iterations` steps."""
    matrix, right = problem
    _, info = solve(matrix.dot, right, np.zeros(30), identity, 6, 1e-12, 5, 1e3)
    assert info.n_iterations == 6


def test_without_patience_nothing_changes(problem):
    matrix, right = problem
    one, _ = solve(matrix.dot, right, np.zeros(30), identity, 6, 1e-12)
    two, _ = solve(matrix.dot, right, np.zeros(30), identity, 6, 1e-12, 1, 1e-9)
    np.testing.assert_array_equal(one, two)


# ---- with a solve inside -------------------------------------------------------------------------


def cut_short(matrix, iterations):
    """A few steps towards the solution: no linear map of the right-hand side."""

    def roughly(right):
        x, _ = solve(matrix.dot, right, np.zeros(30), identity, iterations, 0)
        return x

    return roughly


def test_preconditioner_that_is_a_solve_cut_short(problem):
    matrix, right = problem
    near = matrix + 0.05 * np.diag(np.diag(matrix))
    x, info = solve(
        matrix.dot, right, np.zeros(30), cut_short(near, 12), 200, 1e-10, is_flexible=True
    )
    np.testing.assert_allclose(x, np.linalg.solve(matrix, right), rtol=1e-7)
    plain = solve(matrix.dot, right, np.zeros(30), identity, 200, 1e-10)[1]
    assert 2 * info.n_iterations < plain.n_iterations


def refined(matrix, stand_in, right, start):
    calls = []

    def residual(x):
        calls.append(x)
        return right - matrix @ x

    x, info = refine(residual, stand_in.dot, lambda s: s @ matrix @ s, start, identity, 200, 1e-12)
    assert len(calls) == 1
    return x, info


def test_one_step_leaves_the_error_times_how_far_the_stand_in_is_off(problem, rng):
    matrix, right = problem
    expected, start = np.linalg.solve(matrix, right), rng.normal(size=30)
    axes = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    root = np.linalg.cholesky(matrix)
    near = root @ (axes * rng.uniform(0.9, 1.1, 30)) @ axes.T @ root.T

    def size(x):
        return np.sqrt((x - expected) @ matrix @ (x - expected))

    x, info = refined(matrix, near, right, start)
    assert size(x) < 0.12 * size(start)
    assert info.residual < 1e-11
    for _ in range(12):
        x, _ = refined(matrix, near, right, x)
    np.testing.assert_allclose(x, expected, rtol=1e-8)


@pytest.mark.parametrize("factor", [0.3, 1.1, 20])
def test_the_step_is_as_long_as_is_best(problem, rng, factor):
    matrix, right = problem
    found, _ = refined(matrix, factor * matrix, right, rng.normal(size=30))
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-8)


@pytest.mark.parametrize(
    ("factor", "asked"), [(0.4, 1), (0.9, 0), (1, 0), (1.1, 0), (3, 1), (-1, 1)]
)
def test_a_rough_curvature_is_believed_near_the_stand_in(problem, rng, factor, asked):
    """And asked for properly elsewhere: then the solution is found, else it is missed by a part."""
    matrix, right = problem
    start, calls = rng.normal(size=30), []

    def curvature(s):
        calls.append(s)
        return s @ matrix @ s

    found, _ = refine(
        lambda x: right - matrix @ x, matrix.dot, curvature, start, identity, 200, 1e-12,
        lambda s: factor * (s @ matrix @ s),
    )  # fmt: skip
    assert len(calls) == asked
    length = 1 if asked else 1 / factor
    expected = start + length * (np.linalg.solve(matrix, right) - start)
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_refined_at_the_solution_it_stays(problem):
    matrix, _ = problem
    start = np.ones(30)
    x, info = refine(np.zeros_like, matrix.dot, lambda s: 1.0, start, identity, 200, 1e-9)
    np.testing.assert_array_equal(x, start)
    assert info.n_iterations == 0

from dataclasses import replace

import numpy as np
import pytest

from examples import pretzel_like, random_data, scene
from napari_hypermol.posterior.likelihood import image_adjoint, normal_operator, overlaps
from napari_hypermol.runs import scratch, stage_problem
from napari_hypermol.runs.pieces import GridsOf
from napari_hypermol.runs.stage_problem import StageProblem

N = 9


@pytest.fixture
def here():
    return scene(pretzel_like(16), 5.0)


@pytest.fixture
def problem(here, rng):
    images = random_data(rng, N, here.samples)
    means = rng.uniform(size=(N, images.power.shape[1]))
    return StageProblem(images, here.molecule, here.samples, means, 3.0, np.zeros((N, 2)))


def test_sums_are_those_of_the_likelihood(here, problem, rng):
    theta = rng.normal(size=here.molecule.n_coefficients).astype(np.float32)
    grids, about = here.molecule.grids(theta), (here.placements, here.samples)
    b, g = problem.overlaps(theta)
    expected = overlaps(problem.images, grids, *about)
    np.testing.assert_array_equal(b, expected[0])
    np.testing.assert_array_equal(g, expected[1])
    right = image_adjoint(problem.images, b, here.molecule.empty_grids, *about)
    np.testing.assert_array_equal(problem.adjoint(b), here.molecule.grids_adjoint(right))
    left = normal_operator(problem.images, g, grids, *about)
    np.testing.assert_array_equal(problem.normal(theta, g), here.molecule.grids_adjoint(left))


def moments_of(rng, n, width):
    """E[a^2 c c^T] of contrasts about 1 that vary by a fifth."""
    c = rng.normal(1, 0.2, n)[:, None] * rng.normal(size=(n, width))
    return np.einsum("nq,np->nqp", c, c).astype(np.float32)


def of_images(here, images):
    n, shells = images.power.shape
    return StageProblem(
        images, here.molecule, here.samples, np.ones((n, shells)), 3.0, np.zeros((n, 2))
    )


def test_curvature_is_that_of_the_normal_operator(here, problem, rng):
    theta = rng.normal(size=here.molecule.n_coefficients).astype(np.float32)
    second = moments_of(rng, N, sum(here.molecule.n_functions))
    expected = theta @ problem.normal(theta, second)
    assert problem.curvature(theta, second) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_curvature_from_some_of_many_particles(here, seed, monkeypatch):
    """To the standard error of what a particle adds, whose mean is what is asked for."""
    monkeypatch.setattr(stage_problem, "_SOME", 100)
    rng = np.random.default_rng(seed)
    problem = of_images(here, random_data(rng, 1000, here.samples))
    theta = rng.normal(size=here.molecule.n_coefficients).astype(np.float32)
    second = moments_of(rng, 1000, sum(here.molecule.n_functions))
    _, g = problem.overlaps(theta)
    each = (g * second).sum(axis=(1, 2)) / np.einsum("nqq->n", second)
    weights = np.einsum("nqq->n", second) / np.einsum("nqq->", second)
    spread = np.sqrt((weights * (each - weights @ each) ** 2).sum() / (weights @ each) ** 2)
    fewer = 1000 * (weights**2).sum()  # unequal weights are worth fewer particles
    found = problem.curvature(theta, second, is_rough=True) / (g * second).sum()
    assert problem.curvature(theta, second) == pytest.approx((g * second).sum(), rel=1e-4)
    assert abs(found - 1) < 4 * spread * np.sqrt(fewer / 100)
    assert found != pytest.approx(1, rel=1e-6)  # not from all


def test_curvature_where_some_tell_nothing(here, rng, monkeypatch):
    monkeypatch.setattr(stage_problem, "_SOME", 2)
    problem = of_images(here, random_data(rng, 7, here.samples))
    theta = rng.normal(size=here.molecule.n_coefficients).astype(np.float32)
    second = moments_of(rng, 7, sum(here.molecule.n_functions))
    asked = np.random.default_rng(0).choice(7, 2, replace=False)
    second[asked] = 0
    expected = theta @ problem.normal(theta, second)
    assert problem.curvature(theta, second, is_rough=True) == pytest.approx(expected, rel=1e-4)
    assert problem.curvature(theta, np.zeros_like(second), is_rough=True) == 0


def test_some_particles(problem):
    rows = np.array([7, 2, 2])
    some = problem.of(rows)
    np.testing.assert_array_equal(some.images.data, problem.images.data[rows])
    np.testing.assert_array_equal(some.mean_weights, problem.mean_weights[rows])
    assert problem.here() == (problem, problem.images)


def test_noise_scales_every_shell_by_its_own(problem):
    n_shells = problem.images.power.shape[1]
    old, new = np.ones((1, n_shells)), np.linspace(1, 2, n_shells)[None]
    scaled = problem.with_noise(old, new)
    factor = (1 / new[0])[problem.samples.shells]
    np.testing.assert_allclose(scaled.images.data, problem.images.data * factor, rtol=1e-6)
    np.testing.assert_allclose(scaled.images.weights, problem.images.weights * factor, rtol=1e-6)
    np.testing.assert_allclose(scaled.mean_weights, problem.mean_weights / new, rtol=1e-6)


def test_grids_are_made_once_for_a_theta(here, problem, rng):
    theta = rng.normal(size=here.molecule.n_coefficients).astype(np.float32)
    grids = problem.grids(theta)
    assert problem.scene(theta)[0] is grids
    ones = np.ones((1, problem.images.power.shape[1]))
    assert problem.with_noise(ones, 2 * ones).grids(theta) is grids
    width = sum(problem.molecule.n_functions)
    problem.curvature(2 * theta, np.zeros((N, width, width), np.float32))
    assert problem.grids(theta) is grids  # directions do not take its place


def test_grids_are_made_where_images_are_elsewhere(here, problem, rng):
    """To workers and devices goes theta, which is far smaller."""
    theta = rng.normal(size=here.molecule.n_coefficients).astype(np.float32)
    there = replace(problem, images=object())
    assert isinstance(there.scene(theta)[0], GridsOf)
    assert there.grids(theta) is not there.grids(theta)
    assert isinstance(problem.scene(theta, is_asked_again=False)[0], GridsOf)


def test_images_in_a_file_stay_in_files(problem, tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "MEMORY_SHARE", 0.0)
    images = problem.images
    data = scratch.room(images.data.shape, np.float32, tmp_path)
    data[:] = images.data
    there = replace(problem, images=images._replace(data=data))
    ones = np.ones((1, images.power.shape[1]))
    scaled = there.with_noise(ones, 2 * ones)
    assert isinstance(scaled.images.data, np.memmap)
    assert isinstance(scaled.images.weights, np.memmap)
    np.testing.assert_array_equal(scaled.images.data, images.data / 2)

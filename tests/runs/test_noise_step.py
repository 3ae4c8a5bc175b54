import numpy as np
import pytest

from napari_hypermol.runs.coefficient_step import maximisation
from napari_hypermol.runs.noise_step import residual_and_noise, updated_noise
from small_problems import Simulated, problem_of


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


def test_noise_and_the_solves_residual_in_one_pass(rng):
    made = Simulated(rng, 30)
    first, second = made.moments.first, made.moments.second
    residual, noise = residual_and_noise(made.problem, made.estimate, first, second)
    expected = made.problem.residual(made.estimate.theta, first, second)
    np.testing.assert_allclose(residual, expected, atol=1e-5 * abs(expected).max())
    np.testing.assert_allclose(noise, updated_noise(made.problem, made.estimate, made.moments))


def test_a_solve_finds_the_noise_of_the_molecule_it_begins_with(rng):
    made = Simulated(rng, 30)
    solve = made.problem, made.estimate, made.moments, 3
    solved, _ = maximisation(*solve, is_brief=True, updates_noise=True)
    alone, _ = maximisation(*solve, is_brief=True)
    np.testing.assert_array_equal(solved.theta, alone.theta)
    assert alone.noise is made.estimate.noise
    expected = updated_noise(made.problem, made.estimate, made.moments)
    np.testing.assert_allclose(solved.noise, expected, rtol=1e-6)
    # conjugate gradients do not pass the residual of what they begin with
    near, _ = maximisation(*solve, updates_noise=True)
    known = near._replace(noise=made.estimate.noise)
    after = updated_noise(made.problem, known, made.moments)
    np.testing.assert_allclose(near.noise, after, rtol=1e-6)
    assert abs(after / expected - 1).max() > 1e-4  # which is another


def test_a_first_solve_finds_the_noise_of_what_it_solved_for(rng):
    made = Simulated(rng, 30)
    nothing = made.estimate._replace(theta=np.zeros_like(made.estimate.theta))
    solved, _ = maximisation(made.problem, nothing, made.moments, 3, updates_noise=True)
    expected = updated_noise(made.problem, solved._replace(noise=made.estimate.noise), made.moments)
    np.testing.assert_allclose(solved.noise, expected, rtol=1e-6)

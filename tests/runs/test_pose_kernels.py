"""Poses moved with gradients: priors alone, toward the truth, and images that follow."""

from dataclasses import replace

import numpy as np
import pytest

from napari_hypermol.coordinates.rotations import angles_between, turn_between
from napari_hypermol.runs.chunks import stage_problem
from napari_hypermol.runs.pose_kernels import move_rotations, move_shifts, shifted
from napari_hypermol.runs.pose_prior import pose_prior
from napari_hypermol.runs.pose_step import PoseSettings
from napari_hypermol.runs.step_sizes import NO_STEPS
from napari_hypermol.samplers.state_draws import StateDraw
from small_poses import PIXEL, RADIUS, rigid_stack

STD, SHIFT_STD = np.radians(8.0), 1.5


@pytest.fixture(scope="module")
def stack():
    return rigid_stack()


def start(stack, is_empty=False):
    problem = stack.problem(stack.told)
    n = len(problem.shifts)
    settings = PoseSettings("refine", "refine", rotation_std=STD, shift_std=SHIFT_STD * PIXEL)
    prior = pose_prior(stack.told, stack.rows, settings)
    drawn = StateDraw(
        np.zeros((n, 0), dtype=np.int64), np.ones((n, 1)), np.ones(n), np.zeros(n), np.zeros((n, 0))
    )
    estimate = stack.estimate
    if is_empty:
        estimate = estimate._replace(theta=np.zeros_like(estimate.theta))
    return problem, estimate, drawn, prior


def test_nothing_in_the_images_leaves_the_prior_of_rotations(stack, rng):
    problem, estimate, drawn, prior = start(stack, is_empty=True)
    sizes = NO_STEPS
    for sweep in range(12):
        sizes = replace(sizes, is_warming_up=sweep < 8)
        problem, sizes, rate = move_rotations(rng, problem, estimate, drawn, prior, 10, sizes)
    assert 0.4 < rate < 0.8
    away = turn_between(prior.rotations, problem.rotations)
    n = away.size
    np.testing.assert_allclose(away.std() / STD, 1, atol=5 / np.sqrt(2 * n))


@pytest.mark.parametrize("kernel", ["metropolis", "mala", "hmc"])
def test_nothing_in_the_images_leaves_the_prior_of_shifts(stack, rng, kernel):
    problem, estimate, drawn, prior = start(stack, is_empty=True)
    sizes = NO_STEPS
    for sweep in range(14):
        sizes = replace(sizes, is_warming_up=sweep < 8)
        problem, sizes, rate = move_shifts(rng, problem, estimate, drawn, prior, kernel, 10, sizes)
    assert 0.1 < rate < 0.97
    away = problem.shifts / PIXEL - prior.shifts
    np.testing.assert_allclose(away.std() / SHIFT_STD, 1, atol=5 / np.sqrt(2 * away.size))
    np.testing.assert_allclose(away.mean(), 0, atol=5 * SHIFT_STD / np.sqrt(away.size))


def test_images_lead_to_the_truth(stack, rng):
    problem, estimate, drawn, prior = start(stack)
    true = stack.true
    before = [
        np.median(angles_between(problem.rotations, true.rotations)),
        np.median(abs(problem.shifts - true.shifts)),
    ]
    sizes = NO_STEPS
    for _ in range(15):
        problem, sizes, _ = move_rotations(rng, problem, estimate, drawn, prior, 6, sizes)
        problem, sizes, _ = move_shifts(rng, problem, estimate, drawn, prior, "mala", 6, sizes)
    after = [
        np.median(angles_between(problem.rotations, true.rotations)),
        np.median(abs(problem.shifts - true.shifts)),
    ]
    assert after[0] < 0.6 * before[0]
    assert after[1] < 0.6 * before[1]
    fresh = stack_at(stack, problem)
    np.testing.assert_allclose(problem.images.data, fresh.images.data, atol=2e-4 * scale(fresh))
    np.testing.assert_array_equal(problem.rotations, fresh.rotations)


def scale(problem):
    return abs(problem.images.data).max()


def stack_at(stack, problem):
    """The images whitened anew at a problem's poses."""
    particles = stack.particles._replace(rotations=problem.rotations, shifts=problem.shifts)
    return stage_problem(
        particles, stack.stack, stack.molecule, RADIUS, stack.estimate.noise, stack.rows
    )


def test_temperature_lets_poses_scatter(stack, rng):
    spreads = []
    for temperature in (1.0, 0.05):
        problem, estimate, drawn, prior = start(stack)
        sizes = NO_STEPS
        for _ in range(12):
            problem, sizes, _ = move_shifts(
                rng, problem, estimate, drawn, prior, "hmc", 4, sizes, temperature
            )
        spreads.append(np.median(abs(problem.shifts - stack.true.shifts)))
    assert spreads[1] > 1.3 * spreads[0]


def test_shifted_there_and_back(stack):
    problem = stack.problem(stack.told)
    moved = shifted(problem, problem.shifts + 7.0)
    back = shifted(moved, problem.shifts)
    np.testing.assert_allclose(back.images.data, problem.images.data, atol=1e-4 * scale(problem))
    assert abs(moved.images.data - problem.images.data).max() > 0.1 * scale(problem)

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_hypermol.coordinates.rotations import (
    angles_between,
    grid_spacing,
    rotation_grid,
    turn_between,
    turned,
)
from napari_hypermol.coordinates.tangent import random_rotations


@pytest.mark.parametrize("order", [0, 1, 2])
def test_grid_is_of_proper_rotations_none_twice(order):
    grid = rotation_grid(order)
    assert grid.shape == (72 * 8**order, 3, 3)
    np.testing.assert_allclose(grid @ np.swapaxes(grid, 1, 2), [np.eye(3)] * len(grid), atol=1e-14)
    np.testing.assert_allclose(np.linalg.det(grid), 1)
    some = grid[:: len(grid) // 60]
    away = np.sort(angles_between(some[:, None], grid), axis=1)
    np.testing.assert_allclose(away[:, 0], 0, atol=1e-7)
    # axes of HEALPix are as close as 0.7 of the square root of their area
    assert away[:, 1].min() > 0.6 * grid_spacing(order)


@pytest.mark.parametrize(("order", "largest"), [(0, 62), (1, 31), (2, 15)])
def test_grid_leaves_no_rotation_far_away(rng, order, largest):
    """At 15 degrees: 192 axes times 24 turns, and every rotation is within 15 degrees of one."""
    rotations, grid = random_rotations(rng, 400), rotation_grid(order)
    away = np.degrees([angles_between(grid, rotation).min() for rotation in rotations])
    assert away.max() < largest
    assert away.mean() > 0.35 * np.degrees(grid_spacing(order))  # it cannot be much denser


@pytest.mark.parametrize("order", [0, 1, 2])
def test_grid_is_even(rng, order):
    """Mean matrices and their squares are those of uniform rotations; so is any rotated copy."""
    grid = rotation_grid(order)
    np.testing.assert_allclose(grid.mean(axis=0), 0, atol=1e-12)
    squares = (grid**2).mean(axis=0)
    np.testing.assert_allclose(squares, 1 / 3, atol=0.04 / 4**order)
    # shares of uniform rotations that are nearest to each: between a quarter and four times 1 / r
    if order == 0:
        nearest = [angles_between(grid, r).argmin() for r in random_rotations(rng, 20_000)]
        shares = np.bincount(nearest, minlength=len(grid)) * len(grid) / 20_000
        assert shares.min() > 0.25
        assert shares.max() < 4


@pytest.mark.parametrize("order", [0, 1])
def test_turns_of_a_viewing_direction_stand_together(order):
    grid, n_turns = rotation_grid(order), 6 * 2**order
    views = grid[:, 2].reshape(-1, n_turns, 3)  # what R takes to z
    np.testing.assert_allclose(views, views[:, :1].repeat(n_turns, axis=1), atol=1e-14)
    step = Rotation.from_euler("z", grid_spacing(order)).as_matrix()
    np.testing.assert_allclose(grid[1:n_turns], step @ grid[: n_turns - 1], atol=1e-14)
    assert grid_spacing(order) == pytest.approx(2 * np.pi / n_turns)


@pytest.mark.parametrize("size", [1e-9, 1e-4, 0.3, 3.1, 7.0])
def test_turns_are_those_of_scipy(rng, size):
    omega, rotations = size * rng.normal(size=(20, 3)), random_rotations(rng, 20)
    expected = Rotation.from_rotvec(omega) * Rotation.from_matrix(rotations)
    np.testing.assert_allclose(turned(rotations, omega), expected.as_matrix(), atol=1e-14)


def test_turns_are_in_the_image_frame(rng):
    """On the left: about the viewing direction they turn the image, whatever the rotation."""
    rotation, omega = random_rotations(rng, 1)[0], np.array([0, 0, 0.7])
    np.testing.assert_allclose(turned(rotation, omega)[2], rotation[2], atol=1e-15)
    assert abs(rotation @ turned(np.eye(3), omega) - turned(rotation, omega)).max() > 0.01


def test_turn_of_nothing_and_of_stacks(rng):
    rotations = random_rotations(rng, 4).astype(np.float32)
    np.testing.assert_array_equal(turned(np.eye(3), np.zeros(3)), np.eye(3))
    assert turned(np.eye(3), np.zeros((2, 4, 3))).shape == (2, 4, 3, 3)
    assert turned(rotations, np.zeros((2, 1, 3))).shape == (2, 4, 3, 3)
    assert turned(rotations, np.zeros(3)).dtype == np.float64


def test_turn_by_the_right_hand():
    quarter = turned(np.eye(3), np.array([0, 0, np.pi / 2]))
    np.testing.assert_allclose(quarter @ [1, 0, 0], [0, 1, 0], atol=1e-15)


@pytest.mark.parametrize("angle", [0, 1e-8, 1e-3, 1.0, 3.0, np.pi - 1e-8, np.pi])
def test_angle_is_exact_at_both_ends(rng, angle):
    rotation = random_rotations(rng, 5)
    axis = rng.normal(size=(5, 3))
    axis *= angle / np.linalg.norm(axis, axis=1, keepdims=True)
    # rounding of matrices, 1e-16, a few times
    found = angles_between(turned(rotation, axis), rotation)
    np.testing.assert_allclose(found, angle, rtol=1e-14, atol=2e-15)
    np.testing.assert_allclose(angles_between(rotation, turned(rotation, axis)), found, atol=2e-15)


def test_angles_are_those_of_scipy_and_broadcast(rng):
    first, second = random_rotations(rng, 6), random_rotations(rng, 4)
    found = angles_between(first[:, None], second)
    for i, j in np.ndindex(6, 4):
        turn = Rotation.from_matrix(first[i] @ second[j].T)
        assert found[i, j] == pytest.approx(turn.magnitude(), rel=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-14, 1e-9, 1e-4, 0.5, 2.0, 3.0, 3.1, np.pi - 1e-9])
def test_turn_between_is_the_turn(rng, angle):
    axes = rng.normal(size=(50, 3))
    omega = angle * axes / np.linalg.norm(axes, axis=1, keepdims=True)
    first = random_rotations(rng, 50)
    second = Rotation.from_rotvec(omega).as_matrix() @ first
    np.testing.assert_allclose(turn_between(first, second), omega, atol=1e-12)
    if angle < 3.14:  # in single precision, in which a half turn is one about either axis
        found = turn_between(first.astype(np.float32), second.astype(np.float32))
        np.testing.assert_allclose(found, omega, atol=1e-5)


def test_half_turns_have_either_axis(rng):
    axes = rng.normal(size=(50, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    half = 2 * axes[:, :, None] * axes[:, None] - np.eye(3)
    found = turn_between(np.tile(np.eye(3), (50, 1, 1)), half) / np.pi
    np.testing.assert_allclose(abs((found * axes).sum(axis=1)), 1, atol=1e-12)


def test_turns_of_nobody():
    assert turn_between(np.zeros((0, 3, 3)), np.zeros((0, 3, 3))).shape == (0, 3)

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from contracts.trajectory import TrajectoryContract
from napari_hypermol.errors import RecipeError
from napari_hypermol.molecules.trajectory import (
    RigidTrajectory,
    Translation,
    Turn,
    cross_matrix,
    rotations_about,
)

AXIS = np.array([2.0, -1.0, 2.0]) / 3
PIVOT = np.array([3.0, -2.0, 1.0])


def turn(degree=1, learns=(True, True, True)):
    angles = np.array([0.6, -0.2, 0.35])[:degree]
    return Turn(AXIS, PIVOT, angles, *learns)


def line(degree=1, learns=True):
    vectors = np.array([[3.0, 1.0, -2.0], [0.5, -1.0, 0.3]])[:degree]
    return Translation(vectors, np.arange(1, degree + 1)[:, None], learns)


def plane(learns=True):
    exponents = np.array([[1, 0], [0, 1], [1, 1]])
    return Translation(np.array([[3.0, 1, -2], [0, 2, 1], [0.4, 0.1, -0.6]]), exponents, learns)


LEARNS = list(itertools.product([True, False], repeat=3))


@pytest.mark.parametrize("degree", [1, 3])
@pytest.mark.parametrize("learns", LEARNS, ids=str)
class TestTurn(TrajectoryContract):
    @pytest.fixture
    def trajectory(self, degree, learns):
        return RigidTrajectory(turn=turn(degree, learns))

    def test_number_of_parameters(self, trajectory, degree, learns):
        assert self.n_learned(trajectory) == 2 * learns[0] + 2 * learns[1] + degree * learns[2]


@pytest.mark.parametrize("made", [line, lambda: line(2), plane, lambda: line(2, False)])
class TestTranslation(TrajectoryContract):
    @pytest.fixture
    def trajectory(self, made):
        return RigidTrajectory(translation=made())


@pytest.mark.parametrize("learns", [LEARNS[0], LEARNS[-1], LEARNS[2]], ids=str)
@pytest.mark.parametrize("slides", [True, False])
@pytest.mark.parametrize("degree", [1, 2])
class TestTurnThenTranslation(TrajectoryContract):
    @pytest.fixture
    def trajectory(self, learns, slides, degree):
        return RigidTrajectory(turn(2, learns), line(degree, slides))

    def test_the_shift_follows_the_turn(self, trajectory, states):
        """R (x - c) + c + s in the molecule's frame, with scipy's rotations."""
        x = 2 * states[:, 0] - 1
        angles = sum(a * x ** (j + 1) for j, a in enumerate(trajectory.turn.angles))
        point = np.array([1.0, -4, 2])
        rotations, shifts = trajectory.placements(states)
        for t in range(len(states)):
            moved = Rotation.from_rotvec(angles[t] * AXIS).apply(point - PIVOT) + PIVOT
            for j, vector in enumerate(trajectory.translation.vectors):
                moved = moved + vector * x[t] ** (j + 1)
            np.testing.assert_allclose(rotations[t] @ point + shifts[t], moved, atol=1e-12)


def test_turn_keeps_its_hinge_where_it_is(rng):
    rotations, shifts = turn(2).placements(rng.uniform(size=(5, 1)))
    for along in (-3.0, 0.0, 8.0):
        point = PIVOT + along * AXIS
        np.testing.assert_allclose(rotations @ point + shifts, np.tile(point, (5, 1)), atol=1e-12)


def test_angle_runs_through_its_range():
    """One coefficient a: the turn goes from -a to a."""
    rotations, _ = turn().placements(np.array([[0.0], [0.5], [1.0]]))
    for matrix, angle in zip(rotations, (-0.6, 0.0, 0.6), strict=True):
        expected = Rotation.from_rotvec(angle * AXIS).as_matrix()
        np.testing.assert_allclose(matrix, expected, atol=1e-12)


def test_sliding_the_pivot_along_the_axis_changes_nothing(rng):
    states = rng.uniform(size=(5, 1))
    here, there = turn(2), Turn(AXIS, PIVOT + 11 * AXIS, turn(2).angles)
    for a, b in zip(here.placements(states), there.placements(states), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    np.testing.assert_allclose(
        here.twists(states)[:, :, -2:], there.twists(states)[:, :, -2:], atol=1e-12
    )


def test_axis_stays_a_unit_vector_and_pivot_moves_across_it(rng):
    for _ in range(5):
        moved = turn().moved(3 * rng.normal(size=5))
        assert np.linalg.norm(moved.axis) == pytest.approx(1, abs=1e-12)
        assert (moved.pivot - PIVOT) @ AXIS == pytest.approx(0, abs=1e-12)


def test_what_is_given_stays(rng):
    moved = turn(2, (False, True, False)).moved(rng.normal(size=2))
    np.testing.assert_array_equal(moved.axis, AXIS)
    np.testing.assert_array_equal(moved.angles, turn(2).angles)
    assert np.linalg.norm(moved.pivot - PIVOT) > 0.1
    given = RigidTrajectory(turn(1, (False,) * 3), line(learns=False))
    same = given.moved(np.zeros(0))
    np.testing.assert_array_equal(same.translation.vectors, given.translation.vectors)


def test_plane_has_two_states():
    trajectory = RigidTrajectory(translation=plane())
    assert trajectory.dims == 2
    _, shifts = trajectory.placements(np.array([[1.0, 0.5], [0.5, 1.0], [1.0, 0.0]]))
    a, b, c = plane().vectors
    np.testing.assert_allclose(shifts, [a, b, a - b - c])


def test_a_trajectory_is_something():
    with pytest.raises(RecipeError, match="a turn, a translation or both"):
        RigidTrajectory()


def test_a_turn_and_a_translation_share_one_state():
    with pytest.raises(RecipeError, match="has one state"):
        RigidTrajectory(turn(), plane())


def test_rodrigues_is_scipys_rotation(rng):
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    angles = np.array([-7.0, -1, 0, 0.3, np.pi])
    expected = Rotation.from_rotvec(angles[:, None] * axis).as_matrix()
    np.testing.assert_allclose(rotations_about(axis, angles), expected, atol=1e-12)


def test_cross_matrix_is_the_cross_product(rng):
    v, w = rng.normal(size=(2, 4, 3))
    np.testing.assert_allclose(np.einsum("nij,nj->ni", cross_matrix(v), w), np.cross(v, w))

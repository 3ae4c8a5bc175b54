"""What every trajectory promises; subclass it, give `trajectory`, all learned or only some."""

import json
import pickle

import numpy as np
import pytest


class TrajectoryContract:
    """States (t, d) in [0, 1] to placements r = P x + s, and their derivatives in the own frame."""

    @pytest.fixture
    def trajectory(self):
        raise NotImplementedError

    @pytest.fixture
    def states(self, trajectory, rng):
        return rng.uniform(size=(7, trajectory.dims))

    def n_learned(self, trajectory):
        return trajectory.twists(np.full((1, trajectory.dims), 0.3)).shape[2]

    def same(self, one, two, states):
        for a, b in zip(one.placements(states), two.placements(states), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)

    def test_shapes(self, trajectory, states):
        rotations, shifts = trajectory.placements(states)
        assert rotations.shape == (7, 3, 3)
        assert shifts.shape == (7, 3)
        assert trajectory.twists(states).shape == (7, 6, self.n_learned(trajectory))
        assert len(trajectory.kinds) == trajectory.dims

    def test_rotations_are_proper(self, trajectory, states):
        rotations, _ = trajectory.placements(states)
        product = rotations @ np.swapaxes(rotations, 1, 2)
        np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-12)
        np.testing.assert_allclose(np.linalg.det(rotations), 1)

    def test_the_middle_of_the_range_is_at_home(self, trajectory):
        rotations, shifts = trajectory.placements(np.full((1, trajectory.dims), 0.5))
        np.testing.assert_allclose(rotations[0], np.eye(3), atol=1e-12)
        np.testing.assert_allclose(shifts[0], 0, atol=1e-12)

    def test_twists_are_difference_quotients(self, trajectory, states):
        """P^T (dP x + ds) = omega x x + v, for points of the component's own frame."""
        step, points = 1e-5, np.array([[0.0, 0, 0], [4, 0, 0], [0, -3, 0], [1, 2, 5]])
        rotations, _ = trajectory.placements(states)
        twists = trajectory.twists(states)
        for p in range(self.n_learned(trajectory)):
            change = step * np.eye(self.n_learned(trajectory))[p]
            after, before = trajectory.moved(change), trajectory.moved(-change)
            for t in range(len(states)):
                for point in points:
                    moved = []
                    for other in (after, before):
                        turned, shifted = other.placements(states)
                        moved.append(turned[t] @ point + shifted[t])
                    quotient = rotations[t].T @ (moved[0] - moved[1]) / (2 * step)
                    omega, v = twists[t, :3, p], twists[t, 3:, p]
                    # step^2 times third derivatives of order 10, and rounding / step
                    np.testing.assert_allclose(np.cross(omega, point) + v, quotient, atol=1e-7)

    def test_no_step_is_no_move(self, trajectory, states):
        self.same(trajectory, trajectory.moved(np.zeros(self.n_learned(trajectory))), states)

    def test_learned_is_what_has_twists(self, trajectory):
        assert trajectory.is_learned == (self.n_learned(trajectory) > 0)

    def test_values_are_plain_numbers_and_come_back(self, trajectory, states, rng):
        elsewhere = trajectory.moved(rng.normal(size=self.n_learned(trajectory)))
        values = json.loads(json.dumps(elsewhere.values()))
        again = trajectory.with_values(values)
        self.same(again, elsewhere, states)
        np.testing.assert_allclose(again.twists(states), elsewhere.twists(states), atol=1e-12)

    def test_pickles(self, trajectory, states):
        self.same(pickle.loads(pickle.dumps(trajectory)), trajectory, states)

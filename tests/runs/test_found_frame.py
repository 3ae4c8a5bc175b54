"""Maps moved to another frame, against Gaussians in closed form."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_hypermol.molecules.sharing import point_group
from napari_hypermol.runs.found_frame import exchanged, in_frame, truth_in_frame
from napari_hypermol.runs.pose_scores import MIRROR, PoseScores
from napari_hypermol.runs.truth import TrueComponent, TrueHinge, Truth
from napari_hypermol.synthetic.gaussians import GaussianComponent

PLACES = np.array([[5.0, 1.0, -2.0], [-3.0, 5.0, 2.0], [0.0, -4.0, 6.0], [1.0, 3.0, 3.0]])
OFFSET = np.array([1.3, -0.6, 2.0])


def volume_of(places, size=32):
    ones = np.ones(len(places))
    component = GaussianComponent(
        "spots", lambda t: np.broadcast_to(places, (len(t), *places.shape)), ones, 2 * ones, False
    )
    return component.volume(0.0, size)


def frame_of(rng, is_mirrored):
    turn = Rotation.random(rng=rng).as_matrix()
    return turn @ MIRROR if is_mirrored else turn


@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_map_goes_where_its_points_go(size, is_mirrored, rng):
    frame = frame_of(rng, is_mirrored)
    moved = in_frame(volume_of(PLACES, size), frame, OFFSET)
    true = volume_of(PLACES @ frame.T + OFFSET, size)
    assert moved.shape == true.shape
    assert abs(moved - true).max() < 0.01 * true.max()
    back = volume_of(PLACES @ frame + OFFSET, size)
    assert abs(moved - back).max() > 0.3 * true.max()


def test_a_frame_that_changes_nothing():
    volume = volume_of(PLACES)
    np.testing.assert_allclose(in_frame(volume, np.eye(3), np.zeros(3)), volume, atol=1e-5)


def scores_of(frame, is_mirrored):
    one = np.zeros(1)
    rotation = frame @ MIRROR if is_mirrored else frame
    return PoseScores(rotation, is_mirrored, OFFSET, one, one, one.astype(int), one)


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_truth_moves_with_its_hinge(is_mirrored, rng):
    frame = frame_of(rng, is_mirrored)
    body = TrueComponent("body", np.zeros(1), volume_of(PLACES)[None])
    # a hinge through two of the points
    pivot, other = 3.0 * PLACES[0], 3.0 * PLACES[1]
    axis = (other - pivot) / np.linalg.norm(other - pivot)
    truth = Truth(np.zeros((5, 0)), None, [body], hinge=TrueHinge("body", axis, pivot))
    moved = truth_in_frame(truth, scores_of(frame, is_mirrored), 3.0)
    places = 3.0 * (PLACES @ frame.T + OFFSET)
    np.testing.assert_allclose(moved.hinge.pivot, places[0])
    along = np.cross(moved.hinge.axis, places[1] - places[0])
    np.testing.assert_allclose(along, 0, atol=1e-9)
    true = volume_of(PLACES @ frame.T + OFFSET)
    assert abs(moved.components[0].volumes[0] - true).max() < 0.01 * true.max()
    assert truth_in_frame(Truth(np.zeros((5, 1)), None, None), scores_of(frame, False), 3.0)


def arms_of(n_fold):
    """Copies of an arm about z, in the order of the turns, after a body that does not move."""
    arm = np.array([[8.0, 0.0, 0.0], [9.0, 3.0, 1.0]])
    components = [TrueComponent("body", np.zeros(1), volume_of(PLACES)[None])]
    for index, turn in enumerate(point_group(f"C{n_fold}")):
        swung = [volume_of(arm @ turn.T + [0, 0, height]) for height in (-1.0, 1.0)]
        components.append(TrueComponent(f"arm{index}", np.array([0.0, 1.0]), np.stack(swung)))
    return Truth(np.zeros((5, n_fold)), None, components)


def test_a_half_turn_exchanges_two_arms():
    np.testing.assert_array_equal(exchanged(arms_of(2), point_group("C2")), [[0, 1], [1, 0]])


def test_a_third_of_a_turn_passes_states_on():
    """Of V_0(S r), S a third of a turn, the first arm has gone back to where the last one was."""
    orders = exchanged(arms_of(3), point_group("C3"))
    np.testing.assert_array_equal(orders, [[0, 1, 2], [1, 2, 0], [2, 0, 1]])


def test_one_moving_component_is_its_own():
    truth = arms_of(1)
    np.testing.assert_array_equal(exchanged(truth, point_group("C2")), [[0], [0]])

"""Class averages against projections of the true molecule."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_hypermol.errors import HypermolError
from napari_hypermol.runs.class_averages import (
    class_averages,
    populated_directions,
    state_groups,
)
from napari_hypermol.runs.found_frame import in_frame
from napari_hypermol.runs.predictions import Predictions
from napari_hypermol.runs.state_axes import StateAxis
from napari_hypermol.runs.truth import read_truth


@pytest.fixture(scope="module")
def predictions(pretzel_run):
    run = pretzel_run.run
    return Predictions(run.read_particles().particles, run.snapshot)


def correlation(one, two):
    return np.corrcoef(one.ravel(), two.ravel())[0, 1]


def test_averages_are_true_projections(pretzel_run, predictions):
    truth = read_truth(pretzel_run.data / "truth.star")
    axis = predictions.snapshot.maps.axes[0]
    found = class_averages(predictions, axis, 0)
    assert len(found) == 9
    assert [one.direction for one in found] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    states = predictions.snapshot.posterior.state_mean[:, 0]
    sign = np.sign(np.corrcoef(states, truth.states[:, 0])[0, 1])
    body, arm, other = (c.volumes for c in truth.components)
    own, opposite = [], []
    for one, place in zip(found, (3, 10, 17) * 3, strict=True):
        place = place if sign > 0 else 20 - place
        if one.n_averaged < 4:
            continue
        volumes = (body[0] + arm[k] + other[10] for k in (place, 20 - place))
        true, wrong = (in_frame(v, one.rotation, np.zeros(3)).sum(axis=0) for v in volumes)
        own.append(correlation(one.average, true))
        opposite.append(correlation(one.average, wrong) if place != 10 else np.nan)
        assert correlation(one.average, one.projection) > 0.8
    assert len(own) >= 6
    assert np.mean(own) > 0.8
    assert np.mean(own) > np.nanmean(opposite)


def test_images_are_turned_as_their_poses_say(predictions):
    """Without the turn the average would be a blur, and worse."""
    from napari_hypermol.runs import class_averages as module

    members = populated_directions(predictions.posed.rotations, 1)[0]
    rotation = module._middle(predictions.posed.rotations[members])
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    right = module._average(predictions, 0, "", members, rotation)
    assert correlation(right.average, right.projection) > 0.85
    turned = Rotation.from_euler("z", 90, degrees=True).as_matrix() @ rotation
    other = module._average(predictions, 0, "", members, turned)
    assert correlation(other.average, other.projection) > 0.85
    assert correlation(other.average, right.projection) < 0.8


def test_most_populated_first():
    rng = np.random.default_rng(1)
    few, many = (Rotation.from_rotvec(v).as_matrix() for v in ([2.0, 0, 0], [0, 1.0, 0]))
    jitter = Rotation.from_rotvec(rng.normal(scale=0.02, size=(30, 3))).as_matrix()
    rotations = np.concatenate([jitter[:10] @ few, jitter[10:] @ many])
    first, second = populated_directions(rotations, 2)
    assert sorted(first) == list(range(10, 30))
    assert sorted(second) == list(range(10))
    assert len(populated_directions(rotations, 9)) == 2


def test_groups():
    states = np.linspace(0, 1, 9)
    low, middle, high = state_groups(StateAxis("tau1", "arm"), states).values()
    assert [g.sum() for g in (low, middle, high)] == [3, 3, 3]
    assert high[-1]
    circle = state_groups(StateAxis("tau1", "wheel", "circle"), np.array([0.1, 0.9, 0.95]))
    assert [g.sum() for g in circle.values()] == [1, 0, 2]
    classes = state_groups(StateAxis("tau1", "lobe", "class", 2), np.array([0.25, 0.75, 0.75]))
    assert {name: g.sum() for name, g in classes.items()} == {"class 1": 1, "class 2": 2}


def test_before_the_states_begin(predictions):
    with pytest.raises(HypermolError, match="wait"):
        class_averages(predictions, StateAxis("tau9", "arm"), 8)

import numpy as np
import pytest

from napari_hypermol.synthetic.wheel import wheel

HUB = 9  # its Gaussians come first


@pytest.fixture(scope="module")
def component():
    return wheel(64).components[0]


def test_only_the_rotor_turns_and_comes_back(component):
    assert component.kind == "circle"
    places = component.centres(np.array([0.0, 0.25, 0.5, 1.0]))
    np.testing.assert_array_equal(places[0, :HUB], places[1, :HUB])
    np.testing.assert_allclose(places[0], places[3], atol=1e-12)
    moved = np.linalg.norm(places[0, HUB:] - places[2, HUB:], axis=1)
    assert moved.max() > 15  # voxels of 64


def test_equal_steps_of_the_state_are_equal_turns(component):
    """Chords of a circle: 2 r sin(half the angle), the same r from every start."""
    tip = component.centres(np.array([0.0, 0.1, 0.35, 0.5]))[:, HUB + 2]
    tenth, quarter = np.linalg.norm(tip[1] - tip[0]), np.linalg.norm(tip[2] - tip[1])
    half = np.linalg.norm(tip[3] - tip[0])
    assert tenth == pytest.approx(half * np.sin(np.pi * 0.1))
    assert quarter == pytest.approx(half * np.sin(np.pi * 0.25))


def test_no_turn_maps_the_rotor_onto_itself(component):
    """Nor is it nearly symmetric: maps of all states but neighbours differ."""
    maps = np.array([component.volume(t / 12, 64).ravel() for t in range(12)])
    maps -= maps.mean(axis=0)
    power = (maps**2).sum(axis=1)
    correlation = maps @ maps.T / np.sqrt(np.outer(power, power))
    steps = (np.arange(12)[:, None] - np.arange(12)[None]) % 12
    far = (steps >= 2) & (steps <= 10)
    assert correlation[far].max() < 0.6


def test_the_hub_has_no_symmetry_about_the_axis(component):
    hub = component.centres(np.zeros(1))[0, :HUB]
    for fold in range(2, 7):
        angle = 2 * np.pi / fold
        turn = np.array(
            [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
        )
        nearest = np.linalg.norm(hub[:, None] - (hub @ turn.T)[None], axis=-1).min(axis=1)
        assert nearest.max() > 3


@pytest.mark.parametrize("box_size", [32, 64])
def test_it_scales_with_the_box_and_stays_inside(box_size, component):
    states = np.linspace(0, 1, 9)
    other = wheel(box_size).components[0]
    np.testing.assert_allclose(other.centres(states), component.centres(states) * box_size / 64)
    reach = np.linalg.norm(other.centres(states), axis=-1) + 2 * other.widths
    assert reach.max() < 26 / 64 * box_size  # the ball of its recipe

import numpy as np
import pytest

from examples import one_ball, pretzel_like
from napari_hypermol.errors import ShapeError
from napari_hypermol.runs.maps import HyperMaps


def random_maps(rng, composite, max_radius=6):
    molecule = composite.discretise(max_radius)
    return HyperMaps(molecule, rng.normal(size=molecule.n_coefficients).astype(np.float32))


@pytest.fixture
def maps(rng):
    return random_maps(rng, pretzel_like(16))


def test_axes_are_named_after_components(maps):
    assert maps.dims == 2
    assert maps.axis_names == ("tau1", "tau2")
    assert maps.axis_components == ("arm", "copy")
    assert maps.box_size == 16


def test_whole_is_the_sum_of_components(maps):
    parts = [("body", []), ("arm", [0.2]), ("copy", [0.9])]
    total = sum(maps.component_volume(name, states) for name, states in parts)
    np.testing.assert_allclose(maps.volume([0.2, 0.9]), total, atol=1e-5 * abs(total).max())
    assert maps.volume([0.2, 0.9]).dtype == np.float32


def test_each_state_moves_its_own_component(maps):
    difference = maps.volume([0.1, 0.5]) - maps.volume([0.8, 0.5])
    own = maps.component_volume("arm", [0.1]) - maps.component_volume("arm", [0.8])
    np.testing.assert_allclose(difference, own, atol=1e-5 * abs(own).max())
    assert abs(own).max() > 0


def test_mean_over_states_is_function_zero(rng):
    maps = random_maps(rng, one_ball(12, degree=3))
    steps = (np.arange(200) + 0.5) / 200
    mean = np.mean([maps.volume([t]) for t in steps], axis=0)
    molecule = maps.molecule
    (part,) = molecule.split(maps.theta)
    only_mean = part * (np.arange(len(part)) == 0)[:, None]
    expected = HyperMaps(molecule, only_mean.ravel()).volume([0.5])
    # midpoint sums of cos(pi q tau) vanish but for rounding
    np.testing.assert_allclose(mean, expected, atol=1e-5 * abs(expected).max())


def test_contrast_limits_hold_every_state(maps):
    low, high = maps.contrast_limits
    corners = [(s, t) for s in (0, 0.5, 1) for t in (0, 0.5, 1)]
    assert low == 0
    assert high == pytest.approx(max(maps.volume(c).max() for c in (*corners, (0.25, 1))), rel=0.3)
    assert high >= max(maps.volume(c).max() for c in corners)


def test_limits_of_an_empty_molecule():
    molecule = pretzel_like(16).discretise(6)
    assert HyperMaps(molecule, molecule.zeros()).contrast_limits == (0.0, 1.0)


@pytest.mark.parametrize("states", [[], [0.5], [0.5, 0.5, 0.5], [[0.5, 0.5]]])
def test_wrong_number_of_states(maps, states):
    with pytest.raises(ShapeError, match=r"expected 2 numbers in \[0, 1\]"):
        maps.volume(states)


def test_rigid_molecule(rng):
    composite = one_ball(12)
    maps = HyperMaps(composite.discretise(5, 0), np.ones(1, dtype=np.float32))
    molecule = maps.molecule
    maps = HyperMaps(molecule, rng.normal(size=molecule.n_coefficients).astype(np.float32))
    assert maps.volume([0.3]).shape == (12, 12, 12)
    np.testing.assert_array_equal(maps.volume([0.3]), maps.volume([0.9]))

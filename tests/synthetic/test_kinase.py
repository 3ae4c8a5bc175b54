import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from napari_hypermol.synthetic.kinase import kinase

CORE, LID, NMP = slice(0, 640), slice(640, 800), slice(800, 900)


def places(states, box_size=64):
    return kinase(box_size).components[0].centres(np.asarray(states, dtype=float))


def turn_between(one, two):
    """Angle of the rigid motion from `one` to `two` [degrees], and how far from rigid it is."""
    a, b = one - one.mean(axis=0), two - two.mean(axis=0)
    rotation, distance = Rotation.align_vectors(b, a)
    return np.degrees(rotation.magnitude()), distance


def test_it_is_the_same_molecule_every_time_and_scales_with_the_box():
    np.testing.assert_array_equal(places([0.3]), places([0.3]))
    np.testing.assert_allclose(places([0.3]), 2 * places([0.3], 32))


def test_two_domains_turn_rigidly_over_a_core_that_stands_still():
    low, high = places([0.0, 1.0])
    np.testing.assert_array_equal(low[CORE], high[CORE])
    for domain, degrees in ((LID, 45), (NMP, 30)):
        angle, misfit = turn_between(low[domain], high[domain])
        assert angle == pytest.approx(degrees, abs=1e-6)
        assert misfit < 1e-6


def test_domains_are_coupled_and_the_lid_goes_first():
    low, half, high = places([0.0, 0.5, 1.0])
    shares = [
        turn_between(low[d], half[d])[0] / turn_between(low[d], high[d])[0] for d in (LID, NMP)
    ]
    assert shares == pytest.approx([0.5, 0.375], abs=1e-6)


def test_it_closes():
    distances = [
        np.linalg.norm(at[LID].mean(axis=0) - at[NMP].mean(axis=0))
        for at in places(np.linspace(0, 1, 6))
    ]
    assert (np.diff(distances) < -1).all()
    assert distances[-1] < 0.75 * distances[0]


def test_it_spans_three_fifths_of_its_box_and_stays_in_it():
    assert pdist(places([0.0])[0]).max() / 64 == pytest.approx(0.6, abs=0.05)
    at = places(np.linspace(0, 1, 5))
    assert np.linalg.norm(at, axis=-1).max() < 26 - 2 * 1.25  # its recipe's ball, less two widths


def test_no_rotation_brings_it_onto_itself():
    """Asymmetrical: the principal moments are all different, and it is skewed along each axis."""
    at = places([0.5])[0]
    at = at - at.mean(axis=0)
    moments, axes = np.linalg.eigh(at.T @ at / len(at))
    assert np.diff(np.sqrt(moments)).min() > 0.5
    skewness = ((at @ axes) ** 3).mean(axis=0) / moments**1.5
    assert (abs(skewness) > 0.1).sum() >= 2  # a two-fold axis would leave one at most

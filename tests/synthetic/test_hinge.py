import numpy as np

from napari_hypermol.synthetic.hinge import hinge


def test_it_is_the_same_molecule_every_time_and_scales_with_the_box():
    places = [hinge(size).components[0].centres(np.array([0.3]))[0] for size in (64, 64, 32)]
    np.testing.assert_array_equal(places[0], places[1])
    np.testing.assert_allclose(places[0], 2 * places[2])


def test_one_domain_stands_still_and_the_other_turns_rigidly():
    low, high = hinge(64).components[0].centres(np.array([0.0, 1.0]))
    half = len(low) // 2
    np.testing.assert_array_equal(low[:half], high[:half])
    moved = np.linalg.norm(low[half:] - high[half:], axis=1)
    assert moved.min() > 0.1
    assert moved.max() < 64 / 4
    spread = [np.linalg.norm(x[half:, None] - x[None, half:], axis=-1) for x in (low, high)]
    np.testing.assert_allclose(*spread, atol=1e-9)


def test_it_fits_its_box():
    places = hinge(64).components[0].centres(np.linspace(0, 1, 5))
    assert np.linalg.norm(places, axis=-1).max() < 26  # the radius of its recipe's ball

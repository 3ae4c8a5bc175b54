import numpy as np

from napari_hypermol.synthetic.globule import globule


def test_a_chain_of_equal_steps_inside_its_ball(rng):
    places = globule(rng, 5.0, 200)
    assert places.shape == (200, 3)
    np.testing.assert_array_equal(places[0], 0)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    np.testing.assert_allclose(steps, 1.3)
    reach = np.linalg.norm(places, axis=1)
    assert reach.max() < 5.0
    assert reach.max() > 4.0  # 200 steps of 1.3 fill a ball of 5


def test_the_generator_decides():
    one, same, other = (globule(np.random.default_rng(s), 6.0, 30) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)

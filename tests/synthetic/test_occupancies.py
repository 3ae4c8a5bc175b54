import numpy as np
import pytest
from scipy.special import betainc

from napari_hypermol.synthetic.cat import cat
from napari_hypermol.synthetic.classes import classes
from napari_hypermol.synthetic.occupancies import OCCUPANCIES, draw_states


def test_mixtures_are_densities():
    for mixture in OCCUPANCIES.values():
        assert sum(share for share, _, _ in mixture) == pytest.approx(1)


def test_uniform_states_are_the_numbers_themselves(rng):
    numbers = rng.uniform(size=5)
    np.testing.assert_array_equal(draw_states(cat(16).components[0], "uniform", numbers), numbers)


def test_bimodal_states_follow_their_mixture(rng):
    n = 20_000
    states = draw_states(cat(16).components[0], "bimodal", rng.uniform(size=n))
    at = np.linspace(0.05, 0.95, 10)
    expected = 0.5 * betainc(8, 2.5, at) + 0.5 * betainc(2.5, 8, at)
    shares = (states[:, None] <= at).mean(axis=0)
    # largest distance of an empirical distribution: 1.63 / sqrt(n) in one of a hundred draws
    np.testing.assert_allclose(shares, expected, atol=1.63 / np.sqrt(n))


def test_ends_of_the_numbers_stay_in_range():
    states = draw_states(cat(16).components[0], "bimodal", np.array([0.0, 0.5, 1.0]))
    assert ((states >= 0) & (states <= 1)).all()


def test_classes_by_their_own_populations():
    numbers = np.array([0.0, 0.39, 0.41, 0.69, 0.71, 0.89, 0.91, 0.999])
    states = draw_states(classes(16).components[0], "uniform", numbers)
    np.testing.assert_allclose(states, np.repeat([0.125, 0.375, 0.625, 0.875], 2))

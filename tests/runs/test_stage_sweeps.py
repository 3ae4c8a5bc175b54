"""What a sweep estimates beside states and coefficients; whole stages are in `test_recover`."""

import numpy as np
import pytest

from examples import pretzel_like
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs import stage_sweeps as module
from napari_hypermol.samplers.state_draws import StateDraw


def posterior(contrasts, spread=0.0):
    n = len(contrasts)
    first = np.outer(contrasts, [1.0, 0.5]).astype(np.float32)
    second = np.einsum("nq,np->nqp", first, first)
    nothing = np.zeros((n, 0))
    return ParticlePosterior(
        nothing, nothing, contrasts, np.full(n, spread), first, second, np.zeros(n), ()
    )


def test_contrasts_are_one_on_average_and_the_molecule_takes_the_rest(rng):
    given = posterior(rng.uniform(1.1, 1.5, 40), spread=0.2)
    scale = given.contrast_mean.mean()
    n = len(given.contrast_mean)
    drawn = StateDraw(
        np.zeros((n, 0)), np.ones((n, 2)), given.contrast_mean, np.zeros(n), given.state_mean
    )
    unit, moved = module._unit_contrast(given, drawn)
    np.testing.assert_allclose(moved.contrasts * scale, drawn.contrasts)
    assert module._unit_contrast(given)[1] is None
    assert unit.contrast_mean.mean() == pytest.approx(1)
    np.testing.assert_allclose(unit.contrast_std, 0.2 / scale)
    np.testing.assert_allclose(unit.first * scale, given.first, rtol=1e-6)
    np.testing.assert_allclose(unit.second * scale**2, given.second, rtol=1e-6)


def test_spread_of_contrasts_counts_both_the_means_and_their_uncertainty(rng):
    means = 1 + 0.3 * rng.choice([-1, 1], 50)
    assert module._contrast_spread(posterior(means, 0.4)) == pytest.approx(0.5)
    assert module._contrast_spread(posterior(np.ones(5))) == 0.02  # never quite known
    assert module._contrast_spread(posterior(np.full(5, 4.0))) == 0.5


def test_states_move_the_short_way_round_a_circle():
    ball = Ball((0, 0, 0), 6.0, 1.0)
    circle = Composite((Component("wheel", ball, FourierBasis(1)),), 16).discretise(4.0, 1)
    range_ = pretzel_like(16, degree=1).discretise(4.0, 1)
    one, two = np.array([[0.95], [0.5]]), np.array([[0.05], [0.4]])
    assert module._movement(one, two, circle) == pytest.approx(0.1)
    wide = [np.repeat(states, 2, axis=1) for states in (one, two)]
    assert module._movement(*wide, range_) == pytest.approx(0.5)


def test_nothing_has_settled_before_there_is_something_to_compare():
    still = pretzel_like(16, degree=1).discretise(4.0, 0)
    assert module._movement(None, np.zeros((3, 1)), still) == 1
    assert module._movement(np.zeros((3, 0)), np.zeros((3, 0)), still) == 1

"""Particles in order along their path: open curves in noise, then small simulated pretzels."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import spearmanr

from curves import OPEN_CURVES, ball, open_curve, walk_length
from napari_hypermol.bases.classes import ClassBasis
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.bases.polynomial import LegendreBasis
from napari_hypermol.molecules.component import Component, rotation_about
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.molecules.trajectory import RigidTrajectory, Turn
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.path_start import (
    can_be_threaded,
    path_ranks,
    path_states,
    threaded_posterior,
)
from small_starts import pretzels

BALL = Ball((0, 0, 0), 4.0, 1.0)
TURN = RigidTrajectory(Turn(np.array([0.0, 0, 1]), np.zeros(3), np.array([0.3])))


# ---- curves --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", [3, 8])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", OPEN_CURVES)
def test_open_curve_is_followed_from_end_to_end(name, seed, dims):
    rng = np.random.default_rng(seed)
    true, points = open_curve(name, rng, 1200, dims, 0.15)
    assert abs(spearmanr(path_ranks(points, rng), true).statistic) > 0.98  # 0.992 to 0.998


def test_strongest_axis_does_not_give_the_order():
    """Down and up again: a single coordinate takes the two arms of a V for one."""
    true, points = open_curve("V", np.random.default_rng(0), 1200, 3, 0.15)
    axis = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2][0]
    assert abs(spearmanr(points @ axis, true).statistic) < 0.3


@pytest.mark.parametrize("name", ["V", "three cosines"])
def test_order_is_lost_where_noise_bridges_the_gap(name):
    """The score can fail, and so can the method."""
    rng = np.random.default_rng(1)
    true, points = open_curve(name, rng, 1200, 3, 0.4)
    assert abs(spearmanr(path_ranks(points, rng), true).statistic) < 0.7


def test_a_ball_has_no_path(rng):
    points = ball(rng, 1000, 3)
    assert walk_length(points, path_ranks(points, rng)) > 0.6


def test_all_of_the_range_is_used_evenly(rng):
    along = rng.beta(2, 5, size=400)  # most particles are near one end
    points = np.stack([4 * along, along**2], axis=1)
    found = path_ranks(points + 0.01 * rng.normal(size=points.shape), rng)
    np.testing.assert_allclose(np.sort(found), (np.arange(400) + 0.5) / 400)
    assert abs(spearmanr(found, along).statistic) > 0.99


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 12, 16])
def test_a_handful_of_particles_is_enough_to_begin(n):
    """Fewer than the neighbours that are asked for."""
    along = (np.arange(n) + 0.5) / n
    found = path_ranks(np.stack([along, along**2], axis=1), np.random.default_rng(0))
    np.testing.assert_allclose(np.sort(found), along)


def test_same_generator_same_ranks():
    _, points = open_curve("V", np.random.default_rng(0), 700, 6, 0.15)
    one, two = (path_ranks(points, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


# ---- molecules -----------------------------------------------------------------------------------


def molecule_of(basis, degree, trajectory=None):
    """A still body and a component with this state, at this band limit in the state."""
    parts = (
        Component("body", Ball((-5, 0, 0), 3.0, 1.0), ConstantBasis()),
        Component("arm", BALL, basis, trajectory=trajectory),
    )
    return Composite(parts, 16).discretise(5.0, degree)


@pytest.mark.parametrize(
    ("molecule", "expected"),
    [
        (partial(molecule_of, CosineBasis(3), 2), True),
        (partial(molecule_of, CosineBasis(5), 5), True),
        (partial(molecule_of, LegendreBasis(3), 2), True),
        (partial(molecule_of, CosineBasis(3), 0), False),  # the mean
        (partial(molecule_of, CosineBasis(3), 1), False),  # a line has one order
        (partial(molecule_of, CosineBasis(1), 5), False),
        (partial(molecule_of, FourierBasis(3), 3), False),
        (partial(molecule_of, ClassBasis(4), 3), False),
        (partial(molecule_of, ConstantBasis(), 3), False),
        (partial(molecule_of, ConstantBasis(), 3, TURN), False),
        (partial(molecule_of, CosineBasis(3), 3, TURN), False),
    ],
)
def test_which_molecules_can_be_threaded(molecule, expected):
    assert can_be_threaded(molecule()) is expected


@pytest.fixture
def three():
    """A body, an arm on an interval, a ring and a copy of the arm, in one molecule."""
    parts = (
        Component("body", Ball((-5, 0, 0), 3.0, 1.0), ConstantBasis()),
        Component("arm", BALL, CosineBasis(3)),
        Component("ring", BALL, FourierBasis(1)),
        Component(
            "other", BALL, CosineBasis(3), shares="arm", rotation=rotation_about((0, 0, 1), np.pi)
        ),
    )
    return Composite(parts, 16).discretise(5.0, 3)


def uncertain_posterior(molecule, rng, n=6, draws=40):
    """Moments of particles whose states and contrasts are known by 40 draws each."""
    contrasts = 1 + 0.1 * rng.normal(size=(n, draws))
    states = rng.random((n, draws, 3))
    functions = [np.ones((n, draws, 1))]
    for axis, m in enumerate((1, 2, 3)):
        values = molecule.state_bases[m].evaluate(states[:, :, axis].reshape(-1, 1))
        functions.append(values.reshape(n, draws, -1))
    c = contrasts[:, :, None] * np.concatenate(functions, axis=2)
    return ParticlePosterior(
        states.mean(axis=1), states.std(axis=1), contrasts.mean(axis=1), contrasts.std(axis=1),
        c.mean(axis=1).astype(np.float32),
        (np.einsum("nkp,nkq->npq", c, c) / draws).astype(np.float32),
        rng.random(n), (),
    )  # fmt: skip


def test_moments_are_those_of_known_states(three, rng):
    old = uncertain_posterior(three, rng)
    own = rng.random(6)
    new = threaded_posterior(three, old, {1: own})
    arm = three.columns[1]
    for i in range(6):
        # 1 and sqrt 2 cos(pi q t), of one state, times a contrast with the mean and spread it had
        c = np.array([1, *(np.sqrt(2) * np.cos(np.pi * q * own[i]) for q in (1, 2, 3))])
        a = old.contrast_mean[i] + old.contrast_std[i] * np.array([-1, 1])
        np.testing.assert_allclose(new.first[i, arm], a.mean() * c, rtol=1e-5, atol=1e-6)
        square = (a**2).mean() * np.outer(c, c)
        np.testing.assert_allclose(new.second[i, arm, arm], square, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(new.state_mean[:, 0], own)
    assert new.first.dtype == new.second.dtype == np.float32


def test_other_components_and_contrasts_stay_as_they_are(three, rng):
    old = uncertain_posterior(three, rng)
    before = [np.copy(part) for part in old[:-1]]
    new = threaded_posterior(three, old, {1: rng.random(6)})
    others = np.setdiff1d(np.arange(old.first.shape[1]), np.arange(4) + three.columns[1].start)
    np.testing.assert_array_equal(new.state_mean[:, 1:], old.state_mean[:, 1:])
    np.testing.assert_array_equal(new.first[:, others], old.first[:, others])
    block = (slice(None), others[:, None], others)
    np.testing.assert_array_equal(new.second[block], old.second[block])
    np.testing.assert_array_equal(new.contrast_mean, old.contrast_mean)
    np.testing.assert_array_equal(new.contrast_std, old.contrast_std)
    for was, part in zip(before, old[:-1], strict=True):
        np.testing.assert_array_equal(was, part)  # the given one is not written into


def test_second_moments_are_a_covariance(three, rng):
    """E[a^2 c c^T] - E[a c] E[a c]^T has no negative eigenvalue: no solve is ill-posed for it."""
    new = threaded_posterior(three, uncertain_posterior(three, rng), {1: rng.random(6)})
    covariance = new.second - new.first[:, :, None] * new.first[:, None, :]
    scale = np.linalg.eigvalsh(new.second).max()
    assert np.linalg.eigvalsh(covariance.astype(np.float64)).min() > -0.01 * scale


def test_nothing_in_order_nothing_changed(three, rng):
    old = uncertain_posterior(three, rng)
    new = threaded_posterior(three, old, {})
    for one, two in zip(new[:-1], old[:-1], strict=True):
        np.testing.assert_array_equal(one, two)


def test_copies_run_the_same_way_along_their_path():
    """Both arms of the pretzel are one molecule: one direction for both, and each its own order."""
    small = pretzels()
    found = path_states(small.problem, small.estimate, np.random.default_rng(1))
    assert list(found) == [1, 2]  # the body has none
    signed = [spearmanr(found[m], small.true[:, axis]).statistic for axis, m in enumerate((1, 2))]
    assert min(abs(s) for s in signed) > 0.8  # 0.90 to 0.91 in three stacks: noise of single images
    assert signed[0] * signed[1] > 0
    assert abs(spearmanr(found[1], small.true[:, 1]).statistic) < 0.2

"""Means over draws of poses: rotations, spreads that tell the error, states of the mixture."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from examples import pretzel_like, scene
from napari_hypermol.coordinates.rotations import angles_between, turned
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.pose_average import _Sums, averaged, chordal_mean
from napari_hypermol.runs.pose_prior import pose_prior
from napari_hypermol.runs.pose_step import PoseSettings, pose_step
from napari_hypermol.runs.sweep import expectation, state_tables
from small_poses import PIXEL, rigid_stack

REFINE = PoseSettings("refine", "refine", rotation_std=np.radians(8.0), shift_std=PIXEL)


@pytest.fixture(scope="module")
def small():
    return rigid_stack()


def test_chordal_mean_is_scipys(rng):
    draws = Rotation.random(6, rng=rng).as_matrix()
    spread = Rotation.from_rotvec(rng.normal(scale=0.4, size=(30, 6, 3)).reshape(-1, 3))
    draws = spread.as_matrix().reshape(30, 6, 3, 3) @ draws
    found = chordal_mean(draws.mean(axis=0))
    expected = [Rotation.from_matrix(draws[:, i]).mean().as_matrix() for i in range(6)]
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_chordal_mean_is_a_rotation_even_of_a_mean_that_is_nearly_a_reflection(rng):
    mean = np.diag([1.0, 1.0, -0.1])[None] + 0.01 * rng.normal(size=(4, 3, 3))
    found = chordal_mean(mean)
    np.testing.assert_allclose(np.linalg.det(found), 1)
    np.testing.assert_allclose(
        found @ found.swapaxes(1, 2), np.tile(np.eye(3), (4, 1, 1)), atol=1e-12
    )


@pytest.fixture(scope="module")
def found(small):
    """After some steps from the told poses: means and spreads over draws."""
    rng = np.random.default_rng(5)
    prior = pose_prior(small.told, small.rows, REFINE)
    problem, _ = pose_step(small.problem(small.told), small.estimate, None, prior, REFINE, rng, 30)
    tables = state_tables(small.molecule)
    posterior = expectation(problem, small.estimate, tables, rng)
    return averaged(
        problem, small.estimate, posterior, prior, REFINE, rng, n_draws=16, n_steps=6
    )  # fmt: skip


def test_means_over_draws_are_poses(small, found):
    _, posterior, poses = found
    n = len(small.rows)
    assert poses.rotations.shape == (n, 3, 3)
    np.testing.assert_allclose(np.linalg.det(poses.rotations), 1, atol=1e-5)
    assert poses.shifts.shape == (n, 2)
    assert posterior.log_evidence.shape == posterior.contrast_mean.shape == (n,)
    assert np.isfinite(posterior.log_evidence).all()
    assert (posterior.contrast_std > 0).all()
    assert posterior.contrast_mean.mean() == pytest.approx(1, abs=0.1)


def test_spread_over_draws_tells_the_error(small, found):
    """Of a mean over draws the error is the posterior's spread, where the model is right."""
    _, _, poses = found
    error = angles_between(poses.rotations, small.true.rotations)
    ratio = np.sqrt(np.median(error**2) / np.median(poses.rotation_std**2))
    # the map is made of these particles, and 96 steps are a short chain: within a factor of two
    assert 0.5 < ratio < 2
    shift_error = (poses.shifts - small.true.shifts)[:, 0]
    ratio = np.sqrt(np.median(shift_error**2) / np.median(poses.shift_std**2))
    assert 0.3 < ratio < 2


def test_what_is_not_sampled_has_no_spread(small):
    rng, settings = np.random.default_rng(0), PoseSettings("known", "refine", None, PIXEL)
    problem = small.problem(small.told).of(np.arange(20))
    prior = pose_prior(small.told, np.arange(20), settings)
    posterior = expectation(problem, small.estimate, (), rng)
    _, _, poses = averaged(problem, small.estimate, posterior, prior, settings, rng, 3, 2)
    np.testing.assert_allclose(poses.rotation_std, 0, atol=1e-4)  # [rad], float32's rounding
    assert (poses.shift_std > 0).mean() > 0.5  # a few steps; some are still where they were


def test_averages_can_be_stopped(small):
    class Stopped(Exception):
        pass

    def stop(draw):
        told.append(draw)
        if draw == 2:
            raise Stopped

    rng, told = np.random.default_rng(0), []
    problem = small.problem(small.told).of(np.arange(4))
    prior = pose_prior(small.told, np.arange(4), REFINE)
    posterior = expectation(problem, small.estimate, (), rng)
    with pytest.raises(Stopped):
        averaged(problem, small.estimate, posterior, prior, REFINE, rng, 3, 2, stop)
    assert told == [0, 1, 2]


def sums_of(draws, tables):
    sums = _Sums()
    for rotations, shifts, posterior in draws:
        sums.add(SimpleNamespace(rotations=rotations, shifts=shifts), posterior)
    return sums.posterior(draws[-1][2], tables), sums.poses()


def test_sums_are_means_and_spreads_of_the_draws(rng):
    """Against all draws kept; states that of the mixture of the draws' posteriors."""
    n, tables = 5, state_tables(scene(pretzel_like(16), 5.0).molecule)
    centre, draws = Rotation.random(n, rng=rng).as_matrix(), []
    for contrast in (0.8, 1.2, 1.0):
        nothing = np.zeros((n, 0))
        found = tuple(rng.dirichlet(np.ones(len(t.states)), n).astype(np.float32) for t in tables)
        posterior = ParticlePosterior(
            nothing, nothing, np.full(n, contrast), np.full(n, 0.1), nothing, nothing,
            rng.normal(size=n), found,
        )  # fmt: skip
        rotations = turned(centre, rng.normal(scale=0.3, size=(n, 3))).astype(np.float32)
        draws.append((rotations, 100 + rng.normal(size=(n, 2)), posterior))
    mixed, poses = sums_of(draws, tables)
    for m, table in enumerate(tables):
        expected = np.mean([d[2].tables[m] for d in draws], axis=0)
        np.testing.assert_allclose(mixed.tables[m], expected, rtol=1e-6)
        np.testing.assert_allclose(mixed.state_mean[:, m], expected @ table.states[:, 0], rtol=1e-6)
    np.testing.assert_allclose(mixed.contrast_mean, 1.0)
    # law of total variance: within, and between
    np.testing.assert_allclose(mixed.contrast_std, np.hypot(0.1, np.std([0.8, 1.2, 1.0])))
    np.testing.assert_allclose(mixed.log_evidence, np.mean([d[2].log_evidence for d in draws], 0))
    mean = chordal_mean(np.mean([d[0] for d in draws], axis=0, dtype=np.float64))
    np.testing.assert_allclose(poses.rotations, mean, atol=1e-6)
    away = np.array([angles_between(d[0], mean) for d in draws])
    np.testing.assert_allclose(poses.rotation_std, np.sqrt((away**2).mean(axis=0)), rtol=1e-5)
    shifts = np.array([d[1] for d in draws])
    np.testing.assert_allclose(poses.shifts, shifts.mean(axis=0))
    np.testing.assert_allclose(poses.shift_std, np.sqrt(shifts.var(axis=0).mean(axis=1)), rtol=1e-9)

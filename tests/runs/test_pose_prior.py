"""Poses are near those of the file; how near can be learned from where they are found."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.runs.pose_prior import FIRST_ROTATION_STD, learned, pose_prior
from napari_hypermol.runs.pose_step import Poses, PoseSettings
from small_poses import PIXEL, rigid_stack

REFINE = PoseSettings("refine", "refine", rotation_std=np.radians(8.0), shift_std=PIXEL)


@pytest.fixture(scope="module")
def small():
    return rigid_stack()


def test_shifts_are_in_pixels_about_those_of_the_file(small):
    rows = small.rows[3:9]
    prior = pose_prior(small.told, rows, REFINE._replace(shift_std=3.0))
    np.testing.assert_allclose(prior.shifts, small.told.shifts[rows] / PIXEL)
    assert prior.shift_precision == pytest.approx((PIXEL / 3.0) ** 2)


def test_shifts_from_nothing_are_about_the_middle(small):
    prior = pose_prior(small.told, small.rows, PoseSettings("search", "search"))
    np.testing.assert_array_equal(prior.shifts, 0)
    assert prior.shift_precision > 0  # a particle is somewhere near the middle of its image
    assert prior.rotation_precision == 0


def test_rotations_are_near_the_files(small):
    prior = pose_prior(small.told, small.rows[:9], REFINE)
    np.testing.assert_allclose(prior.rotations, small.told.rotations[:9], atol=1e-6)
    assert prior.rotation_precision == pytest.approx(np.radians(8.0) ** -2)
    free = pose_prior(small.told, small.rows[:9], REFINE._replace(rotation_std=None))
    assert free.rotation_precision == 0
    bare = pose_prior(small.told._replace(rotations=None), small.rows[:9], REFINE)
    assert bare.rotation_precision == 0


# ---- learned -----------------------------------------------------------------------------------

N = 4000


def turned_by(rng, rotations, std):
    turns = Rotation.from_rotvec(rng.normal(scale=std, size=(len(rotations), 3))).as_matrix()
    return (turns @ rotations).astype(np.float32)


def poses_at(rotations, spread=0.0):
    n = len(rotations)
    return Poses(rotations, np.zeros((n, 2)), np.full(n, spread), np.zeros(n))


@pytest.fixture
def prior(rng):
    about = Rotation.random(N, random_state=rng).as_matrix().astype(np.float32)
    return PosePrior(about, FIRST_ROTATION_STD**-2, np.zeros((N, 2)), 1.0)


@pytest.mark.parametrize("degrees", [0.5, 3.0, 15.0])
def test_a_known_spread_is_found(rng, prior, degrees):
    found = learned(prior, poses_at(turned_by(rng, prior.rotations, np.radians(degrees))))
    # the median of N lengths scatters by 0.7 / sqrt(N) of itself
    assert np.degrees(found.rotation_precision**-0.5) == pytest.approx(degrees, rel=4 * 0.7 / 63)
    assert found.shift_precision == prior.shift_precision


def test_the_spread_of_means_counts_what_is_uncertain_about_them(rng, prior):
    std, own = np.radians(5.0), np.radians(3.0)
    # each particle by itself says where it is with an error of `own`; combined with the prior
    draws = turned_by(rng, prior.rotations, std)
    seen = turned_by(rng, draws, own)
    pull = std**2 / (std**2 + own**2)
    turns = Rotation.from_matrix(seen @ np.swapaxes(prior.rotations, 1, 2)).as_rotvec()
    means = (Rotation.from_rotvec(pull * turns).as_matrix() @ prior.rotations).astype(np.float32)
    left = np.sqrt(3 * std**2 * own**2 / (std**2 + own**2))
    found = learned(prior, poses_at(means, left))
    assert np.degrees(found.rotation_precision**-0.5) == pytest.approx(5.0, rel=0.06)
    without = learned(prior, poses_at(means))
    assert np.degrees(without.rotation_precision**-0.5) < 4.5


def test_a_tenth_far_astray_widens_it_little(rng, prior):
    rotations = turned_by(rng, prior.rotations, np.radians(4.0))
    rotations[::10] = Rotation.random(N // 10, random_state=rng).as_matrix()
    found = learned(prior, poses_at(rotations))
    assert 4.0 < np.degrees(found.rotation_precision**-0.5) < 4.6


def test_nothing_is_learned_before_anything_moved_nor_of_uniform_rotations(prior, rng):
    assert learned(prior, poses_at(prior.rotations)) is prior
    uniform = prior._replace(rotation_precision=0.0)
    assert learned(uniform, poses_at(turned_by(rng, prior.rotations, 0.1))) is uniform


def test_learning_goes_on_to_the_likeliest(rng, prior):
    """Draws from the posterior under the present prior, and the prior from them, in turns."""
    own, truth = np.radians(4.0), np.radians(3.0)
    vectors = rng.normal(scale=np.hypot(own, truth), size=(N, 3))  # what images say, from the file
    for _ in range(40):
        var = 1 / prior.rotation_precision
        pull = var / (var + own**2)
        drawn = pull * vectors + np.sqrt(pull) * own * rng.normal(size=(N, 3))
        turns = Rotation.from_rotvec(drawn).as_matrix()
        prior = learned(prior, poses_at((turns @ prior.rotations).astype(np.float32)))
    assert np.degrees(prior.rotation_precision**-0.5) == pytest.approx(3.0, rel=0.1)

"""Poses looked for again: particles on the wrong side come back, the others stay."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_hypermol.coordinates.rotations import angles_between
from napari_hypermol.runs import pose_search as module
from napari_hypermol.runs.device_images import DeviceImages
from napari_hypermol.runs.grid_search import SearchGrid
from napari_hypermol.runs.pose_prior import pose_prior
from napari_hypermol.runs.pose_search import far_places, pose_search
from napari_hypermol.runs.pose_step import PoseSettings, pose_step
from napari_hypermol.samplers.search import Cells
from small_poses import PIXEL, rigid_stack

SETTINGS = PoseSettings("search", "search", shift_std=PIXEL)
N = 60


@pytest.fixture(scope="module")
def small():
    return rigid_stack()


@pytest.fixture(scope="module")
def searched(small):
    """Sixty particles at their true poses, but every third turned by half a turn or so."""
    rows = np.arange(N)
    particles = small.particles
    middle = particles._replace(shifts=np.zeros_like(particles.shifts))
    prior = pose_prior(particles, rows, SETTINGS)
    problem, coarse = (small.problem(p).of(rows) for p in (particles, middle))
    turns = Rotation.from_rotvec(np.radians([[170.0, 0, 0], [0, 150.0, 0], [0, 80.0, 120.0]]))
    wrong = rows[::3]
    rotations = problem.images.rotations.copy()
    rotations[wrong] = turns[wrong // 3 % 3].as_matrix() @ rotations[wrong]
    problem = replace(problem, images=problem.images._replace(rotations=rotations))
    rng = np.random.default_rng(0)
    found, moved = pose_search(problem, coarse, small.estimate, prior, SETTINGS, rng)
    return problem, prior, found, moved, wrong


def away(small, problem):
    return np.degrees(angles_between(problem.images.rotations, small.true.rotations[:N]))


def test_particles_on_the_wrong_side_come_back(small, searched):
    problem, _, found, moved, wrong = searched
    assert (away(small, problem)[wrong] > 70).all()
    assert (away(small, found)[wrong] < 15).mean() > 0.9
    assert np.isin(wrong, moved).mean() > 0.9


def test_particles_at_home_stay_just_where_they_are(small, searched):
    problem, _, found, moved, wrong = searched
    right = np.setdiff1d(np.arange(N), wrong)
    assert np.isin(right, moved).mean() < 0.05
    kept = np.setdiff1d(np.arange(N), moved)
    for name in ("rotations", "data"):
        one, other = (getattr(p.images, name)[kept] for p in (problem, found))
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(found.shifts[kept], problem.shifts[kept])


def test_local_steps_alone_leave_them_there(small, searched):
    """What the search is for."""
    problem, prior, _, _, wrong = searched
    rng = np.random.default_rng(0)
    moved, _ = pose_step(problem, small.estimate, None, prior, SETTINGS, rng, 100)
    assert (away(small, moved)[wrong] < 15).mean() < 0.3


def test_images_follow_the_poses_they_are_given(small, searched):
    """Data of those that moved are those of the same images whitened at the new shifts."""
    _, _, found, _, _ = searched
    shifts = small.particles.shifts.copy()
    shifts[:N] = found.shifts
    again = small.problem(small.particles._replace(shifts=shifts)).of(np.arange(N))
    scale = abs(again.images.data).max()
    np.testing.assert_allclose(found.images.data, again.images.data, atol=1e-4 * scale)


def test_the_grid_is_looked_at_where_the_images_are(cupy, small, device_searches):
    """On a device the same cells as in main memory."""
    rows = np.arange(N)
    prior = pose_prior(small.particles, rows, SETTINGS)
    problem = small.problem(small.particles).of(rows)
    there = replace(problem, images=DeviceImages(problem.images))
    there.images.batch = 40
    (here, _), (cells, _) = (
        module._searched(problem, coarse, small.estimate, prior, np.random.default_rng(0))
        for coarse in (problem, there)
    )
    assert device_searches == [40, 20]
    np.testing.assert_allclose(cells.log_evidence, here.log_evidence, rtol=1e-4)
    probable = here.log_weights > -10
    np.testing.assert_allclose(cells.log_weights[probable], here.log_weights[probable], atol=1e-2)
    assert (cells.rotations == here.rotations)[probable].mean() > 0.99


# ---- places ------------------------------------------------------------------------------------


def about_z(*degrees):
    return Rotation.from_euler("Z", np.array(degrees)[:, None], degrees=True).as_matrix()


def cells_of(order, log_weights):
    order = np.array([order], dtype=np.int32)
    zeros = np.zeros_like(order)
    return Cells(order, zeros + order, zeros, np.array([log_weights]), np.zeros(1))


GRID = SearchGrid(about_z(0, 10, 100, 110, 200, 300), np.arange(12.0).reshape(6, 2), np.zeros(6))


def test_places_are_far_from_here_and_from_one_another():
    cells = cells_of([0, 1, 2, 3, 4, 5], [-0.1, -1.0, -2.0, -3.0, -4.0, -50.0])
    places = far_places(cells, GRID, about_z(5))
    # 0 and 10 are here; 110 is where 100 is; 300 is not worth a look
    np.testing.assert_array_equal(places.particles, [0, 0])
    np.testing.assert_allclose(places.rotations, about_z(100, 200), atol=1e-12)
    np.testing.assert_array_equal(places.shifts, GRID.shifts[[2, 4]])


def test_the_best_cell_is_a_place_where_a_particle_is_elsewhere():
    places = far_places(cells_of([2, 3, 0], [-0.1, -1.0, -30.0]), GRID, about_z(300))
    np.testing.assert_allclose(places.rotations, about_z(100), atol=1e-12)


def test_no_place_is_better_than_where_all_are():
    places = far_places(cells_of([0, 1], [-0.1, -1.0]), GRID, about_z(0))
    assert len(places.particles) == 0


def test_mentions_are_numbered():
    assert module._numbered(np.array([3, 5, 3, 7, 3])).tolist() == [1, 1, 2, 1, 3]

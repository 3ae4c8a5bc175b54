"""Poses in a sweep: what is summed over, what is kept, and that they move toward the truth."""

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from examples import pretzel_like, random_data, scene
from napari_hypermol.bases.classes import ClassBasis
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.coordinates.rotations import angles_between, turned
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.molecules.trajectory import RigidTrajectory, Turn
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs import pose_step as module
from napari_hypermol.runs.pose_prior import pose_prior
from napari_hypermol.runs.pose_step import (
    Poses,
    PoseSettings,
    at_chain,
    joint_nodes,
    pose_step,
    with_poses,
)
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.sweep import state_tables
from napari_hypermol.samplers.pose_metropolis import PoseChain
from small_poses import PIXEL, RADIUS, rigid_stack

REFINE = PoseSettings("refine", "refine", rotation_std=np.radians(8.0), shift_std=PIXEL)
N = 5


@pytest.fixture(scope="module")
def small():
    return rigid_stack()


# ---- joint states ----------------------------------------------------------------------------

LEFT, RIGHT = Ball((-3.0, 0.0, 0.0), 3.0, 1.0), Ball((3.0, 0.0, 1.0), 3.0, 1.0)
HINGE = Turn(
    axis=np.array([0.0, 0.0, 1.0]), pivot=np.zeros(3), angles=np.array([0.5]), learns_axis=False,
    learns_pivot=False, learns_angles=False, gives_axis=True, gives_pivot=True, gives_angles=True,
)  # fmt: skip


def composite_of(*components):
    return Composite([Component(name, *rest) for name, *rest in components], 16)


COMPOSITES = {
    "rigid": composite_of(("body", LEFT, ConstantBasis())),
    "one": composite_of(("body", LEFT, ConstantBasis()), ("arm", RIGHT, CosineBasis(2))),
    "two arms of one shape": pretzel_like(16),
    "classes": composite_of(("head", LEFT, ClassBasis(3)), ("arm", RIGHT, CosineBasis(2))),
    "trajectory": Composite(
        [
            Component("body", LEFT, ConstantBasis()),
            Component("lid", RIGHT, ConstantBasis(), trajectory=RigidTrajectory(HINGE)),
        ],
        16,
    ),
    "three": composite_of(
        ("a", LEFT, CosineBasis(2)), ("b", RIGHT, CosineBasis(1)),
        ("c", Ball((0.0, 3.0, 0.0), 3.0, 1.0), CosineBasis(1)),
    ),
}  # fmt: skip


def problem_of(composite, rng):
    here = scene(composite, 5.0)
    images = random_data(rng, N, here.samples)
    means = np.ones((N, images.power.shape[1]))
    problem = StageProblem(images, here.molecule, here.samples, means, 3.0, np.zeros((N, 2)))
    spectra = [np.ones((q, 4)) for q, _ in here.molecule.set_shapes]
    return problem, Estimate(here.molecule.zeros(), spectra, np.ones((1, 9)), 0.1)


def posterior_of(tables):
    nothing = np.zeros((N, 0))
    return ParticlePosterior(
        nothing, nothing, np.ones(N), np.zeros(N), nothing, nothing, np.zeros(N), tables
    )


@pytest.mark.parametrize("name", COMPOSITES)
def test_joint_states_are_all_combinations(name, rng):
    problem, estimate = problem_of(COMPOSITES[name], rng)
    nodes, log_prior = joint_nodes(problem, estimate, None, rng)
    moving = state_tables(problem.molecule)
    few = state_tables(problem.molecule, (), {1: 8, 2: 6}.get(len(moving), 4))
    expected = []
    for chosen in itertools.product(*(range(len(t.states)) for t in few)):
        c = np.ones(sum(problem.molecule.n_functions))
        for table, index in zip(few, chosen, strict=True):
            c[table.columns] = table.functions[index]
        expected.append(c)
    assert nodes.shape == (1, len(expected), len(expected[0]))
    assert nodes.dtype == np.float32

    def as_set(rows):
        return sorted(tuple(np.round(row, 5) + 0.0) for row in np.asarray(rows, dtype=float))

    assert as_set(nodes[0]) == as_set(expected)
    assert np.exp(log_prior).sum() == pytest.approx(1)


def test_joint_states_have_the_product_of_their_probabilities(rng):
    """Told apart by the first function beside the constant, which grows along the state."""
    problem, estimate = problem_of(pretzel_like(16), rng)
    shares = [rng.dirichlet(np.ones(6)) for _ in range(2)]
    estimate = estimate._replace(occupancies=tuple(shares))
    nodes, log_prior = joint_nodes(problem, estimate, None, rng)
    tables = state_tables(problem.molecule, (), 6)
    for c, value in zip(nodes[0], log_prior, strict=True):
        at = [np.abs(t.functions - c[t.columns]).sum(axis=1).argmin() for t in tables]
        assert value == pytest.approx(sum(np.log(p[i]) for p, i in zip(shares, at, strict=True)))


def test_too_many_joint_states_are_drawn_from_every_particles_own(rng, monkeypatch):
    monkeypatch.setattr(module, "_MOST_NODES", 10)
    problem, estimate = problem_of(COMPOSITES["three"], rng)
    tables = state_tables(problem.molecule)
    sure = [rng.integers(0, len(t.states), N) for t in tables]
    certain = tuple(
        np.eye(len(t.states), dtype=np.float32)[at] for t, at in zip(tables, sure, strict=True)
    )
    nodes, log_prior = joint_nodes(problem, estimate, posterior_of(certain), rng)
    assert nodes.shape == (N, 1, sum(problem.molecule.n_functions))
    np.testing.assert_array_equal(log_prior, 0)
    for table, at in zip(tables, sure, strict=True):
        np.testing.assert_allclose(nodes[:, 0, table.columns], table.functions[at], atol=1e-6)


def test_draws_follow_the_tables(rng):
    p = np.tile(np.float32([0.2, 0.0, 0.5, 0.3]), (4000, 1))
    counts = np.bincount(module._drawn(p, rng), minlength=4) / 4000
    # standard deviation of a share of 4000 draws: at most 0.008
    np.testing.assert_allclose(counts, p[0], atol=0.03)
    assert counts[1] == 0


def test_too_many_joint_states_of_which_nothing_is_known(rng, monkeypatch):
    """The first two are summed over, the third stands at the mean of its functions."""
    monkeypatch.setattr(module, "_MOST_NODES", 10)
    problem, estimate = problem_of(COMPOSITES["three"], rng)
    nodes, log_prior = joint_nodes(problem, estimate, None, rng)
    few = state_tables(problem.molecule, (), 4)
    assert len(log_prior) == 16
    assert np.exp(log_prior).sum() == pytest.approx(1)
    mean = few[2].functions.mean(axis=0)
    np.testing.assert_allclose(nodes[0][:, few[2].columns], np.tile(mean, (16, 1)), atol=1e-6)


# ---- means of rotations ------------------------------------------------------------------------


# ---- poses and priors --------------------------------------------------------------------------


def test_only_the_rows_asked_for_change(small, rng):
    rows = np.array([4, 0, 7])
    rotations = Rotation.random(3, rng=rng).as_matrix().astype(np.float32)
    poses = Poses(rotations, rng.normal(size=(3, 2)), np.zeros(3), np.zeros(3))
    given = small.particles
    before = given.rotations.copy(), given.shifts.copy()
    found = with_poses(given, rows, poses)
    np.testing.assert_allclose(found.rotations[rows], rotations)
    np.testing.assert_allclose(found.shifts[rows], poses.shifts)
    others = np.setdiff1d(small.rows, rows)
    np.testing.assert_array_equal(found.rotations[others], given.rotations[others])
    np.testing.assert_array_equal(found.shifts[others], given.shifts[others])
    np.testing.assert_array_equal(given.rotations, before[0])
    np.testing.assert_array_equal(given.shifts, before[1])
    bare = with_poses(given._replace(rotations=None), rows, poses)
    np.testing.assert_allclose(bare.rotations[rows], rotations)
    np.testing.assert_array_equal(bare.rotations[others], np.tile(np.eye(3), (len(others), 1, 1)))


# ---- steps -------------------------------------------------------------------------------------


def moved(small, settings, n_steps=10, calls=1, seed=0, particles=None):
    particles = small.told if particles is None else particles
    prior = pose_prior(particles, small.rows, settings)
    problem, rng = small.problem(particles), np.random.default_rng(seed)
    for _ in range(calls):
        problem, info = pose_step(problem, small.estimate, None, prior, settings, rng, n_steps)
    return problem, info


def errors(small, problem):
    """Of every pose [degrees, pixels]."""
    angles = np.degrees(angles_between(problem.images.rotations, small.true.rotations))
    return angles, np.linalg.norm(problem.shifts - small.true.shifts, axis=1) / PIXEL


def test_steps_bring_poses_toward_the_truth(small):
    before = errors(small, small.problem(small.told))
    problem, info = moved(small, REFINE, calls=3)
    after = errors(small, problem)
    assert np.median(after[0]) < 0.6 * np.median(before[0])
    assert np.median(after[1]) < 0.6 * np.median(before[1])
    assert ((info.acceptance_rate >= 0) & (info.acceptance_rate <= 1)).all()
    assert info.acceptance_rate.mean() > 0.05


def test_what_is_known_stays(small):
    given = small.problem(small.told)
    only_shifts, _ = moved(small, PoseSettings("known", "refine", None, PIXEL), n_steps=6)
    # the rotation is made orthonormal again in float32
    np.testing.assert_allclose(only_shifts.images.rotations, given.images.rotations, atol=1e-5)
    assert np.median(errors(small, only_shifts)[1]) < 0.8 * np.median(errors(small, given)[1])
    centred = small.told._replace(shifts=small.true.shifts)
    given = small.problem(centred)
    only_turns, _ = moved(small, REFINE._replace(shift="known"), particles=centred)
    np.testing.assert_allclose(only_turns.shifts, given.shifts, rtol=1e-14)  # Å, pixels, Å
    np.testing.assert_array_equal(only_turns.images.data, given.images.data)
    assert np.median(errors(small, only_turns)[0]) < np.median(errors(small, given)[0])


def test_a_narrow_prior_holds_poses_where_the_file_has_them(small):
    narrow = REFINE._replace(rotation_std=np.radians(0.2), shift_std=0.02 * PIXEL)
    problem, _ = moved(small, narrow, calls=3)
    away = np.degrees(angles_between(problem.images.rotations, small.told.rotations))
    # three components of 0.2 degrees each; the images' own say pulls a little further
    assert np.median(away) < 1.0
    shift_away = np.linalg.norm(problem.shifts - small.told.shifts, axis=1) / PIXEL
    assert np.median(shift_away) < 0.1


def test_same_seed_same_steps(small):
    one, two, other = (moved(small, REFINE, n_steps=2, seed=s)[0] for s in (3, 3, 4))
    np.testing.assert_array_equal(one.images.rotations, two.images.rotations)
    np.testing.assert_array_equal(one.shifts, two.shifts)
    assert (one.images.rotations != other.images.rotations).any()


def test_images_follow_their_poses(small):
    """Data moved step by step are those whitened at the last shifts, to rounding of float32."""
    problem, _ = moved(small, REFINE, calls=2)
    fresh = small.problem(
        small.particles._replace(rotations=problem.images.rotations, shifts=problem.shifts)
    )
    scale = np.abs(fresh.images.data).max()
    # 20 multiplications by a phase, 1e-7 each
    np.testing.assert_allclose(problem.images.data, fresh.images.data, atol=2e-5 * scale)
    np.testing.assert_array_equal(problem.images.rotations, fresh.images.rotations)
    np.testing.assert_array_equal(problem.images.weights, fresh.images.weights)


def test_a_chain_becomes_the_problem_at_its_poses(small):
    problem = small.problem(small.particles)
    rotations = turned(problem.images.rotations, np.array([0.1, 0, 0])).astype(np.float32)
    chain = PoseChain(rotations, np.ones_like(problem.shifts), 2 * problem.images.data)
    at = at_chain(problem, chain)
    np.testing.assert_array_equal(at.images.rotations, rotations)
    np.testing.assert_array_equal(at.images.data, 2 * problem.images.data)
    np.testing.assert_array_equal(at.shifts, PIXEL)  # pixels to Å
    np.testing.assert_array_equal(at.images.weights, problem.images.weights)


def test_band_limit_is_that_of_the_stack(small):
    assert small.problem(small.told).samples.max_radius == RADIUS

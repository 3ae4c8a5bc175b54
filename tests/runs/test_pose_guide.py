"""What guides know of states, that they lead toward the truth, and that they follow a chain."""

import numpy as np
import pytest

from examples import pretzel_like, random_rotations, scene
from napari_hypermol.bases.classes import ClassBasis
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.coordinates.rotations import angles_between, turn_between, turned
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.molecules.trajectory import RigidTrajectory, Turn
from napari_hypermol.runs import pose_guide as module
from napari_hypermol.runs.pose_guide import Guide, fresh_guide, state_functions
from napari_hypermol.runs.pose_prior import pose_prior
from napari_hypermol.runs.pose_step import PoseSettings
from napari_hypermol.samplers.pose_metropolis import PoseGuide
from napari_hypermol.synthetic.pose_errors import with_errors
from small_poses import PIXEL, rigid_stack

LEFT, RIGHT = Ball((-3.0, 0.0, 0.0), 3.0, 1.0), Ball((3.0, 0.0, 1.0), 3.0, 1.0)
HINGE = Turn(
    axis=np.array([0.0, 0.0, 1.0]), pivot=np.zeros(3), angles=np.array([0.5]), learns_axis=False,
    learns_pivot=False, learns_angles=False, gives_axis=True, gives_pivot=True, gives_angles=True,
)  # fmt: skip
MOLECULES = {
    "two arms": (pretzel_like(16), ["interval", "interval"]),
    "body, circle, classes": (
        Composite(
            [
                Component("body", LEFT, ConstantBasis()),
                Component("ring", RIGHT, FourierBasis(1)),
                Component("head", Ball((0.0, 3.0, 0.0), 3.0, 1.0), ClassBasis(3)),
            ],
            16,
        ),
        ["circle", "class"],
    ),
    "trajectory": (
        Composite(
            [
                Component("arm", LEFT, CosineBasis(2)),
                Component("lid", RIGHT, ConstantBasis(), trajectory=RigidTrajectory(HINGE)),
            ],
            16,
        ),
        ["interval", "interval"],
    ),
}


@pytest.fixture(params=MOLECULES)
def molecule(request):
    composite, kinds = MOLECULES[request.param]
    return scene(composite, 5.0).molecule, kinds


def test_functions_are_those_of_the_tables(molecule, rng):
    molecule, kinds = molecule
    tables = [molecule.table(m, 6) for m in range(len(molecule.components)) if molecule.kinds(m)]
    rows = [rng.integers(0, len(states), 7) for states, _ in tables]
    states = np.concatenate([s[i] for (s, _), i in zip(tables, rows, strict=True)], axis=1)
    functions, _, middles = state_functions(molecule, states)
    moving = [m for m in range(len(molecule.components)) if molecule.kinds(m)]
    for m, (_, values), i in zip(moving, tables, rows, strict=True):
        np.testing.assert_allclose(functions[:, molecule.columns[m]], values[i], atol=1e-12)
    for m in set(range(len(molecule.components))) - set(moving):
        np.testing.assert_array_equal(functions[:, molecule.columns[m]], 1)
    for axis, kind in enumerate(kinds):
        expected = states[:, axis] if kind == "interval" else 0.5
        np.testing.assert_array_equal(middles[:, axis], expected)


def test_slopes_are_difference_quotients(molecule, rng):
    """Of classes and positions too, which are steps: flat but where they jump."""
    molecule, kinds = molecule
    states, h = 0.1 + 0.8 * rng.random((9, len(kinds))), 1e-6
    _, slopes, _ = state_functions(molecule, states)
    for axis in range(len(kinds)):
        step = h * np.eye(len(kinds))[axis]
        above, below = (state_functions(molecule, states + s)[0] for s in (step, -step))
        np.testing.assert_allclose(slopes[:, axis], (above - below) / (2 * h), atol=1e-6)


@pytest.fixture(scope="module")
def stack():
    return rigid_stack()


def guided(stack, particles, **others):
    settings = PoseSettings("refine", "refine", rotation_std=np.radians(20.0), shift_std=2 * PIXEL)
    problem = stack.problem(particles)
    prior = pose_prior(particles, np.arange(len(problem.shifts)), settings)
    return problem, fresh_guide(problem, stack.estimate, prior, **others)


def test_centres_are_as_near_to_the_truth_as_they_say(stack):
    """From poses that are off by a little more than what an image tells."""
    rng, particles = np.random.default_rng(4), stack.particles
    rotations, shifts = with_errors(stack.true.rotations, 4.0, stack.true.shifts, 0.5 * PIXEL, rng)
    problem, guide = guided(stack, particles._replace(rotations=rotations, shifts=shifts))
    before = angles_between(problem.rotations, stack.true.rotations)
    after = angles_between(guide.poses.centres, stack.true.rotations)
    assert np.median(after) < 0.75 * np.median(before)
    away = turn_between(guide.poses.centres, stack.true.rotations)
    scores = np.linalg.solve(guide.poses.roots.astype(float), away[..., None])[..., 0]
    # normal scores, if a quarter wider: the map is not the true one, the step not small
    assert 0.8 < np.median(abs(scores)) / 0.6745 < 1.5


def test_known_shifts_do_not_go_along(stack):
    _, free = guided(stack, stack.told)
    _, known = guided(stack, stack.told, is_shift_known=True)
    assert abs(free.poses.levers).max() > 0.1
    np.testing.assert_array_equal(known.poses.levers, 0)

    # what is known of the shift sharpens what is said of the turn
    def spread(guide):
        return np.linalg.det(guide.poses.roots.astype(float))

    assert (spread(known) < spread(free)).all()


def test_chunks_say_the_same(stack, monkeypatch):
    _, whole = guided(stack, stack.told)
    monkeypatch.setattr(module, "_CHUNK", 70)
    _, parts = guided(stack, stack.told)
    for one, two in zip(whole.poses, parts.poses, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_temperature_widens(stack):
    _, cold = guided(stack, stack.told)
    _, hot = guided(stack, stack.told, temperature=0.25)
    ratio = np.linalg.det(hot.poses.roots.astype(float)) / np.linalg.det(cold.poses.roots)
    assert 3 < np.median(ratio) < 9  # 2 each way, less where the prior says most


def guide_about(centres, weight=3.0, age=0):
    n = len(centres)
    roots = np.tile(np.eye(3, dtype=np.float32), (n, 1, 1))
    levers = np.zeros((n, 2, 3), dtype=np.float32)
    return Guide(PoseGuide(centres.astype(np.float32), roots, levers), weight, age)


def test_centre_is_the_mean_of_where_the_chain_has_been(rng):
    middle, n = random_rotations(rng, 4), 60
    guide = guide_about(turned(middle, rng.normal(scale=0.1, size=(4, 3))), weight=1.0)
    turns = [turn_between(middle, guide.poses.centres)]
    for _ in range(n):
        turns.append(rng.normal(scale=0.1, size=(4, 3)))
        guide = guide.followed(turned(middle, turns[-1]))
    found = turn_between(middle, guide.poses.centres)
    np.testing.assert_allclose(found, np.mean(turns, axis=0), atol=2e-3)
    assert guide.weight == n + 1
    assert guide.age == n
    assert guide.is_stale
    assert not guide_about(middle).is_stale


def test_new_guide_remembers_the_last(stack):
    _, fresh = guided(stack, stack.told)
    last = guide_about(turned(fresh.poses.centres, np.full(3, 0.1)), weight=2.0, age=6)
    _, mixed = guided(stack, stack.told, last=last)
    moved = turn_between(fresh.poses.centres, mixed.poses.centres)
    np.testing.assert_allclose(moved, 0.1 * 2 / 5, atol=1e-4)
    assert mixed.weight == 5
    assert mixed.age == 0
    _, old = guided(stack, stack.told, last=last._replace(weight=1e3))
    moved = turn_between(fresh.poses.centres, old.poses.centres)
    assert (moved < 0.08).all()  # it does not weigh what it did: the map has moved since


def test_to_disk_and_back(rng):
    guide = guide_about(random_rotations(rng, 3), weight=4.5, age=2)
    again = Guide.of(guide.arrays())
    assert again[1:] == guide[1:]
    for one, two in zip(again.poses, guide.poses, strict=True):
        np.testing.assert_array_equal(one, two)
    assert Guide.of({}) is None

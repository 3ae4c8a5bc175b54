"""Which kernels move poses in a sweep, in which order, and what they are given."""

from dataclasses import replace

import numpy as np
import pytest

from napari_hypermol.runs import stage_poses as module
from napari_hypermol.runs.pose_prior import pose_prior
from napari_hypermol.runs.pose_step import PoseSettings
from napari_hypermol.runs.stage_poses import move_poses
from napari_hypermol.runs.step_sizes import NO_STEPS
from napari_hypermol.samplers.state_draws import StateDraw
from napari_hypermol.schedules.stage import Stage
from small_poses import PIXEL, RADIUS, rigid_stack

REFINE = PoseSettings("refine", "refine", rotation_std=np.radians(8.0), shift_std=PIXEL)


@pytest.fixture(scope="module")
def stack():
    return rigid_stack()


def drawn_of(n):
    nothing = np.zeros((n, 0))
    entries = np.zeros((n, 0), dtype=np.int64)
    return StateDraw(entries, np.full((n, 1), 2.0), np.ones(n), np.zeros(n), nothing)


def moves(stack, monkeypatch, moving=REFINE, has_draw=True, guide=None, sizes=NO_STEPS, **keys):
    """Names of the kernels that were called, with what the collapsed one was given."""
    called = []

    def noted(name, function):
        def call(*given, **others):
            called.append((name, given, others))
            return function(*given, **others)

        return call

    for name in ("move_rotations", "move_shifts", "pose_step"):
        monkeypatch.setattr(module, name, noted(name, getattr(module, name)))
    problem = stack.problem(stack.told).of(np.arange(12))
    prior = pose_prior(stack.told, np.arange(12), REFINE)
    stage = Stage("states", RADIUS, 1, sweeps=4, pose_steps=2, **keys)
    drawn = drawn_of(12) if has_draw else None
    done = move_poses(
        problem, stack.estimate, None, drawn, prior, moving, stage, np.random.default_rng(2), guide,
        sizes,
    )  # fmt: skip
    return called, done, problem


def test_by_default_all_at_once_with_a_guide(stack, monkeypatch):
    called, done, _ = moves(stack, monkeypatch)
    assert [name for name, *_ in called] == ["pose_step"]
    assert list(done.rates) == ["pose_acceptance"]
    given = called[0][1]
    assert given[4] == REFINE
    np.testing.assert_array_equal(given[-2].centres.shape, (12, 3, 3))
    assert given[-1] is None  # states are summed out
    assert done.guide.age == 1


def test_steps_given_the_draw_come_first(stack, monkeypatch):
    called, done, _ = moves(stack, monkeypatch, rotation="mala", shift="exact", state="draw")
    assert [name for name, *_ in called] == ["move_rotations", "pose_step"]
    assert called[1][1][4].rotation == "known"
    assert done.guide is None  # shifts alone need none
    called, done, _ = moves(stack, monkeypatch, rotation="mala", shift="hmc", state="draw")
    assert [name for name, *_ in called[-2:]] == ["move_rotations", "move_shifts"]
    assert set(done.rates) == {"rotation_acceptance", "shift_acceptance"}


def test_before_the_first_draw_there_are_no_such_steps(stack, monkeypatch):
    called, done, problem = moves(
        stack, monkeypatch, has_draw=False, rotation="mala", shift="hmc", state="draw"
    )
    assert called == []
    assert done.rates == {}
    np.testing.assert_array_equal(done.problem.rotations, problem.rotations)


def test_states_that_move_by_steps_are_not_summed_out(stack, monkeypatch):
    called, _, _ = moves(stack, monkeypatch, state="mala")
    np.testing.assert_array_equal(called[0][1][-1], np.full((12, 1), 2.0))


def test_states_that_are_not_drawn_as_a_whole_are_not_summed_out(stack, monkeypatch):
    monkeypatch.setattr(module, "are_drawn_jointly", lambda tables: False)
    called, _, _ = moves(stack, monkeypatch, state="draw")
    np.testing.assert_array_equal(called[0][1][-1], np.full((12, 1), 2.0))
    called, _, _ = moves(stack, monkeypatch, state="exact")  # no draw, no order to keep
    assert called[-1][1][-1] is None


@pytest.mark.parametrize(("theta", "is_warm"), [("draw", True), ("draw", False), ("solve", False)])
def test_guide_is_frozen_where_maps_are_drawn(stack, monkeypatch, theta, is_warm):
    _, done, _ = moves(stack, monkeypatch)
    sizes = replace(NO_STEPS, is_warming_up=is_warm)
    keys = {"state": "draw", "theta": theta, "guide": done.guide, "sizes": sizes}
    _, again, _ = moves(stack, monkeypatch, **keys)
    follows = is_warm or theta == "solve"
    assert again.guide.age == (2 if follows else 1)
    same = np.array_equal(again.guide.poses.centres, done.guide.poses.centres)
    assert same != follows


def test_known_poses_stay_whatever_the_stage_says(stack, monkeypatch):
    moving = REFINE.held(rotation=True, shift=False)
    called, done, problem = moves(
        stack, monkeypatch, moving, rotation="mala", shift="mala", state="draw"
    )
    assert [name for name, *_ in called] == ["move_shifts"]
    np.testing.assert_array_equal(done.problem.rotations, problem.rotations)


def test_a_guide_lasts_and_is_then_made_again(stack, monkeypatch):
    _, done, _ = moves(stack, monkeypatch)
    _, again, _ = moves(stack, monkeypatch, guide=done.guide)
    assert again.guide.age == 2
    np.testing.assert_array_equal(again.guide.poses.roots, done.guide.poses.roots)
    _, new, _ = moves(stack, monkeypatch, guide=again.guide._replace(age=100))
    assert new.guide.age == 1
    assert new.guide.weight > done.guide.weight


def test_held_shifts_do_not_move_with_the_turns(stack, monkeypatch):
    moving = REFINE.held(rotation=False, shift=True)
    _, done, problem = moves(stack, monkeypatch, moving, shift="hold")
    np.testing.assert_allclose(done.problem.shifts, problem.shifts, rtol=1e-14)
    assert abs(done.problem.rotations - problem.rotations).max() > 0.01

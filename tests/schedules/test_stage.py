import dataclasses

import pytest

from napari_hypermol.schedules.stage import Stage, work_of


def test_a_stage_is_a_frozen_value():
    stage = Stage("states 1", max_radius=9, max_degree=1, sweeps=4)
    assert stage == Stage("states 1", max_radius=9, max_degree=1, sweeps=4)
    assert dataclasses.replace(stage, sweeps=5) != stage
    with pytest.raises(dataclasses.FrozenInstanceError):
        stage.sweeps = 5


def test_nothing_stops_early_or_is_kindled_unless_asked():
    stage = Stage("mean", max_radius=9, max_degree=0, sweeps=2)
    assert stage.settle == 0
    assert stage.kindled_sweeps == 0
    assert stage.solve_iterations > 0


def test_work_grows_with_samples_functions_and_sweeps():
    assert work_of([Stage("a", 4.0, 1, sweeps=3)]) == 3 * 16 * 2
    assert work_of([]) == 0
    # poses that move cost the same at every band limit, and more than samples do at low ones
    low, high = (
        work_of([Stage("a", r, 1, 1)], True) - work_of([Stage("a", r, 1, 1)]) for r in (4.0, 40.0)
    )
    assert low == high > work_of([Stage("a", 4.0, 1, sweeps=1)])


def test_half_of_the_sweeps_with_steps_warm_up():
    """Steps begin after the first draw, which comes after states are kindled."""
    plain = Stage("a", 4.0, 1, sweeps=9)
    assert plain.warm_until == 1 + 4
    assert dataclasses.replace(plain, kindled_sweeps=6).warm_until == 7 + 1
    assert dataclasses.replace(plain, warm_up=3).warm_until == 4
    assert dataclasses.replace(plain, warm_up=0).warm_until == 1
    assert dataclasses.replace(plain, sweeps=4, kindled_sweeps=6).warm_until == 7

import itertools

import pytest

from napari_hypermol.schedules.marching import auto_schedule, marching_radii

BOXES = [16, 24, 25, 32, 48, 64, 65, 100, 128, 256, 512]


@pytest.mark.parametrize("box_size", BOXES)
def test_radii_grow_to_three_quarters_of_nyquist(box_size):
    radii = marching_radii(box_size)
    assert radii[-1] == 0.75 * box_size / 2
    assert all(1.1 < b / a < 1.7 for a, b in itertools.pairwise(radii))
    assert radii[0] <= 1.15 * 9  # a last step smaller than 15 % is not worth a stage


@pytest.mark.parametrize("degree", [1, 2, 5, 9])
@pytest.mark.parametrize("box_size", BOXES)
def test_states_start_from_a_mean_and_reach_the_whole_degree(box_size, degree):
    stages = auto_schedule(box_size, degree)
    degrees = [s.max_degree for s in stages]
    assert degrees[0] == 0
    assert degrees == sorted(degrees)
    assert [i for i, s in enumerate(stages) if s.kindled_sweeps] == [1]
    assert all(s.kindled_sweeps < s.sweeps for s in stages)  # the last word is the posterior's
    assert len({s.name for s in stages}) == len(stages)
    assert degrees[-1] == degree
    assert stages[-1].max_radius == marching_radii(box_size)[-1]


@pytest.mark.parametrize("box_size", BOXES)
def test_rigid_molecules_have_no_states(box_size):
    stages = auto_schedule(box_size, 0)
    assert [s.max_radius for s in stages] == marching_radii(box_size)
    assert {s.max_degree for s in stages} == {0}
    assert {s.kindled_sweeps for s in stages} == {0}


@pytest.mark.parametrize("degree", [0, 1, 5])
@pytest.mark.parametrize("box_size", BOXES)
def test_poses_that_move_take_longer_at_the_same_band_limits(box_size, degree):
    still, moving = (auto_schedule(box_size, degree, moves_poses=m) for m in (False, True))
    assert len(still) == len(moving)
    for one, other in zip(still, moving, strict=True):
        assert (one.name, one.max_radius, one.max_degree) == (
            *(other.name, other.max_radius, other.max_degree),
        )
        assert one.kindled_sweeps == other.kindled_sweeps
        assert other.sweeps >= one.sweeps
    assert sum(s.sweeps for s in moving) > sum(s.sweeps for s in still)
    # states are read at moved poses before and after they are kindled no more
    assert all(s.sweeps > s.kindled_sweeps + 1 for s in moving if s.kindled_sweeps)


@pytest.mark.parametrize("is_search", [True, False])
@pytest.mark.parametrize("degree", [0, 1, 5])
@pytest.mark.parametrize("box_size", BOXES)
def test_poses_are_looked_for_once_more(box_size, degree, is_search):
    """With states, where there are any; never before there is a molecule."""
    found = auto_schedule(
        box_size, degree, moves_poses=True, finds_poses=is_search, searches_again=True
    )
    at = [i for i, s in enumerate(found) if s.searches]
    last = len(found) - 1
    assert at == (list(range(min(2, last), last + 1)) if degree else [1]) * (last > 0)
    assert all(found[i - 1].max_degree > 0 or degree == 0 for i in at)
    for told in (True, False):
        stages = auto_schedule(box_size, degree, moves_poses=told)
        assert not any(s.searches for s in stages)

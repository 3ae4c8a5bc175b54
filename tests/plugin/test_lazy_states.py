"""The lazy array of states: right values, one computation a state."""

import threading

import numpy as np
import pytest

from napari_hypermol.plugin.lazy_states import EmptyMaps, RecentVolumes, lazy_states, stops_of
from napari_hypermol.runs.state_axes import StateAxis


def ranges(n):
    return [StateAxis(f"tau{i + 1}", "arm") for i in range(n)]


def stops(maps, steps):
    return stops_of(maps.axes, steps)


@pytest.mark.parametrize(("dims", "steps"), [(1, 21), (2, 21), (3, 11), (5, 11)])
def test_stops_of_ranges(dims, steps):
    found = stops_of(ranges(dims))
    assert len(found) == dims
    for states in found:
        np.testing.assert_allclose(states, np.arange(steps) / (steps - 1))


def test_rigid_molecule_stops_nowhere():
    assert stops_of([]) == ()


def test_user_may_want_fewer_stops():
    assert [len(s) for s in stops_of(ranges(1), 7)] == [7]
    assert [len(s) for s in stops_of(ranges(4), 7)] == [7] * 4


def test_circle_does_not_come_back_to_its_beginning():
    circle = StateAxis("tau1", "wheel", "circle")
    (states,) = stops_of([circle])
    np.testing.assert_allclose(states, 0.05 * np.arange(20))
    assert len(stops_of([circle], 2)[0]) == 2  # a slider has two stops at least


def test_classes_have_a_stop_each():
    classes = StateAxis("tau1", "lobe", "class", 4)
    (states,) = stops_of([classes])
    np.testing.assert_allclose(states, [0.125, 0.375, 0.625, 0.875])


def test_every_kind_beside_the_others(mixed_maps):
    array = lazy_states(RecentVolumes(mixed_maps, stops(mixed_maps, 21)))
    assert array.shape == (10, 4, 11, 8, 8, 8)
    array[3, 2, 10].compute()
    assert mixed_maps.asked == [(0.3, 0.625, 1.0)]


def test_array_has_the_maps(small_maps):
    maps = small_maps(dims=2)
    array = lazy_states(RecentVolumes(maps, stops(maps, 5)))
    assert array.shape == (5, 5, 8, 8, 8)
    assert array.dtype == np.float32
    assert array.chunksize == (1, 1, 8, 8, 8)
    assert not maps.asked  # nothing is computed before it is looked at
    np.testing.assert_allclose(array[1, 3, 4].compute(), 0.25 + 2 * 0.75)
    assert maps.asked == [(0.25, 0.75)]


def test_rigid_molecule_is_its_map(small_maps):
    maps = small_maps(dims=0)
    assert lazy_states(RecentVolumes(maps, ())).shape == (8, 8, 8)


def test_five_dimensions_are_affordable(small_maps):
    maps = small_maps(dims=5)
    array = lazy_states(RecentVolumes(maps, stops(maps, 11)))
    np.testing.assert_allclose(np.asarray(array[0, 0, 0, 0, 10, 4, 4]), 16.0)


def test_states_are_remembered(small_maps):
    maps = small_maps(dims=1)
    array = lazy_states(RecentVolumes(maps, stops(maps, 5)))
    for _ in range(3):
        array[2].compute()
    assert len(maps.asked) == 1


def test_memory_is_bounded(small_maps, monkeypatch):
    monkeypatch.setattr("napari_hypermol.plugin.lazy_states._RECENT_BYTES", 5 * 4 * 8**3)
    maps = small_maps(dims=1)
    volumes = RecentVolumes(maps, stops(maps, 21))
    for i in range(0, 12, 2):  # jumps: nothing is computed ahead
        volumes.volume((i,))
    volumes.volume((10,))
    assert len(maps.asked) == 6
    volumes.volume((0,))  # the oldest one was dropped
    assert len(maps.asked) == 7


def test_the_next_stop_is_computed_ahead(small_maps):
    maps = small_maps(dims=2)
    volumes = RecentVolumes(maps, stops(maps, 5))
    for index in ((3, 1), (2, 1)):
        volumes.volume(index)
    assert volumes.volume((1, 1))[4, 4, 4] == pytest.approx(0.25 + 2 * 0.25)
    volumes.volume((0, 1))  # at the end of its slider nothing comes after
    assert sorted(maps.asked) == [(0.25 * i, 0.25) for i in range(4)]


def test_a_map_that_failed_is_tried_again(small_maps):
    maps = small_maps(dims=1)
    volumes = RecentVolumes(maps, stops(maps, 5))
    right, maps.volume = maps.volume, None
    with pytest.raises(TypeError):
        volumes.volume((1,))
    maps.volume = right
    assert volumes.volume((1,))[4, 4, 4] == 0.25


def test_remembered_maps_cannot_be_changed(small_maps):
    maps = small_maps(dims=1)
    volume = RecentVolumes(maps, stops(maps, 5)).volume((0,))
    with pytest.raises(ValueError, match="read-only"):
        volume[:] = 0


def test_two_molecules_never_share_chunks(small_maps):
    maps = small_maps(dims=1)
    one, two = (lazy_states(RecentVolumes(maps, stops(maps, 5))) for _ in range(2))
    assert one.name != two.name


def test_threads_may_ask_at_once(small_maps):
    maps = small_maps(dims=1)
    volumes = RecentVolumes(maps, stops(maps, 21))
    wrong = []

    def scrub() -> None:
        for i in [*range(21), *range(20, -1, -1)]:
            if not np.allclose(volumes.volume((i,))[4], i / 20):
                wrong.append(i)

    threads = [threading.Thread(target=scrub) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_nothing_yet():
    maps = EmptyMaps(tuple(ranges(2)), 8)
    states = lazy_states(RecentVolumes(maps, stops(maps, 5)))
    assert states.shape == (5, 5, 8, 8, 8)
    assert not np.asarray(states[3, 4]).any()

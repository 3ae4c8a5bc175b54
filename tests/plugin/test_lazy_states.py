"""The lazy array of states: right values, one computation a state."""

import threading

import numpy as np
import pytest

from napari_hypermol.plugin.lazy_states import RecentVolumes, lazy_states, steps_for


@pytest.mark.parametrize(("dims", "steps"), [(0, 21), (1, 21), (2, 21), (3, 11), (5, 11)])
def test_steps(dims, steps):
    assert steps_for(dims) == steps


def test_user_may_want_fewer_steps():
    assert steps_for(1, 7) == 7
    assert steps_for(4, 7) == 7


def test_array_has_the_maps(small_maps):
    maps = small_maps(dims=2)
    array = lazy_states(RecentVolumes(maps, 5))
    assert array.shape == (5, 5, 8, 8, 8)
    assert array.dtype == np.float32
    assert array.chunksize == (1, 1, 8, 8, 8)
    assert not maps.asked  # nothing is computed before it is looked at
    np.testing.assert_allclose(array[1, 3, 4].compute(), 0.25 + 2 * 0.75)
    assert maps.asked == [(0.25, 0.75)]


def test_rigid_molecule_is_its_map(small_maps):
    assert lazy_states(RecentVolumes(small_maps(dims=0), 21)).shape == (8, 8, 8)


def test_five_dimensions_are_affordable(small_maps):
    array = lazy_states(RecentVolumes(small_maps(dims=5), 11))
    np.testing.assert_allclose(np.asarray(array[0, 0, 0, 0, 10, 4, 4]), 16.0)


def test_states_are_remembered(small_maps):
    maps = small_maps(dims=1)
    array = lazy_states(RecentVolumes(maps, 5))
    for _ in range(3):
        array[2].compute()
    assert len(maps.asked) == 1


def test_memory_is_bounded(small_maps, monkeypatch):
    monkeypatch.setattr("napari_hypermol.plugin.lazy_states._RECENT_BYTES", 5 * 4 * 8**3)
    maps = small_maps(dims=1)
    volumes = RecentVolumes(maps, 21)
    for i in range(6):
        volumes.volume((i,))
    volumes.volume((5,))
    assert len(maps.asked) == 6
    volumes.volume((0,))  # the oldest one was dropped
    assert len(maps.asked) == 7


def test_remembered_maps_cannot_be_changed(small_maps):
    volume = RecentVolumes(small_maps(dims=1), 5).volume((0,))
    with pytest.raises(ValueError, match="read-only"):
        volume[:] = 0


def test_two_molecules_never_share_chunks(small_maps):
    maps = small_maps(dims=1)
    assert lazy_states(RecentVolumes(maps, 5)).name != lazy_states(RecentVolumes(maps, 5)).name


def test_threads_may_ask_at_once(small_maps):
    volumes = RecentVolumes(small_maps(dims=1), 21)
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

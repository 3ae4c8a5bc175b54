"""Batches come whole and in order, and nothing is written over that is still in use."""

import threading

import numpy as np
import pytest

from cuda_on_cpu.pretend import PretendCupy, PretendStream
from napari_hypermol import backend
from napari_hypermol.runs import device_feed
from napari_hypermol.runs.device_feed import DeviceFeed


@pytest.fixture
def small_pieces(monkeypatch):
    """Many pieces for a few kilobytes."""
    monkeypatch.setattr(device_feed, "_PIECE", 1000)


@pytest.fixture(params=["late", "at once"])
def copies(request, monkeypatch):
    """When copies are done on the pretended device: as late as they may be, or at once."""
    monkeypatch.setattr(PretendStream, "is_eager", request.param == "at once")


def batch(rng, n):
    """Columns of a batch: several types and shapes, one of them with nothing in it."""
    return (
        rng.normal(size=(n, 2, 37)).astype(np.float32),
        rng.integers(0, 9, n),
        np.empty((n, 0), np.float32),
        rng.normal(size=(n, 3)) > 0,
    )


def equal(found, columns):
    for own, column in zip(found, columns, strict=True):
        here = backend.as_numpy(own)
        assert here.dtype == column.dtype
        np.testing.assert_array_equal(here, column)


@pytest.mark.usefixtures("small_pieces", "copies")
@pytest.mark.parametrize("sizes", [[5], [4, 4, 4, 4, 3], [2, 9, 1, 30, 30, 5]])
def test_batches_arrive_whole_and_in_order(cupy, rng, sizes):
    batches = [batch(rng, n) for n in sizes]
    feed = DeviceFeed()
    for _ in range(2):  # one feed, several times
        found = feed.batches(lambda own=own: own for own in batches)
        for arrays, columns in zip(found, batches, strict=True):
            assert all(isinstance(own, cupy.ndarray) for own in arrays)
            equal(arrays, columns)


@pytest.mark.usefixtures("copies")
def test_work_on_a_batch_is_not_disturbed_by_the_next(cupy, rng):
    """What is worked out after the next one is on its way is that of the batch."""
    batches = [batch(rng, 6) for _ in range(5)]
    read = [threading.Event() for _ in batches]

    def source(index):
        read[index].set()
        return batches[index]

    feed = DeviceFeed()
    found = feed.batches(lambda i=i: source(i) for i in range(5))
    for index, arrays in enumerate(found):
        if index < 4:
            assert read[index + 1].wait(10)  # one ahead, not when it is asked for
        if index < 3:
            assert not read[index + 2].is_set()  # and not two
        equal(arrays, batches[index])


def test_memory_is_written_over_after_the_work_in_it(rng, monkeypatch):
    """Every second copy to one place waits for what was given to the device in between."""
    pretend = PretendCupy()
    monkeypatch.setattr(backend, "cupy", pretend)
    work = pretend.cuda.get_current_stream()
    columns = [(rng.normal(size=(8, 100)).astype(np.float32),) for _ in range(6)]
    places, when = [], []
    for arrays in DeviceFeed().batches(lambda own=own: own for own in columns):
        places.append(arrays[0].data.ptr)
        work.record()  # stands for the work on the batch
        when.append(work.given)
    assert places == 3 * places[:2]
    (copies,) = pretend.streams
    waited, seen, checked = 0, dict.fromkeys(places[:2], 0), 0
    for what, *about in copies.log:
        if what == "wait" and about[0] is work:
            waited = about[1]
        elif what == "copy" and about[0] in seen:
            turn = places[:2].index(about[0]) + 2 * seen[about[0]]
            seen[about[0]] += 1
            if turn >= 2:
                assert waited > when[turn - 2]
                checked += 1
    assert checked == 4


@pytest.mark.usefixtures("small_pieces", "copies")
def test_what_a_source_raises_comes_out(cupy, rng):
    def broken():
        raise OSError("no such file")

    feed, first = DeviceFeed(), batch(rng, 3)
    found = feed.batches([lambda: first, broken])
    equal(next(found), first)
    with pytest.raises(OSError, match="no such file"):
        next(found)
    for arrays in feed.batches([lambda: first]):  # and it can be used again
        equal(arrays, first)


@pytest.mark.usefixtures("small_pieces", "copies")
def test_given_up_half_way_it_waits_for_what_is_coming(cupy, rng):
    started, go_on = threading.Event(), threading.Event()
    first, second = batch(rng, 3), batch(rng, 3)

    def slow():
        started.set()
        assert go_on.wait(10)
        return second

    feed = DeviceFeed()
    found = feed.batches([lambda: first, slow])
    next(found)
    assert started.wait(10)
    threading.Timer(0.05, go_on.set).start()
    found.close()
    assert go_on.is_set()
    assert not [t for t in threading.enumerate() if t.name.startswith("hypermol-feed")]


def test_nothing_is_nothing(cupy):
    assert list(DeviceFeed().batches([])) == []

import threading
import time

import numba
import numpy as np
import pytest

from napari_hypermol.runs import compiling
from napari_hypermol.runs.compiling import seconds_compiling, telling_of_compilation


def fresh():
    """Two functions that nobody has compiled, one of which calls the other."""

    @numba.njit
    def inner(x):
        return np.sqrt(x) + 1

    @numba.njit
    def outer(x):
        return inner(x) * inner(x + 1)

    return outer


def test_what_compilers_take_is_counted_once():
    """Inner functions are compiled within outer ones: no second counts twice."""
    outer, before, began = fresh(), seconds_compiling(), time.monotonic()
    outer(2.0)
    took, counted = time.monotonic() - began, seconds_compiling() - before
    assert 0.5 * took < counted <= took
    between = seconds_compiling()
    outer(3.0)  # compiled already
    time.sleep(0.05)
    assert seconds_compiling() == between


def test_it_counts_while_it_goes_on():
    """Who asks from another thread does not wait for the end."""
    outer, seen, stop = fresh(), [], threading.Event()

    def look():
        while not stop.wait(0.002):
            seen.append(seconds_compiling())

    watcher = threading.Thread(target=look)
    watcher.start()
    outer(2.0)
    stop.set()
    watcher.join()
    assert len(set(seen)) > 3
    assert (np.diff(seen) >= 0).all()


def test_it_is_told_before_and_only_to_who_listens():
    told = []
    with telling_of_compilation(lambda: told.append(compiling._CLOCK.depth)):
        fresh()(2.0)
    assert told == [1]
    fresh()(2.0)
    assert told == [1]


def test_a_compilation_that_fails_ends_too():
    @numba.njit
    def wrong(x):
        return x.no_such_thing

    with pytest.raises(numba.TypingError):
        wrong(1.0)
    assert compiling._CLOCK.depth == 0

import threading
import time

import pytest

from napari_hypermol.errors import RunCancelled
from napari_hypermol.runs.control import Control


def checking(control, results):
    """A thread that checks once and notes what came of it."""

    def check():
        try:
            results.append(control.check())
        except RunCancelled:
            results.append("cancelled")

    thread = threading.Thread(target=check)
    thread.start()
    return thread


def until(condition):
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_nothing_is_asked_for():
    assert Control().check() == 0.0


def test_pause_waits_and_goes_on():
    control, results = Control(), []
    control.pause()
    assert not control.is_waiting  # it has not come to a report yet
    thread = checking(control, results)
    until(lambda: control.is_waiting)
    time.sleep(0.3)
    assert thread.is_alive()
    control.go_on()
    thread.join(5)
    assert results[0] == pytest.approx(0.3, abs=0.25)
    assert not control.is_waiting


def test_anybodys_event_ends_a_pause():
    stop, results = threading.Event(), []
    control = Control(stop)
    control.pause()
    thread = checking(control, results)
    until(lambda: control.is_waiting)
    stop.set()
    thread.join(5)
    assert results == ["cancelled"]
    assert not control.is_paused


def test_waiting_takes_no_processor():
    control = Control()
    control.pause()
    thread = checking(control, [])
    until(lambda: control.is_waiting)
    before = time.process_time()
    time.sleep(1.0)
    assert time.process_time() - before < 0.2
    control.go_on()
    thread.join(5)

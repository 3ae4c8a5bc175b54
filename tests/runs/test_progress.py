import threading
import time

import pytest

from napari_hypermol.errors import RunCancelled
from napari_hypermol.runs import progress
from napari_hypermol.runs.control import Control
from napari_hypermol.runs.progress import Reporter


def test_fractions_grow_to_one():
    seen = []
    reporter = Reporter(seen.append)
    reporter.plan(8)
    for _ in range(3):
        reporter.advance(3, "working")  # a little more than planned: never above 1
    assert [p.fraction for p in seen] == [3 / 8, 6 / 8, 1.0]
    assert seen[-1].seconds_left == 0
    assert seen[0].seconds_left >= 0
    assert seen[0].message == "working"
    assert seen[0].maps is None


def test_what_need_not_be_done_leaves_the_plan():
    seen = []
    reporter = Reporter(seen.append)
    reporter.plan(10)
    reporter.advance(2, "working")
    reporter.spare(6, "no need")
    assert seen[-1].fraction == 2 / 4
    assert seen[-1].message == "no need"
    reporter.spare(6, "nor of that")  # more than is left: all is done
    assert seen[-1].fraction == 1


def test_no_guess_of_the_time_left_at_the_very_beginning():
    seen = []
    reporter = Reporter(seen.append)
    reporter.plan(100)
    reporter.advance(1, "reading")
    assert seen[0].seconds_left is None


def test_maps_are_handed_on():
    seen, maps = [], object()
    Reporter(seen.append).advance(0.5, "new", maps)
    assert seen[0].maps is maps


def test_stop_is_heard_at_the_next_report():
    stop, seen = threading.Event(), []
    reporter = Reporter(seen.append, Control(stop))
    reporter.advance(0.1, "one")
    stop.set()
    with pytest.raises(RunCancelled):
        reporter.advance(0.1, "two")
    assert [p.message for p in seen] == ["one", "two"]  # what was done is still told


def test_quiet_reporter_heeds_the_same_requests():
    control, seen = Control(), []
    quiet = Reporter(seen.append, control).quiet()
    quiet.advance(0.1, "aside")
    assert seen == []
    control.stop.set()
    with pytest.raises(RunCancelled):
        quiet.check()


def test_a_pause_is_no_measure_of_the_work():
    control, seen = Control(), []
    reporter = Reporter(seen.append, control)
    reporter.plan(10)
    control.pause()
    threading.Timer(1.0, control.go_on).start()
    reporter.advance(5, "half")
    reporter.advance(0, "half")
    assert seen[-1].seconds_left < 0.5  # not the second that was waited


def test_compiling_is_no_measure_of_the_work(monkeypatch):
    spent = [100.0]  # by what ran before in this process
    monkeypatch.setattr(progress, "seconds_compiling", lambda: spent[0])
    seen = []
    reporter = Reporter(seen.append)
    reporter.plan(10)
    time.sleep(0.3)
    spent[0] += 0.3
    reporter.advance(5, "half")
    assert seen[-1].seconds_left < 0.1


def test_compiling_is_told_once_between_reports():
    seen = []
    reporter = Reporter(seen.append)
    reporter.plan(10)
    reporter.advance(5, "half")
    for _ in range(3):
        reporter.compiling()
    reporter.advance(1, "more")
    reporter.compiling()
    words = "compiling, in the first run only"
    assert [p.message for p in seen] == ["half", words, "more", words]
    assert [p.fraction for p in seen] == [0.5, 0.5, 0.6, 0.6]
    assert seen[1].seconds_left is None


def test_nobody_has_to_listen():
    Reporter().advance(1, "done")
    Reporter().compiling()

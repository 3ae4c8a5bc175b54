"""Work off the main thread."""

import threading
import time

import pytest

from napari_hypermol.errors import HypermolError
from napari_hypermol.plugin.background import Background

pytestmark = pytest.mark.qt


class Told(list):
    def problem(self, text):
        self.append(f"problem: {text}")


def test_one_after_the_other_and_only_the_latest(qtbot):
    told, at_once, work = Told(), [], Background()
    inside = threading.Semaphore(1)

    def slow(value):
        assert threading.current_thread() is not threading.main_thread()
        at_once.append(inside.acquire(blocking=False))
        time.sleep(0.05)
        inside.release()
        return value

    for value in range(5):
        work.do("map", slow, (value,), told.append, told.problem)
    work.do("other", slow, ("x",), told.append, told.problem)
    qtbot.waitUntil(lambda: not work.is_busy, timeout=5000)
    assert told == [0, 4, "x"]  # the first had begun
    assert all(at_once)


def test_bad_input_is_told(qtbot):
    told, work = Told(), Background()

    def refuse():
        raise HypermolError("widen the choice")

    work.do("a", refuse, (), told.append, told.problem)
    work.do("b", int, ("7",), told.append, told.problem)
    qtbot.waitUntil(lambda: not work.is_busy, timeout=5000)
    assert told == ["problem: widen the choice", 7]


def test_nothing_after_letting_go(qtbot):
    told, work = Told(), Background()
    over = threading.Event()

    def slow():
        time.sleep(0.05)
        over.set()

    work.do("a", slow, (), told.append, told.problem)
    work.do("b", slow, (), told.append, told.problem)
    work.let_go()
    qtbot.waitUntil(over.is_set, timeout=5000)
    qtbot.wait(100)
    assert told == []

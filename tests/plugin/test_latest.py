import threading

import pytest

from napari_hypermol.errors import HypermolError
from napari_hypermol.plugin.latest import Latest

pytestmark = pytest.mark.qt


@pytest.fixture
def heard():
    told = []
    return Latest(told.append, lambda problem: told.append(str(problem))), told


def test_only_the_newest_answer(qtbot, heard):
    latest, told = heard
    gate = threading.Event()
    latest.ask(gate.wait, 10)
    for number in (-1, -2, -3):
        latest.ask(abs, number)
    assert latest.is_busy
    gate.set()
    qtbot.waitUntil(lambda: not latest.is_busy, timeout=5000)
    assert told == [3]
    latest.ask(abs, -4)
    qtbot.waitUntil(lambda: told == [3, 4], timeout=5000)


def test_bad_input_is_an_answer(qtbot, heard):
    latest, told = heard

    def refuse():
        raise HypermolError("x.star: is damaged; repair it")

    latest.ask(refuse)
    qtbot.waitUntil(lambda: bool(told), timeout=5000)
    assert told == ["x.star: is damaged; repair it"]
    latest.ask(open, "/no/such/file")
    qtbot.waitUntil(lambda: len(told) == 2, timeout=5000)
    assert "No such file" in told[1]


def test_silent_after_letting_go(qtbot, heard):
    latest, told = heard
    gate = threading.Event()
    latest.ask(gate.wait, 10)
    latest.let_go()
    gate.set()
    qtbot.waitUntil(lambda: not latest.is_busy, timeout=5000)
    assert told == []

import pytest

from napari_hypermol.plugin.widgets.run_box import RunBox
from napari_hypermol.runs.follow import GONE, Look

pytestmark = pytest.mark.qt


@pytest.fixture
def box(qtbot):
    box = RunBox()
    qtbot.addWidget(box)
    return box


def possible(box):
    buttons = (box.start, box.pause, box.stop, box.resume)
    return [b.text().replace("&", "") for b in buttons if b.isEnabled()]


@pytest.mark.parametrize(
    ("phase", "is_own", "has_run", "buttons"),
    [
        ("", False, False, ["Start"]),
        ("", False, True, ["Start", "Resume"]),
        ("starting", True, False, ["Stop"]),
        ("starting", False, True, ["Start"]),
        ("running", True, True, ["Pause", "Stop"]),
        ("running", False, True, ["Start", "Pause", "Stop"]),  # of a cluster
        ("paused", True, True, ["Continue", "Stop"]),
        ("stopping", True, True, []),
        ("", True, True, []),  # over, its process about to end
    ],
)
def test_what_can_be_asked_for(box, phase, is_own, has_run, buttons):
    box.allow(phase, is_own, has_run)
    assert possible(box) == buttons


@pytest.mark.parametrize(
    ("look", "words", "left"),
    [
        (
            Look("running", 0.5, 30.4, "states 1, sweep 2/9", False),
            "At work: states 1",
            "30 s left",
        ),
        (
            Look("paused", 0.5, 600, "paused in states 1", False),
            "Paused in states 1",
            "10 min left",
        ),
        (Look("running", 0.5, 9000, "x", False), "At work: x", "2.5 h left"),
        (
            Look("reading", 0.5, None, "reading images, 26%; needs about 1.5 GiB", False),
            "Reading images, 26%; needs about 1.5 GiB",
            "",
        ),
        (Look(GONE, 0.5, None, "its process is gone", True), "Interrupted: its process", ""),
    ],
)
def test_what_it_says(box, look, words, left):
    box.show_look(look)
    assert box.status.text().startswith(words)
    assert box.time_left.text() == left
    assert box.bar.value() == 500
    box.begin("another")
    assert (box.title(), box.bar.value()) == ("another", 0)

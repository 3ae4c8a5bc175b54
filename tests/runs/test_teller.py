import threading
import time

import pytest

from napari_hypermol.errors import HypermolError, RunCancelled, RunFolderError
from napari_hypermol.runs.control import Control
from napari_hypermol.runs.lock import holder_of
from napari_hypermol.runs.progress import Progress, Reporter
from napari_hypermol.runs.requests import ask
from napari_hypermol.runs.status import read_status
from napari_hypermol.runs.teller import Teller
from napari_hypermol.runs.trace import read_trace


def until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_tells_what_is_done(tmp_path):
    heard = []
    with Teller(tmp_path, Control(), heard.append) as teller:
        teller.report(Progress(0.1, None, "before there is a folder", None))
        assert read_status(tmp_path) is None
        teller.begin()
        assert read_status(tmp_path).phase == "starting"
        teller.phase("running")
        teller.report(Progress(0.5, 3.0, "half", None, {"position": 1, "sweep": 1}))
        until(lambda: read_status(tmp_path).fraction == 0.5)
        status = read_status(tmp_path)
        assert (status.phase, status.seconds_left, status.message) == ("running", 3.0, "half")
        until(lambda: read_status(tmp_path).heartbeat > status.heartbeat)
    assert [p.message for p in heard] == ["before there is a folder", "half"]
    assert read_status(tmp_path).phase == "done"
    assert [row["position"] for row in read_trace(tmp_path)] == [1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["status.json", "trace.jsonl"]


@pytest.mark.parametrize(
    ("problem", "phase", "says"),
    [
        (RunCancelled("stopped"), "stopped", "what was computed so far is kept"),
        (KeyboardInterrupt(), "stopped", "what was computed so far is kept"),
        (HypermolError("p.star: is empty"), "failed", "p.star: is empty"),
        (OSError(28, "No space left on device"), "failed", "No space left"),
        (ZeroDivisionError("a bug"), "failed", "error of the program: ZeroDivisionError: a bug"),
    ],
)
def test_end_of_every_kind_is_noted(tmp_path, problem, phase, says):
    with pytest.raises(type(problem)), Teller(tmp_path, Control()) as teller:  # noqa: PT012
        teller.begin()
        raise problem
    status = read_status(tmp_path)
    assert status.phase == phase
    assert says in status.message
    assert holder_of(tmp_path) is None


def test_failure_before_there_is_a_folder(tmp_path):
    with pytest.raises(HypermolError), Teller(tmp_path / "run", Control()):
        raise HypermolError("no such file")
    assert not (tmp_path / "run").exists()


def test_requests_are_heeded(tmp_path):
    control = Control()
    done = threading.Event()

    def work():
        reporter = Reporter(teller.report, control)
        reporter.plan(1e9)
        while True:
            reporter.advance(1, "at it")
            done.wait(0.01)

    with pytest.raises(RunCancelled), Teller(tmp_path, control) as teller:  # noqa: PT012
        teller.begin()
        teller.phase("running")
        asker = threading.Thread(target=_pause_continue_stop, args=(tmp_path,))
        asker.start()
        work()
    asker.join(5)
    assert read_status(tmp_path).phase == "stopped"
    assert not (tmp_path / "request.json").exists()


def _pause_continue_stop(folder):
    ask(folder, "pause")
    until(lambda: read_status(folder).phase == "paused")
    assert read_status(folder).seconds_left is None
    ask(folder, "continue")
    until(lambda: read_status(folder).phase == "running")
    ask(folder, "stop")


def test_two_on_one_folder(tmp_path):
    with Teller(tmp_path, Control()) as first:
        first.begin()
        with pytest.raises(RunFolderError, match="works on it"), Teller(tmp_path, Control()) as two:
            two.begin()
        assert read_status(tmp_path).phase == "starting"  # the first one's
    assert read_status(tmp_path).phase == "done"


def test_trouble_with_its_files_ends_no_run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with Teller(folder, Control()) as teller:
        teller.begin()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        teller.report(Progress(0.5, None, "on", None, {"position": 1, "sweep": 1}))
        teller.phase("running")
    assert not folder.exists()

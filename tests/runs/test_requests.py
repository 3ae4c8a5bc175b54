import os
import time
from dataclasses import replace

import pytest

from napari_hypermol.errors import RunFolderError
from napari_hypermol.runs.requests import ask, asked, forget
from napari_hypermol.runs.status import RunStatus, this_host, write_status

NOW = time.time()
STATUS = RunStatus("running", 0.5, 1.0, "at it", os.getpid(), this_host(), "one", NOW, NOW)


def test_a_request_reaches_the_attempt_it_is_meant_for(tmp_path):
    write_status(tmp_path, STATUS)
    assert asked(tmp_path, "one") is None
    assert ask(tmp_path, "pause") == STATUS
    assert asked(tmp_path, "one") == "pause"
    assert asked(tmp_path, "two") is None  # the next attempt at this run
    ask(tmp_path, "stop")
    assert asked(tmp_path, "one") == "stop"
    forget(tmp_path)
    forget(tmp_path)
    assert asked(tmp_path, "one") is None


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (None, "no run has told its status"),
        (replace(STATUS, phase="done", message="done"), r"no run at work to stop \(done\)"),
        (replace(STATUS, started=NOW - 1e6), "process is gone; its last stage is kept"),
    ],
)
def test_nobody_to_ask(tmp_path, status, says):
    if status is not None:
        write_status(tmp_path, status)
    with pytest.raises(RunFolderError, match=says):
        ask(tmp_path, "stop")
    assert not (tmp_path / "request.json").exists()


def test_damaged_request_is_none(tmp_path):
    for text in ("{", "[]", '{"of": "one"}'):
        (tmp_path / "request.json").write_text(text)
        assert asked(tmp_path, "one") is None

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from napari_hypermol.runs.status import (
    SILENCE,
    RunStatus,
    process_is_there,
    read_status,
    status_sentence,
    this_host,
    write_status,
)


def status(**changes):
    now = time.time()
    given = RunStatus(
        "running", 0.25, 12.0, "states 1, sweep 2/9", os.getpid(), this_host(), "t", now, now
    )
    return replace(given, **changes)


@pytest.fixture(scope="module")
def dead():
    """Process id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_is_read_as_written(tmp_path):
    write_status(tmp_path, status())
    assert read_status(tmp_path) == replace(status(), **vars(read_status(tmp_path)))
    assert read_status(tmp_path).message == "states 1, sweep 2/9"
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"phase": "running"}'])
def test_what_cannot_be_read_is_none(tmp_path, text):
    if text is not None:
        (tmp_path / "status.json").write_text(text)
    assert read_status(tmp_path) is None


def test_fields_of_a_later_version_are_passed_over(tmp_path):
    write_status(tmp_path, status())
    path = tmp_path / "status.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"news": 1}))
    assert read_status(tmp_path).fraction == 0.25


def test_process_of_this_machine(dead):
    assert process_is_there(os.getpid(), time.time())
    assert not process_is_there(os.getpid(), time.time() - 1e6)  # another had that number then
    assert not process_is_there(dead, time.time())
    assert not status().is_gone()
    assert status(pid=dead).is_gone()
    assert not status(pid=dead, phase="done").is_gone()


def test_process_of_another_machine_is_known_by_its_heartbeat():
    there = status(host="elsewhere", pid=1)
    assert not there.is_gone(there.heartbeat + 0.5 * SILENCE)
    assert there.is_gone(there.heartbeat + 2 * SILENCE)


def test_sentences(dead):
    assert status_sentence(status()) == "at work: states 1, sweep 2/9"
    assert status_sentence(status(phase="paused")) == "paused: states 1, sweep 2/9"
    assert status_sentence(status(phase="failed", message="no disk")) == "no disk"
    there = status(host="node7")
    assert status_sentence(there) == "at work on node7: states 1, sweep 2/9"
    assert "process is gone; its last stage is kept; Resume" in status_sentence(status(pid=dead))

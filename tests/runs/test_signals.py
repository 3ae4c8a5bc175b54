"""Signals and requests against real processes: how fast they end, and what they leave."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import yaml

from napari_hypermol.runs.control import Control
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.requests import ask
from napari_hypermol.runs.run_facts import is_run_folder
from napari_hypermol.runs.status import read_status
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.trace import read_trace
from small_runs import simulated

LONG = [
    {"resolution": 24, "degree": 0, "sweeps": 1},
    {"resolution": 24, "degree": 1, "sweeps": 4000},
]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return value


@pytest.fixture
def started(tmp_path):
    """A run in a process of its own, in its long second stage; its process and folder."""
    data, out = simulated(tmp_path / "data", schedule=LONG), tmp_path / "run"
    command = [sys.executable, "-m", "napari_hypermol", "reconstruct", data / "particles.star"]
    running = subprocess.Popen(
        [*map(str, command), "--recipe", str(data / "recipe.yaml"), "--out", str(out), "--lines"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: is_run_folder(out) and Run.open(out).snapshots() and len(read_trace(out)) > 3)
    yield running, out
    if running.poll() is None:
        running.kill()
        running.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_within_a_second(started, number):
    running, out = started
    asked = time.monotonic()
    os.kill(running.pid, number)
    _, err = running.communicate(timeout=10)
    assert time.monotonic() - asked < 2  # 1 s on a quiet machine
    assert running.returncode == 128 + number
    assert (
        err.strip().splitlines()[-1]
        == "stopped; what was computed so far is kept, --resume goes on from there"
    )
    assert "Traceback" not in err
    assert read_status(out).phase == "stopped"
    assert Run.open(out).maps.volume([0.5, 0.5]).any()
    assert not (out / "run.lock").exists()


def test_pause_continue_stop_resume(started):
    running, out = started
    ask(out, "pause")
    until(lambda: read_status(out).phase == "paused", 10)
    n = len(read_trace(out))
    time.sleep(1)
    assert len(read_trace(out)) == n
    ask(out, "continue")
    until(lambda: len(read_trace(out)) > n, 10)
    ask(out, "stop")
    assert running.wait(10) == 130
    recipe = yaml.safe_load((out / "recipe.yaml").read_text())
    recipe["schedule"][1]["sweeps"] = 2
    (out / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    run = reconstruct(Job(None, out, resume=True))
    assert run.metrics["is_done"]
    assert read_status(out).phase == "done"
    assert [row["position"] for row in read_trace(out)] == [1, 2, 2]  # the longer ones are gone


def test_kill_is_recognised(started):
    running, out = started
    running.kill()
    running.wait()
    status = read_status(out)
    assert not status.is_over
    assert status.is_gone()
    assert Run.open(out).maps.volume([0.5, 0.5]).any()


def test_second_process_on_one_folder(started):
    _, out = started
    command = [sys.executable, "-m", "napari_hypermol", "reconstruct"]
    facts = Run.open(out).facts
    for how in ("--resume", "--overwrite"):
        second = subprocess.run(
            [*command, facts["particles"], "--out", str(out), how], capture_output=True, text=True
        )
        assert second.returncode == 2
        assert "works on it already" in second.stderr
        assert len(second.stderr.strip().splitlines()) == 1
    assert read_status(out).phase == "running"


def test_a_pause_changes_nothing(tmp_path):
    """The same seed gives the same molecule, whether the run waited or not."""
    brief = [LONG[0], {**LONG[1], "sweeps": 3}]
    data = simulated(tmp_path / "data", schedule=brief)
    results = []
    for name in ("straight", "paused"):
        control, sweeps = Control(), []

        def pause(progress, control=control, sweeps=sweeps, name=name):
            if name == "paused" and progress.row is not None:
                sweeps.append(progress.row)
                control.pause()
                threading.Timer(0.1, control.go_on).start()

        job = Job(data / "particles.star", tmp_path / name, data / "recipe.yaml")
        results.append(reconstruct(job, pause, control).snapshot.estimate.theta)
    np.testing.assert_array_equal(*results)
    assert len(sweeps) == 4

"""The command as a process of its own: its exit code, its last words, Ctrl-C."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from napari_hypermol.runs.store import Run
from small_runs import simulated


@contextlib.contextmanager
def process(*arguments):
    """The command at work in a session of its own, of which nothing is left behind."""
    command = [sys.executable, "-m", "napari_hypermol", *map(str, arguments)]
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # tests started in a shell's background ignore SIGINT, and so would their children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()


def test_module_is_the_command(tmp_path):
    with process("reconstruct", tmp_path / "none.star", "--out", tmp_path / "run") as running:
        out, err = running.communicate(timeout=60)
    assert running.returncode == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "none.star" in err


@pytest.mark.parametrize("scheduler", [(), ("--scheduler", "local:2")], ids=["alone", "workers"])
def test_ctrl_c_leaves_a_usable_folder(tmp_path, scheduler):
    stages = [{"resolution": 24, "degree": 0, "sweeps": 1}]
    stages += [{"resolution": 24, "degree": 4, "sweeps": 2000}]
    data, out = simulated(tmp_path / "data", schedule=stages), tmp_path / "run"
    recipe = data / "recipe.yaml"
    order = ("reconstruct", data / "particles.star", "--recipe", recipe, "--out", out, *scheduler)
    with process(*order) as running:
        seen = ""
        while "stage 2" not in seen:
            seen += (part := running.stderr.read(1))
            assert part, seen
        os.killpg(running.pid, signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    lines = (seen + err).replace("\r", "\n").splitlines()
    told = [line for line in lines if line.strip() and "%" not in line]  # but for the bar
    others = [line for line in told if not line.startswith("hypermol: note: ")]
    assert others == ["stopped; what was computed so far is kept, --resume goes on from there"]
    run = Run.open(out)
    assert run.snapshots() == [1]
    assert run.maps.volume([0.5, 0.5]).any()
    assert not run.metrics["is_done"]

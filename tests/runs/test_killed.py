"""Runs that end by SIGKILL at random instants, or otherwise than planned, and are resumed."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from napari_hypermol.errors import RunCancelled, RunFolderError
from napari_hypermol.io import read_star
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.run_writer import RunWriter
from napari_hypermol.runs.store import Run
from small_runs import BRIEF, simulated

ROOT = Path(__file__).resolve().parents[2]
POSES = {"rotation": "refine", "shift": "refine"}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="killed runs are forked")
def test_killed_runs_end_as_if_nothing_had_happened():
    """Five kinds of runs, bit for bit; the benchmark has more instants of each."""
    command = [sys.executable, "-W", "ignore", str(ROOT / "benchmarks" / "killed.py"), "1", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"kills": 5, "worst": 0.0}, done.stdout


def kept(reports):
    """Those of work that is not done again: poses are averaged over anew, in one piece."""
    return [progress for progress in reports if "to average over" not in progress.message]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A pose run with draws that nobody disturbs."""
    folder = tmp_path_factory.mktemp("alone")
    posterior = {"chains": 2, "warm_up": 1, "draws": 4}
    data = simulated(folder / "data", schedule=BRIEF, latents=POSES, posterior=posterior)
    job = Job(data / "particles.star", folder / "run", data / "recipe.yaml")
    reports = []
    reconstruct(job, reports.append)
    return job, len(kept(reports))


def fresh(job, out, **changes):
    return Job(job.particles, out, job.recipe, **changes)


def assert_same(one: Path, two: Path) -> None:
    a, b = Run.open(one), Run.open(two)
    np.testing.assert_array_equal(a.snapshot.estimate.theta, b.snapshot.estimate.theta)
    np.testing.assert_array_equal(a.snapshot.poses.rotations, b.snapshot.poses.rotations)
    np.testing.assert_array_equal(a.states, b.states)
    traces = [[row | {"seconds": 0} for row in run.snapshot.trace] for run in (a, b)]
    assert traces[0] == traces[1]
    assert a.posterior.keys() == b.posterior.keys()
    for name, values in a.posterior.items():
        np.testing.assert_array_equal(values, b.posterior[name], err_msg=name)
    tables = [read_star(p / "particles.star")["particles"] for p in (one, two)]
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_stopped_runs_go_on_where_they_stood(alone, tmp_path, share):
    """Stopped long before it is time to write, a run still writes where it stands."""
    job, n = alone
    stop, reports = threading.Event(), []

    def on_progress(progress):
        reports.append(progress)
        if len(kept(reports)) == round(share * n):
            stop.set()

    with pytest.raises(RunCancelled):
        reconstruct(fresh(job, tmp_path / "run"), on_progress, stop)
    assert (tmp_path / "run" / "halfway.npz").is_file()
    again = []
    reconstruct(Job(None, tmp_path / "run", resume=True), again.append)
    again = [p for p in kept(again) if p.row or "draw" in p.message]
    assert len(kept(reports)) + len(again) <= n + 4
    assert_same(job.out, tmp_path / "run")
    assert not (tmp_path / "run" / "halfway.npz").exists()


def test_a_stage_of_another_recipe_begins_anew(tmp_path):
    """Stopped after more sweeps of a stage than its recipe has when it is resumed."""
    first, second = BRIEF[0], {**BRIEF[0], "degree": 1, "sweeps": 6}
    data = simulated(tmp_path / "data", schedule=[{**first, "degree": 0, "sweeps": 1}, second])
    stop, out = threading.Event(), tmp_path / "run"

    def on_progress(progress):
        if progress.row and (progress.row["position"], progress.row["sweep"]) == (2, 4):
            stop.set()

    with pytest.raises(RunCancelled):
        reconstruct(Job(data / "particles.star", out, data / "recipe.yaml"), on_progress, stop)
    recipe = yaml.safe_load((out / "recipe.yaml").read_text())
    recipe["schedule"][1]["sweeps"] = 2
    (out / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    run = reconstruct(Job(None, out, resume=True))
    assert [row["sweep"] for row in run.snapshot.trace] == [1, 1, 2]


def test_a_clock_that_jumps_changes_nothing(alone, tmp_path, monkeypatch):
    job, _ = alone
    jumps = np.random.default_rng(0)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jumps.uniform(-1e6, 1e6))
    reconstruct(fresh(job, tmp_path / "run", keep_every=0.0))
    assert_same(job.out, tmp_path / "run")


def test_a_full_disk_ends_a_run_in_one_sentence(alone, tmp_path, monkeypatch):
    job, _ = alone
    real = RunWriter.write_snapshot

    def full(writer, snapshot):
        if snapshot.position == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(writer, snapshot)

    monkeypatch.setattr(RunWriter, "write_snapshot", full)
    with pytest.raises(RunFolderError, match=r"No space left on device.*make room") as caught:
        reconstruct(fresh(job, tmp_path / "run", keep_every=0.0))
    assert "\n" not in str(caught.value)
    assert Run.open(tmp_path / "run").snapshots() == [1]
    monkeypatch.undo()
    reconstruct(Job(None, tmp_path / "run", resume=True))
    assert_same(job.out, tmp_path / "run")


def test_a_folder_that_vanishes_for_a_while(alone, tmp_path):
    """A disk that goes away between two stages: one sentence, and the run can be resumed."""
    job, _ = alone
    out, seen = tmp_path / "run", []

    def on_progress(progress):
        seen.append(progress)
        if progress.row and len(seen) > 2 and out.exists():
            out.rename(tmp_path / "away")

    with pytest.raises(RunFolderError, match="is not there any more"):
        reconstruct(fresh(job, out, keep_every=0.0), on_progress)
    assert not out.exists()  # nothing was written into nothing
    (tmp_path / "away").rename(out)
    (out / "run.lock").unlink()  # of a process that has ended, elsewhere than in this test
    reconstruct(Job(None, out, resume=True))
    assert_same(job.out, out)


def test_a_second_run_leaves_the_first_alone(alone, tmp_path):
    job, _ = alone
    out, refusals = tmp_path / "run", []

    def on_progress(progress):
        if progress.row and not refusals:
            for other in (Job(None, out, resume=True), fresh(job, out, overwrite=True)):
                with pytest.raises(RunFolderError, match="works on it already") as caught:
                    reconstruct(other)
                refusals.append(str(caught.value))

    reconstruct(fresh(job, out), on_progress)
    assert len(refusals) == 2
    assert_same(job.out, out)

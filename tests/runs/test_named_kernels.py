"""Schedules that name their kernels: each runs, is resumed in mid-stage, and moves what it says."""

import threading

import numpy as np
import pytest

from napari_hypermol.errors import RecipeError, RunCancelled
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.store import Run
from small_runs import BRIEF, TINY, simulated

POSES = {"rotation": "refine", "shift": "refine"}
MOVING = BRIEF[1] | {"sweeps": 6}  # after them all, states are known
WARM = TINY._replace(pose_error=5.0, shift_error=0.5)
SCHEDULES = {
    "metropolis": {"state": "metropolis", "shift": "metropolis", "noise": "draw"},
    "mala": {"state": "mala", "rotation": "mala", "shift": "mala", "theta": "mala"},
    "hmc": {"state": "hmc", "shift": "hmc", "theta": "hmc", "noise": "hold"},
    "batches": {"state": "draw", "rotation": "mala", "shift": "hold", "theta": "langevin"},
}
RATES = {
    "metropolis": ["pose_acceptance", "shift_acceptance", "state_acceptance"],
    "mala": ["rotation_acceptance", "shift_acceptance", "state_acceptance", "theta_acceptance"],
    "hmc": ["pose_acceptance", "shift_acceptance", "state_acceptance", "theta_acceptance"],
    "batches": ["rotation_acceptance", "theta_acceptance"],
}


def stopped_and_resumed(job, out, at):
    stop, count = threading.Event(), []

    def on_progress(progress):
        count.append(progress)
        if len(count) == at:
            stop.set()

    with pytest.raises(RunCancelled):
        reconstruct(Job(job.particles, out, job.recipe), on_progress, stop)
    assert (out / "halfway.npz").is_file()
    reconstruct(Job(None, out, resume=True))
    return Run.open(out)


@pytest.mark.parametrize("name", SCHEDULES)
def test_named_kernels_run_and_go_on_where_they_stood(tmp_path, name):
    last = BRIEF[1] | {"sweeps": 5, "warm_up": 3, "state_steps": 6} | SCHEDULES[name]
    schedule = [BRIEF[0], MOVING, last]
    data = simulated(tmp_path / "data", WARM, schedule=schedule, latents=POSES)
    job, reports = Job(data / "particles.star", tmp_path / "run", data / "recipe.yaml"), []
    reconstruct(job, reports.append)
    run = Run.open(job.out)
    rows = [row for row in run.snapshot.trace if row["stage"] == "stage 3"]
    assert len(rows) == 5
    for key in RATES[name]:
        rates = [row[key] for row in rows[2:]]
        assert all(0 < rate <= 1 for rate in rates), key
    assert np.isfinite(run.snapshot.estimate.theta).all()
    in_stage = [i for i, p in enumerate(reports) if "stage 3, sweep 3" in p.message]
    again = stopped_and_resumed(job, tmp_path / "again", in_stage[0] + 1)
    np.testing.assert_array_equal(again.snapshot.estimate.theta, run.snapshot.estimate.theta)
    np.testing.assert_array_equal(again.states, run.states)
    one, two = ([r | {"seconds": 0} for r in x.snapshot.trace] for x in (again, run))
    assert one == two


def test_noise_is_held(tmp_path):
    schedule = [BRIEF[0], MOVING | {"noise": "hold"}]
    data = simulated(tmp_path / "data", TINY, schedule=schedule)
    reports = []
    reconstruct(
        Job(data / "particles.star", tmp_path / "run", data / "recipe.yaml"), reports.append
    )
    noises = {p.row["noise"] for p in reports if p.row and p.row["stage"] == "stage 2"}
    assert len(noises) == 1


def test_a_class_has_no_slope(tmp_path):
    heads = {
        "head": {
            "support": {"ball": {"radius": 60}}, "state": {"basis": "classes", "classes": 2},
        }
    }  # fmt: skip
    schedule = [BRIEF[0], BRIEF[1] | {"state": "mala"}]
    data = simulated(tmp_path / "data", TINY, components=heads, schedule=schedule)
    job = Job(data / "particles.star", tmp_path / "run", data / "recipe.yaml")
    with pytest.raises(RecipeError, match=r"schedule\.1\.state: a class has no slope for mala"):
        reconstruct(job)

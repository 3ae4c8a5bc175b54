"""From files to a finished run folder: what comes out, and what is left when it is stopped."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import spearmanr

from napari_hypermol.errors import (
    RunCancelled,
    RunFolderError,
)
from napari_hypermol.io import read_particles, read_star, write_stack, write_star
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.recipe_text import recipe_from
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.truth import read_truth
from small_runs import BRIEF, PRETZEL, TINY, recovered, simulated


@pytest.fixture
def data(tmp_path):
    return simulated(tmp_path / "data", schedule=BRIEF)


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


# ---- what comes out ------------------------------------------------------------------------


@pytest.mark.slow
def test_pretzel_is_recovered(pretzel_run):
    """Against the truth here, not through `score`, which has tests of its own."""
    run, truth = pretzel_run.run, read_truth(pretzel_run.data / "truth.star")
    # At SNR 1 the truth itself reads the states to Spearman 0.995; ours lose a little to a map
    # made of 300 particles.
    for axis in range(2):
        table = [abs(spearmanr(f, truth.states[:, axis]).statistic) for f in run.states.T]
        assert max(table) > 0.97
    # contrasts of spread 0.1 are known to a few percent at this SNR
    assert np.corrcoef(run.contrasts, truth.contrasts)[0, 1] > 0.6
    assert run.contrasts.mean() == pytest.approx(1, abs=0.04)
    assert run.snapshot.estimate.contrast_std == pytest.approx(0.1, abs=0.03)
    # White noise of variance 1 in every shell that was used; where the signal is far stronger, the
    # little of it that 300 particles leave unexplained is taken for noise.
    noise = run.snapshot.estimate.noise[0, 1:12]
    assert ((noise > 0.95) & (noise < 1.25)).all()


def test_likelihood_grows_from_stage_to_stage(pretzel_run):
    trace = pretzel_run.run.snapshot.trace
    last = {t["stage"]: t["log_likelihood_per_particle"] for t in trace}
    values = list(last.values())[1:]  # the first stage has no molecule to begin with
    assert values == sorted(values)


def test_posterior_knows_how_wrong_it_is(pretzel_run):
    """States are a coordinate of their own; true states are brought onto it by their order."""
    run, truth = pretzel_run.run, read_truth(pretzel_run.data / "truth.star")
    for axis in range(2):
        match = int(np.argmax([abs(spearmanr(f, truth.states[:, axis])[0]) for f in run.states.T]))
        found, std = run.states[:, match], run.state_stds[:, match]
        fit = np.polynomial.Polynomial.fit(truth.states[:, axis], found, 5)
        z = (found - fit(truth.states[:, axis])) / std
        assert 0.5 < np.sqrt(np.mean(z**2)) < 2


def test_same_seed_same_run(tiny_run, tmp_path):
    again = recovered(tiny_run.data, tmp_path / "again").run
    np.testing.assert_allclose(again.states, tiny_run.run.states, atol=1e-5)
    theta, other = again.snapshot.estimate.theta, tiny_run.run.snapshot.estimate.theta
    np.testing.assert_allclose(theta, other, atol=1e-5 * abs(other).max())


def test_seed_from_outside_is_kept(tiny_run, tmp_path):
    run = recovered(tiny_run.data, tmp_path / "run", seed=11).run
    assert run.recipe.seed == 11
    assert abs(run.states - tiny_run.run.states).max() > 1e-3


def test_progress_goes_from_zero_to_one(data, tmp_path):
    seen = []
    job = Job(None, tmp_path / "run", data / "recipe.yaml")  # particles named by the recipe
    run = reconstruct(job, seen.append)
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert seen[-1].message == "done"
    assert any("reading images" in p.message for p in seen)
    assert seen[-1].maps.volume([0.5, 0.5]).shape == (24, 24, 24)
    assert run.metrics["is_done"]
    assert run.metrics["peak_memory_bytes"] > 1e7


BALL = {"ball": {"radius": 80}}


def test_memory_is_said_while_images_are_read(data, tmp_path):
    seen = []
    job = Job(data / "particles.star", tmp_path / "run", data / "recipe.yaml")
    reconstruct(job, lambda progress: seen.append(progress.message))
    reading = [message for message in seen if message.startswith("reading images")]
    assert reading
    assert all("of memory" in message for message in reading)
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "of memory" in log


def quick(data, tmp_path, components, **more):
    """A run of the tiny stack with other components."""
    values = {"components": components, "schedule": BRIEF} | more
    job = Job(data / "particles.star", tmp_path / "run", recipe_from(values))
    return reconstruct(job)


def test_rigid_molecule(data, tmp_path):
    run = quick(data, tmp_path, {"body": {"support": BALL}})
    assert run.states.shape == (60, 0)
    assert run.maps.volume(()).max() > 0
    assert names(run.path / "volumes") == ["map.cxc", "map_00.mrc"]
    assert "hypermolState1" not in read_star(run.path / "particles.star")["particles"]
    assert Run.open(run.path).maps.dims == 0


def test_rigid_molecule_with_automatic_schedule(data, tmp_path):
    run = quick(data, tmp_path, {"body": {"support": BALL}}, schedule="auto")
    truth = [c.volumes[len(c.volumes) // 2] for c in read_truth(data / "truth.star").components]
    assert np.corrcoef(run.maps.volume(()).ravel(), sum(truth).ravel())[0, 1] > 0.6


def test_two_knobs_of_one_component(data, tmp_path):
    state = {"dims": 2, "degree": 2}
    run = quick(data, tmp_path, {"all": {"support": BALL, "state": state}})
    assert run.states.shape == (60, 2)
    assert run.maps.axis_components == ("all", "all")
    assert run.snapshot.posterior.tables[0].shape == (60, 256)
    assert ((run.states > 0) & (run.states < 1)).all()
    assert len(names(run.path / "volumes")) == 22


def test_three_moving_components_are_drawn_by_gibbs(data, tmp_path, monkeypatch):
    from napari_hypermol.runs import sweep

    calls = []
    original = sweep.gibbs_posterior
    monkeypatch.setattr(
        sweep, "gibbs_posterior", lambda *a: calls.append(len(a[3])) or original(*a)
    )
    arm = {"support": {"ball": {"center": [50, 0, 0], "radius": 35}}, "state": {"degree": 2}}
    turns = [{"share": "a", "placed": {"angle": angle}} for angle in (120, 240)]
    run = quick(data, tmp_path, {"a": arm, "b": turns[0], "c": turns[1]})
    assert set(calls) == {3}
    assert run.states.shape == (60, 3)
    assert Run.open(run.path).maps.axis_names == ("tau1", "tau2", "tau3")


def test_premultiplied_images_give_the_same_molecule(tmp_path):
    """The same stack multiplied by its CTF, said so in the optics table."""
    from napari_hypermol.coordinates.fourier import half_plane_to_image, image_to_half_plane
    from napari_hypermol.imaging.ctf import contrast_transfer
    from napari_hypermol.synthetic.simulate import _whole_plane

    longer = [BRIEF[0], {**BRIEF[1], "sweeps": 12}]
    data = simulated(tmp_path / "data", TINY._replace(n=150), schedule=longer)
    plain = recovered(data, tmp_path / "plain").run
    particles = read_particles(data / "particles.star").particles
    images, size = particles.images.compute(), TINY.box_size
    ctf = contrast_transfer(
        particles.optics, particles.optics_group, particles.defocus, _whole_plane(size), 8.0
    )
    plane = image_to_half_plane(images)
    images = half_plane_to_image(plane * ctf.reshape(plane.shape), (size, size))
    write_stack(data / "particles.mrcs", images.astype(np.float32), 8.0, overwrite=True)
    blocks = read_star(data / "particles.star")
    blocks["optics"]["rlnCtfDataAreCtfPremultiplied"] = 1
    write_star(data / "particles.star", blocks, overwrite=True)
    run = recovered(data, tmp_path / "run").run
    # Not the same numbers: noise is estimated where the CTF is strong.
    np.testing.assert_allclose(run.states, plain.states, atol=0.03)
    found, known = run.maps.volume([0.3, 0.6]), plain.maps.volume([0.3, 0.6])
    assert np.corrcoef(found.ravel(), known.ravel())[0, 1] > 0.999


def test_noise_of_each_optics_group(tmp_path):
    """Two microscopes, one four times as noisy in variance."""
    data = simulated(tmp_path / "data", PRETZEL._replace(n=200), schedule=[
        {"resolution": 24, "degree": 0, "sweeps": 2},
        {"resolution": 24, "degree": 1, "sweeps": 8},
        {"resolution": 24, "degree": 4, "sweeps": 4},
    ])  # fmt: skip
    file = read_particles(data / "particles.star")
    images = file.particles.images.compute()
    second = np.arange(200) % 3 == 0
    rng = np.random.default_rng(1)
    images[second] += np.sqrt(3) * rng.standard_normal(images[second].shape, dtype=np.float32)
    write_stack(data / "particles.mrcs", images, PRETZEL.pixel_size, overwrite=True)
    blocks = read_star(data / "particles.star")
    optics = pd.concat([blocks["optics"]] * 2, ignore_index=True)
    optics["rlnOpticsGroup"], optics["rlnOpticsGroupName"] = [1, 2], ["quiet", "noisy"]
    blocks["particles"]["rlnOpticsGroup"] = 1 + second
    write_star(
        data / "particles.star",
        {"optics": optics, "particles": blocks["particles"]},
        overwrite=True,
    )
    noise = recovered(data, tmp_path / "run").run.snapshot.estimate.noise
    assert noise.shape[0] == 2
    # shells inside the band limit of 8 cycles, beyond those with a handful of samples
    np.testing.assert_allclose(noise[0, 2:8], 1, rtol=0.1)
    np.testing.assert_allclose(noise[1, 2:8], 4, rtol=0.1)


# ---- half sets -----------------------------------------------------------------------------


def test_half_sets_are_in_the_metrics(data, tmp_path):
    values = yaml.safe_load((data / "recipe.yaml").read_text()) | {"half_sets": True}
    (data / "recipe.yaml").write_text(yaml.safe_dump(values))
    run = recovered(data, tmp_path / "run").run
    halves = run.metrics["half_sets"]
    assert len(halves["states"]) == len(halves["fsc"]) == len(halves["resolution"]) == 10
    assert "Independent halves" in (run.path / "report.html").read_text()


# ---- stopped and resumed ---------------------------------------------------------------------


def stopped(data, out, stage, action):
    """Run until the given stage has begun, then let `action` happen."""

    def on_progress(progress):
        if progress.message.startswith(stage):
            action()

    return lambda stop=None: reconstruct(
        Job(data / "particles.star", out, data / "recipe.yaml"), on_progress, stop
    )


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("how", ["event", "ctrl-c"])
def test_stopped_run_is_usable_and_can_go_on(data, tiny_run, tmp_path, how):
    out, stop = tmp_path / "run", threading.Event()
    begin = stopped(data, out, "stage 2, sweep 2", stop.set if how == "event" else interrupt)
    with pytest.raises(RunCancelled if how == "event" else KeyboardInterrupt):
        begin(stop)
    run = Run.open(out)
    assert run.snapshots() == [1]
    assert run.maps.volume([0.5, 0.5]).any()
    assert not run.metrics["is_done"]
    assert (out / "particles.star").is_file()
    assert "ended early" in (out / "log.txt").read_text()
    assert not (out / "report.html").exists()
    again = reconstruct(Job(None, out, resume=True))
    assert Run.open(out).snapshots() == [1, 2]
    assert again.metrics["is_done"]
    assert [t["stage"] for t in again.snapshot.trace] == ["stage 1"] + 4 * ["stage 2"]
    np.testing.assert_allclose(again.states, tiny_run.run.states, atol=1e-5)


def test_stopped_before_the_first_image_leaves_nothing(data, tmp_path):
    stop = threading.Event()
    stop.set()
    with pytest.raises(RunCancelled):
        reconstruct(Job(data / "particles.star", tmp_path / "run"), stop=stop)
    assert not (tmp_path / "run").exists()


def test_stopped_in_the_first_stage_can_go_on(data, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        stopped(data, out, "stage 1", interrupt)()
    assert Run.open(out).snapshots() == []
    assert reconstruct(Job(None, out, resume=True)).snapshots() == [1, 2]


def test_finished_run_resumed_stays_as_it_was(tiny_run, tmp_path):
    out = shutil.copytree(tiny_run.run.path, tmp_path / "run")
    run = reconstruct(Job(tiny_run.data / "particles.star", out, resume=True))
    np.testing.assert_array_equal(run.states, tiny_run.run.states)
    assert run.snapshots() == [1, 2]


KILLED = """
import sys
from pathlib import Path
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.reconstruct import reconstruct
data, out = map(Path, sys.argv[1:])
print("ready", flush=True)
while True:
    reconstruct(Job(data / "particles.star", out, data / "recipe.yaml", overwrite=out.exists()))
"""


def test_killed_at_any_instant_leaves_no_run_or_a_readable_one(data, tmp_path):
    out, rng = tmp_path / "run", np.random.default_rng()  # any instant: not the same every day
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(data), str(out)], stdout=subprocess.PIPE
    )
    process.stdout.readline()
    time.sleep(rng.uniform(0.3, 4))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    try:
        run = Run.open(out)
    except RunFolderError:
        return  # it had not begun
    assert run.recipe.components.keys() == {"body", "arm_a", "arm_b"}
    if run.snapshots():
        assert run.maps.volume([0.5, 0.5]).shape == (24, 24, 24)
        assert len(run.contrasts) == TINY.n
    if (out / "particles.star").exists():
        assert len(read_star(out / "particles.star")["particles"]) == TINY.n
    assert run.metrics == {} or "trace" in run.metrics

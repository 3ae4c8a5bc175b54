"""The benchmarks of speed and scale: what they compute, and that they run."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from napari_hypermol import backend
from napari_hypermol.imaging.projector import adjoint
from napari_hypermol.runs.gridded_normal import GriddedNormal
from napari_hypermol.runs.truth import TrueComponent, Truth

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def module(monkeypatch):
    """A script of the folder as a module; it finds its neighbours as when it is run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_exponent_is_the_power(module):
    sizes = [1000, 2000, 8000]
    assert module("scaling").exponent(sizes, [3e-4 * n**1.5 for n in sizes]) == pytest.approx(1.5)


@pytest.mark.parametrize("n_functions", [1, 3])
def test_a_slice_meets_the_cache_lines_that_its_adjoint_adds_to(module, n_functions):
    scaling, floor = module("scaling"), module("memory_floor")
    problem = scaling.case_of(2, 16, n_functions, 3.0).problem
    grids, samples = problem.molecule.empty_grids, problem.samples
    rotations = problem.images.rotations[:1]
    ones = np.ones((1, len(samples.kx), n_functions), np.complex64)
    met = adjoint(ones, rotations, grids, problem.placements, samples).nonzero()[0]
    assert floor.lines_of_a_slice(rotations[0], grids, samples) == len(np.unique(4 * met // 64))


def on_cpu(found):
    """The arrays of what a kernel gives, in main memory."""
    if isinstance(found, GriddedNormal):
        found = found(np.ones(found.molecule.n_coefficients, np.float32))
    columns = found if isinstance(found, tuple) else (found,)
    arrays = [column for column in columns if hasattr(column, "shape")]
    return [np.asarray(backend.as_numpy(array)) for array in arrays]


def test_what_is_timed_on_a_gpu_is_what_is_timed_here(module, cupy):
    scaling = module("scaling")
    here = scaling.kernels(scaling.case_of(8, 16, 3, 4.0))
    there = scaling.kernels(scaling.case_of(8, 16, 3, 4.0, "cuda"))
    assert here.keys() == there.keys()
    for name in here.keys() - {"sweep"}:
        mine, own = on_cpu(here[name]()), on_cpu(there[name]())
        assert len(mine) == len(own) > 0
        for a, b in zip(mine, own, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4 * np.abs(a).max(), err_msg=name)
    (mine, _), (own, _) = here["sweep"](), there["sweep"]()
    np.testing.assert_allclose(mine.theta, own.theta, atol=1e-3 * np.abs(mine.theta).max())


def test_a_gpu_is_waited_for(module, cupy, monkeypatch):
    waits = []
    device = SimpleNamespace(synchronize=lambda: waits.append("waited"))
    monkeypatch.setattr(cupy.cuda, "Device", lambda: device)
    scaling = module("scaling")
    calls = scaling.kernels(scaling.case_of(8, 16, 3, 4.0, "cuda"))
    for call in calls.values():
        call()
    assert len(waits) == len(calls)


@pytest.mark.slow
def test_scaling_runs():
    command = [sys.executable, "-W", "ignore", str(BENCHMARKS / "scaling.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert set(told["n"]) == set(told["q"]) == set(told["threads_faster"])
    assert all(ratio > 0 for ratio in told["adjoint"])
    # no order of reading moves less than every line once
    assert all(row["by_taps"] > 0 and row["by_lines"] > 0 for row in told["fused"])
    ((n, seconds, memory),) = told["runs"]["rows"]
    assert n == 60
    assert seconds > 0
    assert memory > 50  # MB: an interpreter with numpy and numba in it


def moving_truth(n: int = 400, box: int = 8) -> Truth:
    rng = np.random.default_rng(0)
    mean, change = rng.normal(size=(2, box, box, box)).astype(np.float32)
    levels = np.linspace(0, 1, 11)
    volumes = 3 * mean + levels[:, None, None, None] * change
    component = TrueComponent("ball", levels, volumes.astype(np.float32))
    return Truth(rng.uniform(size=(n, 1)), None, [component])


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("contrast", [1, -1])
def test_a_perfect_rival_scores_one(module, direction, contrast):
    """Whatever the direction, the scale of its state and the contrast of its maps."""
    head_to_head, rival_runs = module("head_to_head"), module("rival_runs")
    truth = moving_truth()
    states = direction * truth.states[:, 0] ** 3  # in another parametrisation
    volumes, levels = truth.moving[0].volumes, truth.moving[0].states

    def maps(shares):
        assert (np.diff(shares) > 0).all()
        true = np.cbrt(direction * np.quantile(states, shares))
        low = np.minimum((10 * true).astype(int), 9)
        part = (10 * (true - levels[low]))[:, None, None, None]
        return (contrast * ((1 - part) * volumes[low] + part * volumes[low + 1])).astype("f4")

    found = rival_runs.Recovered(None, states, maps, "made up")
    outcome = head_to_head.scored("rival", found, truth)
    assert outcome.states == pytest.approx(1)
    assert outcome.maps == pytest.approx(1, abs=1e-4)


def test_maps_of_unrelated_states_do_not_agree(module):
    """Half of the maps the other way round: a score that took absolute values would not see it."""
    truth = moving_truth().moving[0].volumes[:10]
    backwards = module("head_to_head").map_agreement(truth[::-1].copy(), truth)
    assert backwards == pytest.approx(-1, abs=1e-4)


def test_a_program_that_cannot_be_had_is_told(module, tmp_path, monkeypatch):
    homes = module("rival_homes")
    monkeypatch.setattr(homes.shutil, "which", lambda name: None)
    with pytest.raises(homes.MissingRival, match="apt-get install relion"):
        homes.home_of("relion", tmp_path)

    def refuse(*command, **more):
        raise subprocess.CalledProcessError(1, command, "noise\nno such distribution")

    monkeypatch.setattr(homes, "run", refuse)
    with pytest.raises(homes.MissingRival, match="no such distribution"):
        homes.home_of("recovar", tmp_path)


def test_programs_do_not_see_our_python_path(module, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/ours")
    script = "import os; print(os.environ.get('PYTHONPATH'))"
    run = module("rival_homes").run
    spent, out = run(sys.executable, "-c", script)
    assert out.strip() == "None"
    assert spent.processor > 0
    assert spent.wall > 0
    assert run(sys.executable, "-c", script, is_ours=True)[1].strip() == "/ours"

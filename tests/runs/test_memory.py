import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from examples import one_ball
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.errors import RunFolderError
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.runs import memory, scratch
from napari_hypermol.runs.memory import MemoryPlan, check_room, planned_memory
from napari_hypermol.schedules.stage import Stage

STAGES = [Stage("mean", 4.0, 0, sweeps=1), Stage("states", 8.0, 1, sweeps=2)]
GIB = 2**30
K = len(fourier_samples(24, 8.0).kx)


@pytest.fixture
def plenty(monkeypatch):
    monkeypatch.setattr(memory, "is_in_memory", lambda n_bytes: True)


def test_every_particle_costs_its_samples_and_moments(plenty):
    one, two, three = (planned_memory(one_ball(24), STAGES, n) for n in (100_000, 200_000, 300_000))
    each = (two.memory - one.memory) / 100_000
    # Y, D and W, the last two twice; more for spectra and moments
    assert K * 32 < each < K * 32 + 1500
    # the process itself may grow between two looks
    assert three.memory - two.memory == pytest.approx(two.memory - one.memory, rel=0.02)
    assert one.disk == two.disk == 0


def test_what_does_not_fit_goes_to_the_disk(monkeypatch):
    plans = []
    for fits in (True, False):
        monkeypatch.setattr(memory, "is_in_memory", lambda n_bytes, fits=fits: fits)
        plans.append(planned_memory(one_ball(24), STAGES, 100_000))
    memory_only, both = plans
    assert both.disk == 100_000 * K * (8 + 2 * 8 + 2 * 4)
    moved = memory_only.memory - both.memory
    assert moved == pytest.approx(both.disk, rel=0.02)


def test_poses_that_move_cost_what_proposes_them(plenty):
    still, moving = (
        planned_memory(one_ball(24), STAGES, 1_000_000, moves_poses=moves)
        for moves in (False, True)
    )
    # covariances in double, guides twice, a tangent vector for each of 24 draws
    assert 400 < (moving.memory - still.memory) / 1_000_000 < 1200


def test_images_at_workers_are_not_here(plenty):
    here = planned_memory(one_ball(24), STAGES, 100_000)
    there = planned_memory(one_ball(24), STAGES, 100_000, is_remote=True)
    assert there.memory < here.memory - 100_000 * K * 30
    assert there.disk == 0


def test_the_sentence_has_both():
    assert MemoryPlan(3 * GIB // 2, 0).sentence() == "needs about 1.5 GiB of memory"
    assert MemoryPlan(8 * GIB, 0, 6 * GIB).sentence() == "needs 2.0 GiB to 8.0 GiB of memory"
    sentence = MemoryPlan(300 * 2**20, 20 * GIB).sentence()
    assert sentence == "needs about 300 MiB of memory and 20.0 GiB of disk for a while"


def test_a_machine_too_small_is_said_before_the_start(tmp_path):
    check_room(MemoryPlan(0, 1), tmp_path / "not" / "there" / "yet")
    with pytest.raises(RunFolderError, match=r"needs 1000000.0 GiB there .* make room"):
        check_room(MemoryPlan(0, 10**6 * GIB), tmp_path)
    with pytest.raises(RunFolderError, match=r"needs 1000000.0 GiB of memory.*--scheduler"):
        check_room(MemoryPlan(10**6 * GIB, 0), tmp_path)


def test_what_may_be_trimmed_is_no_reason_to_refuse(tmp_path, monkeypatch):
    """The supports of most molecules are much smaller than their balls in the end."""
    plan = MemoryPlan(10**6 * GIB, 0, 10**6 * GIB - 1)
    with pytest.warns(UserWarning, match=r"0 MiB to 1000000\.0 GiB of memory, and .* are free"):
        check_room(plan, tmp_path)


def test_what_can_be_trimmed_is_spare(plenty):
    """What the stage needs in which states begin is needed; of a support never trimmed, all is."""
    finer = [*STAGES, Stage("fine", 11.0, 1, sweeps=2)]
    fixed = one_ball(24)
    loose = Composite([replace(c, is_trimmed=True) for c in fixed.components], 24)
    assert planned_memory(fixed, finer, 1000).spare == 0
    assert planned_memory(loose, STAGES, 1000).spare == 0  # states begin at the finest stage
    plan, coarse = planned_memory(loose, finer, 1000), planned_memory(fixed, STAGES, 1000)
    assert 0 < plan.spare < plan.memory - coarse.memory + 2**24


def test_what_is_kept_in_files_is_what_the_plan_says():
    assert memory.is_in_memory is scratch.is_in_memory


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is that of all programs")
def test_the_peak_is_of_this_program_alone():
    """Not of the one that started it, which may be larger."""
    ballast = np.ones(40_000_000)
    code = "from napari_hypermol.runs.memory import peak_memory; print(peak_memory())"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert int(found.stdout) < ballast.nbytes + 50_000_000


@pytest.mark.slow
def test_the_peak_of_a_run_is_predicted(pretzel_run, tmp_path):
    """Within 20 %; benchmarks/memory.py does it for larger ones."""
    data = pretzel_run.data
    command = [
        sys.executable, "-m", "napari_hypermol", "reconstruct", data / "particles.star",
        "--recipe", data / "recipe.yaml", "--out", tmp_path / "run",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    planned, peak = metrics["planned_memory_bytes"], metrics["peak_memory_bytes"]
    assert 0.8 < planned / peak < 1.2

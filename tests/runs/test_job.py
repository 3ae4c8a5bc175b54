"""Going on with a run: with what it was begun with, and nothing else."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_hypermol.errors import (
    OutputExistsError,
    ParticleFileError,
    RecipeError,
    RunFolderError,
)
from napari_hypermol.io import read_star, write_star
from napari_hypermol.runs import reconstruct as module
from napari_hypermol.runs.job import Job, resumed
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.store import Run
from small_runs import BRIEF, TINY, recovered, simulated


@pytest.fixture
def data(tmp_path):
    return simulated(tmp_path / "data", schedule=BRIEF)


def test_resume_of_nothing_or_of_another_stack(data, tiny_run, tmp_path):
    with pytest.raises(OutputExistsError, match="no run to resume"):
        reconstruct(Job(data / "particles.star", tmp_path / "none", resume=True))
    assert not (tmp_path / "none").exists()
    with pytest.raises(RunFolderError, match="is not a run folder"):
        reconstruct(Job(data / "particles.star", data, resume=True))
    with pytest.raises(RunFolderError, match="was made from"):
        reconstruct(Job(data / "particles.star", tiny_run.run.path, resume=True))


def test_what_has_been_moved_is_gone_on_with(tmp_path):
    """Files may lie elsewhere; other images, or the same in another order, are refused."""
    data = simulated(tmp_path / "data", schedule=BRIEF)
    out = recovered(data, tmp_path / "run").run.path
    before = Run.open(out).states
    moved = data.rename(tmp_path / "archive")
    with pytest.raises(ParticleFileError, match="does not exist"):
        reconstruct(Job(None, out, resume=True))
    star = shutil.copy(moved / "particles.star", tmp_path / "elsewhere.star")
    reconstruct(Job(star, out, resume=True, data_dir=moved))
    run = Run.open(out)
    np.testing.assert_array_equal(run.states, before)
    assert run.read_particles().n == TINY.n  # it remembers where they are now
    tables = read_star(star)
    for rows, what in ((slice(None, None, -1), "another order"), (slice(0, -1), "begun with")):
        others = tables | {"particles": tables["particles"].iloc[rows].reset_index(drop=True)}
        write_star(star, others, overwrite=True)
        with pytest.raises(RunFolderError, match=what):
            reconstruct(Job(None, out, resume=True))


def test_what_a_resumed_run_does_not_heed_is_said(tiny_run, tmp_path):
    out = shutil.copytree(tiny_run.run.path, tmp_path / "run")
    with pytest.raises(RecipeError, match=r"--seed 77: .* was begun with"):
        reconstruct(Job(None, out, seed=77, resume=True))
    with pytest.raises(ParticleFileError, match=r"--pixel-size 2\.5: .* was begun with"):
        reconstruct(Job(None, out, pixel_size=2.5, resume=True))
    with pytest.warns(UserWarning, match="--recipe is not read"):
        reconstruct(Job(None, out, tiny_run.data / "recipe.yaml", resume=True))


def test_a_run_begun_on_processors_goes_on_there(tiny_run):
    """In the same chain to the last bit, also where there is a GPU."""
    run = tiny_run.run.path
    assert tiny_run.run.metrics["device"] == "cpu"
    for asked, expected in (("auto", "cpu"), ("cpu", "cpu"), ("cuda", "cuda")):
        assert resumed(Job(None, run, device=asked, resume=True)).device == expected


def test_a_run_begun_on_a_gpu_goes_on_where_one_is(tiny_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run.run.path, run)
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(metrics | {"device": "cuda"}))
    assert resumed(Job(None, run, resume=True)).device == "auto"


@pytest.mark.parametrize(
    ("scheduler", "asked", "device"),
    [(None, "auto", "cuda"), ("2", "auto", "cpu"), ("2", "cuda", "cuda"), (None, "cpu", "cpu")],
)
def test_workers_have_a_gpu_if_their_user_says_so(monkeypatch, scheduler, asked, device):
    monkeypatch.setattr(module, "choose_device", lambda asked: "cuda" if asked == "auto" else asked)
    assert module._device_of(Job(None, Path(), device=asked, scheduler=scheduler)) == device

"""A run that may be spoiled; truths of truth, oracle and score; searches on a device, counted."""

import shutil

import numpy as np
import pytest

from napari_hypermol.io import read_star, write_star, write_volume
from napari_hypermol.runs.truth import read_truth
from napari_hypermol.samplers import search_cuda
from small_runs import PRETZEL


@pytest.fixture
def folder(tiny_run, tmp_path):
    """A copy of a run that a test may spoil."""
    return shutil.copytree(tiny_run.run.path, tmp_path / "run")


@pytest.fixture(scope="module")
def truth(pretzel_run):
    return read_truth(pretzel_run.data / "truth.star")


@pytest.fixture
def discrete(pretzel_run, tmp_path):
    """A truth file with trueState and trueMap, its maps beside it."""
    truth = read_truth(pretzel_run.data / "truth.star")
    table = read_star(pretzel_run.data / "particles.star")["particles"]
    nearest = np.rint(2 * truth.states[:, 0]).astype(int)
    body, arm, other = truth.components
    for index in range(3):
        whole = body.volumes[0] + arm.volumes[10 * index] + other.volumes[10]
        write_volume(tmp_path / f"map{index}.mrc", whole, PRETZEL.pixel_size)
    table["trueState"] = nearest / 2
    table["trueMap"] = [f"map{i}.mrc" for i in nearest]
    write_star(tmp_path / "truth.star", {"particles": table})
    return tmp_path


@pytest.fixture
def device_searches(monkeypatch):
    """How many particles each search has had that was made on a device."""
    lengths, original = [], search_cuda.search

    def counted(data, *rest):
        lengths.append(len(data))
        return original(data, *rest)

    monkeypatch.setattr(search_cuda, "search", counted)
    return lengths

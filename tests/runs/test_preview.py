import shutil

import numpy as np
import pytest

from napari_hypermol.runs.preview import forget_preview, read_preview, write_preview
from napari_hypermol.runs.store import Run

ROW = {"position": 2, "sweep": 3.0}


def row_of(run):
    stage = run.snapshot.stage
    return ROW | {"max_radius": stage.max_radius, "max_degree": stage.max_degree}


@pytest.fixture(params=["tiny_run", "mixed_run"])
def run(request, tmp_path):
    made = request.getfixturevalue(request.param).run
    return Run.open(shutil.copytree(made.path, tmp_path / "run"))


def test_maps_are_those_of_the_run(run):
    write_preview(run.path, run.maps, row_of(run))
    preview = read_preview(run)
    assert (preview.position, preview.sweep) == (2, 3)
    states = np.linspace(0.2, 0.7, run.maps.dims)
    np.testing.assert_array_equal(preview.maps.volume(states), run.maps.volume(states))
    forget_preview(run.path)
    assert read_preview(run) is None


def test_damaged_preview_is_none(run):
    write_preview(run.path, run.maps, row_of(run))
    path = run.path / "preview.npz"
    path.write_bytes(path.read_bytes()[:200])
    assert read_preview(run) is None


def test_preview_of_another_band_limit_is_none(run):
    write_preview(run.path, run.maps, row_of(run) | {"max_radius": 3.0})
    assert read_preview(run) is None

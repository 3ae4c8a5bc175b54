"""Runs opened by our own menu command."""

import numpy as np
import pytest

from napari_hypermol.plugin.opening import ask_for_run, open_run
from napari_hypermol.plugin.viewing import is_chimerax_handed


@pytest.mark.qt
def test_open_run(make_napari_viewer_proxy, plugin, run_folder, monkeypatch):
    viewer = make_napari_viewer_proxy()
    choose = "qtpy.QtWidgets.QFileDialog.getExistingDirectory"
    monkeypatch.setattr(choose, lambda *_: "")
    ask_for_run(viewer)
    assert not viewer.layers
    monkeypatch.setattr(choose, lambda *_: str(run_folder))
    ask_for_run(viewer)
    assert viewer.dims.ndisplay == 3
    assert viewer.dims.point[:2] == pytest.approx((0.5, 0.5))
    assert is_chimerax_handed(viewer)


@pytest.mark.qt
def test_particles_step_aside(make_napari_viewer_proxy, plugin, run_folder, pretzel_folder):
    viewer = make_napari_viewer_proxy()
    (particles,) = viewer.open(pretzel_folder / "particles.star", plugin="napari-hypermol")
    (molecule,) = open_run(viewer, run_folder)
    assert not particles.visible
    assert viewer.dims.range[2].stop == pytest.approx(molecule.extent.world[1][2], abs=5)  # z [Å]
    assert viewer.dims.units is not None


@pytest.mark.qt
def test_open_run_of_every_kind(make_napari_viewer_proxy, plugin, mixed_run):
    """Every stop of every slider shows the map of its state."""
    viewer = make_napari_viewer_proxy()
    (layer,) = open_run(viewer, mixed_run.run.path)
    assert viewer.dims.axis_labels == ("tau1 (circle)", "tau2 (class)", "tau3", "z", "y", "x")
    assert viewer.dims.nsteps[:3] == (10, 3, 11)
    assert viewer.dims.point[:3] == pytest.approx((0.5, 0.5, 0.5))
    viewer.dims.set_current_step((0, 1, 2), (9, 2, 10))
    assert viewer.dims.point[:3] == pytest.approx((0.9, 5 / 6, 1.0))
    expected = mixed_run.run.maps.volume((0.9, 5 / 6, 1.0))
    np.testing.assert_allclose(np.asarray(layer.data[9, 2, 10]), expected, atol=1e-6)


@pytest.mark.qt
def test_opening_nothing(make_napari_viewer_proxy, plugin, run_folder, tmp_path):
    for name in ("recipe.yaml", "run.json"):
        (tmp_path / name).write_bytes((run_folder / name).read_bytes())
    assert open_run(make_napari_viewer_proxy(), tmp_path) == []


@pytest.mark.qt
def test_a_run_that_is_shown_is_not_opened_again(make_napari_viewer_proxy, plugin, run_folder):
    viewer = make_napari_viewer_proxy()
    (layer,) = open_run(viewer, run_folder)
    layer.visible = False
    (again,) = open_run(viewer, run_folder)
    assert again.unique_id == layer.unique_id
    assert len(viewer.layers) == 1
    assert layer.visible


@pytest.mark.qt
def test_what_is_no_run_is_said(make_napari_viewer_proxy, plugin, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("napari_hypermol.plugin.opening.show_error", told.append)
    assert open_run(make_napari_viewer_proxy(), tmp_path) == []
    assert told == [f"{tmp_path}: is not a run folder; choose one that a run has made"]

"""The Run widget in a real napari: run, stop, close."""

import time

import numpy as np
import pytest

from napari_hypermol.plugin import live
from napari_hypermol.plugin.viewing import camera_of, is_chimerax_handed
from napari_hypermol.plugin.widgets.studio import open_page
from napari_hypermol.runs.store import Run, is_run_folder

pytestmark = pytest.mark.qt


@pytest.fixture(autouse=True)
def _mip(monkeypatch):
    """Isosurfaces take seconds a frame without a graphics card."""
    from napari_hypermol.plugin import layers

    monkeypatch.setattr(layers, "RENDERING", "mip")


@pytest.fixture
def docked(make_napari_viewer_proxy, plugin):
    """A viewer and the page, opened as the menus do."""
    viewer = make_napari_viewer_proxy()
    return viewer, open_page(viewer, "Run").pages["Run"]


@pytest.fixture
def filled(docked, pretzel_folder, tmp_path):
    """The same, with particles open and a quick recipe."""
    viewer, widget = docked
    viewer.open(pretzel_folder / "particles.star", plugin="napari-hypermol")
    widget.recipe.text = str(pretzel_folder / "recipe.yaml")
    widget.out.text = str(tmp_path / "run")
    return viewer, widget


def is_over(widget):
    return widget.start_button.isEnabled()


def test_run(filled, qtbot, tmp_path, pretzel_folder):
    viewer, widget = filled
    assert widget.particles.text == str((pretzel_folder / "particles.star").resolve())
    assert not widget.degree.isEnabled()
    widget.start_button.click()
    assert widget.stop_button.isEnabled()
    qtbot.waitUntil(lambda: is_over(widget), timeout=60_000)
    assert widget.status.text().startswith("Done in")
    assert not widget.stop_button.isEnabled()
    particles, molecule = viewer.layers
    assert not particles.visible
    run = Run.open(tmp_path / "run")
    assert molecule.metadata["hypermol"]["run"] == str(run.path.resolve())
    expected = run.maps.volume((0.5, 0.5))
    np.testing.assert_allclose(np.asarray(molecule.data[10, 10]), expected, atol=1e-6)
    assert viewer.dims.ndisplay == 3
    assert viewer.dims.units is not None
    viewer.dims.set_point((0, 1), (0.35, 0.8))
    assert widget.readout.text == "tau1 = 0.35  tau2 = 0.80"
    assert is_chimerax_handed(viewer)
    widget.handedness.setChecked(False)
    assert not is_chimerax_handed(viewer)
    camera_of(viewer).orientation = ("towards", "up", "right")
    assert widget.handedness.isChecked()
    viewer.layers.remove(molecule)
    assert widget.readout.text == ""


def test_stop(filled, qtbot, long_recipe, tmp_path):
    viewer, widget = filled
    widget.recipe.text = str(long_recipe)
    widget.start_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2 and _has_snapshot(tmp_path), timeout=60_000)
    asked = time.monotonic()
    widget.stop_button.click()
    qtbot.waitUntil(lambda: is_over(widget), timeout=10_000)
    assert time.monotonic() - asked < 3
    assert widget.status.text() == f"Stopped; what was done is in {tmp_path / 'run'}"
    assert Run.open(tmp_path / "run").maps.dims == 2
    assert widget.out.text != str(tmp_path / "run")  # the next run gets a folder of its own


def test_close_while_running(filled, qtbot, long_recipe, tmp_path):
    viewer, widget = filled
    widget.recipe.text = str(long_recipe)
    widget.start_button.click()
    qtbot.waitUntil(lambda: _has_snapshot(tmp_path), timeout=60_000)
    asked = time.monotonic()
    viewer.close()
    assert live._busy.acquire(timeout=10)  # held while a run is at work
    live._busy.release()
    assert time.monotonic() - asked < 3
    assert Run.open(tmp_path / "run").maps.dims == 2


def test_mistakes_are_sentences(docked, qtbot, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("napari_hypermol.plugin.widgets.run.show_error", told.append)
    _, widget = docked
    widget.start_button.click()
    assert "no particles" in told[-1]
    assert is_over(widget)
    broken = tmp_path / "particles.star"
    broken.write_text("data_particles\n\nloop_\n_rlnImageName\n1@missing.mrcs\n")
    widget.particles.text = str(broken)
    assert widget.out.text == str(tmp_path / "hypermol_1")
    widget.start_button.click()
    qtbot.waitUntil(lambda: is_over(widget), timeout=20_000)
    assert "missing.mrcs" in told[-1]
    assert "missing.mrcs" in widget.status.text()
    assert not (tmp_path / "hypermol_1").exists()


def test_closed_widget_stops_its_run(filled, qtbot, long_recipe, tmp_path):
    viewer, widget = filled
    widget.recipe.text = str(long_recipe)
    widget.start_button.click()
    qtbot.waitUntil(lambda: _has_snapshot(tmp_path), timeout=60_000)
    open_page(viewer, "Run").close()
    assert live._busy.acquire(timeout=10)
    live._busy.release()
    viewer.dims.set_point(0, 3)  # nobody listens any more


def _has_snapshot(tmp_path):
    folder = tmp_path / "run"
    return is_run_folder(folder) and bool(Run.open(folder).snapshots())

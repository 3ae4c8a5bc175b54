"""The Check page in a real napari."""

import json
import shutil

import pytest
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog

from napari_hypermol.plugin.opening import check_run
from napari_hypermol.plugin.widgets.studio import open_page
from napari_hypermol.runs.half_sets import states_compared
from napari_hypermol.runs.store import Run

pytestmark = pytest.mark.qt


@pytest.fixture
def run(run_folder, tmp_path):
    shutil.copytree(run_folder, tmp_path / "run")
    return Run.open(tmp_path / "run")


@pytest.fixture
def page(make_napari_viewer_proxy, plugin):
    viewer = make_napari_viewer_proxy(show=True)
    check_run(viewer)
    return open_page(viewer, "Check").pages["Check"]


def looked(page):
    return page._checks is not None and "<table>" in page.said.text()


def test_without_a_run(page):
    assert "Open or make a run" in page.said.text()
    assert all(box.isHidden() for box in page.boxes)
    assert page.report_button.isHidden()


def test_a_run(page, run, qtbot):
    page.session.run = run
    qtbot.waitUntil(lambda: looked(page), timeout=30_000)
    assert "half_sets: true" in page.said.text()
    assert "The viewing direction explains" in page.said.text()
    assert page.said.text().index("⚠") < page.said.text().index("✔")
    assert page.boxes[0].isHidden()
    assert not any(box.isHidden() for box in page.boxes[1:])
    assert len(page.montage.captions) == 6
    assert page.montage.captions[0].startswith("Least likely: particle ")
    page.sphere.setCurrentText("Spread of tau2")
    assert page.sphere_note.text().startswith("Spread of tau2: ")
    page.half_sets_button.click()
    assert page.session.draft["half_sets"] is True
    page.viewer.theme = "light"
    page.session.run = None
    assert all(box.isHidden() for box in page.boxes)


def test_halves(page, run, qtbot):
    states = states_compared(run.maps.axes)
    curves = [[1.0, 0.8, 0.1]] * 10
    resolution = list(range(10, 20))
    halves = {"states": states, "fsc": curves, "resolution": resolution, "threshold": 0.143}
    (run.path / "metrics.json").write_text(json.dumps(run.metrics | {"half_sets": halves}))
    page.session.run = run
    qtbot.waitUntil(lambda: not page.boxes[0].isHidden(), timeout=30_000)
    assert page.half_sets_button.isHidden()
    page.fsc_axis.setCurrentIndex(1)
    assert "0.90:&nbsp;19.0&nbsp;Å" in page.fsc_note.text()
    assert len(page.fsc_plot.getPlotItem().listDataItems()) == 5


def test_report(page, run, qtbot, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: shown.append(url.toLocalFile()))
    out = tmp_path / "mine.html"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(out), ""))
    page.session.run = run
    page.report_button.click()
    assert shown == [str(out)]
    assert out.read_text() == (run.path / "report.html").read_text()


def test_particles_that_are_gone(page, run, qtbot, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("napari_hypermol.plugin.widgets.check_page.show_error", told.append)
    page.session.run = Run(run.path, run.facts | {"particles": str(tmp_path / "gone.star")})
    qtbot.waitUntil(lambda: bool(told), timeout=30_000)
    assert "gone.star" in told[0]

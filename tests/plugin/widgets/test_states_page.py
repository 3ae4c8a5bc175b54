"""The States page in a real napari."""

import numpy as np
import pytest

from napari_hypermol.plugin.session import session_of
from napari_hypermol.plugin.widgets.states_page import open_states
from napari_hypermol.plugin.widgets.studio import open_page
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.recipe_text import recipe_from
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.store import Run

pytestmark = pytest.mark.qt


def test_run_that_is_opened_is_browsed(pretzel_page, run_folder):
    viewer, page = pretzel_page
    assert page.session.run.path.resolve() == run_folder.resolve()
    assert page.browser.layer.unique_id == viewer.layers[0].unique_id
    assert page.hint.isHidden()
    assert not page.panel.isHidden()
    assert page.show_button.isHidden()
    assert page.readout.text == "tau1 = 0.50  tau2 = 0.50"
    page.browser.go_to((0.2, 0.9))
    assert page.readout.text == "tau1 = 0.20  tau2 = 0.90"


def test_page_fits_a_small_window(pretzel_page):
    _, page = pretzel_page
    for fold in page.groups.values():
        fold.is_open = True
    inside = page.body.parentWidget()
    assert inside.minimumSizeHint().width() <= 345  # 380 px of dock, less frame and scroll bar


def test_nothing_open(make_napari_viewer_proxy, plugin):
    viewer = make_napari_viewer_proxy()
    open_states(viewer)
    page = open_page(viewer, "States").pages["States"]
    assert page.hint.text().startswith("Open a run")
    assert not page.open_button.isHidden()
    assert page.panel.isHidden()


def test_rigid_run(browse_run, pretzel_folder, tmp_path):
    recipe = recipe_from(
        {
            "components": {"body": {"support": {"ball": {"radius": 40.0}}}},
            "schedule": [{"resolution": 24.0, "degree": 0, "sweeps": 1}],
        }
    )
    out = tmp_path / "rigid"
    reconstruct(Job(pretzel_folder / "particles.star", out, recipe))
    viewer, page = browse_run(out)
    assert "rigid" in page.hint.text()
    assert page.panel.isHidden()
    assert len(viewer.layers) == 1


def test_run_without_snapshot(
    make_napari_viewer_proxy, plugin, run_folder, tmp_path, settled, qtbot
):
    empty = tmp_path / "empty"
    empty.mkdir()
    for name in ("recipe.yaml", "run.json"):
        (empty / name).write_text((run_folder / name).read_text())
    viewer = make_napari_viewer_proxy()
    page = open_page(viewer, "States").pages["States"]
    session_of(viewer).run = Run.open(empty)
    assert page.hint.text() == "Reading the run…"
    settled(page)
    assert "no snapshot yet" in page.hint.text()
    session_of(viewer).run = Run.open(run_folder)  # and then one that has
    settled(page)
    assert page.hint.isHidden()
    qtbot.waitUntil(lambda: page.browser.layer is not None, timeout=60_000)  # the Run page's
    viewer.layers.clear()
    assert not page.show_button.isHidden()
    page.show_button.click()
    assert page.show_button.isHidden()
    assert page.browser.layer.unique_id == viewer.layers[0].unique_id


def test_newer_snapshot_keeps_state_and_selection(pretzel_page, run_folder, settled):
    _, page = pretzel_page
    page.browser.go_to((0.2, 0.9))
    page.session.selection = np.arange(60) < 7
    page.session.run = Run.open(page.session.run.path)
    settled(page)
    assert page.browser.state == pytest.approx((0.2, 0.9))
    assert page.session.selection.sum() == 7
    assert page.panel.landscape.marker == pytest.approx((0.2, 0.9))


def test_closing_lets_go(pretzel_page):
    viewer, page = pretzel_page
    page.let_go()
    page.let_go()  # a second time does nothing
    viewer.dims.set_point(0, 0.1)
    page.session.selection = np.ones(60, bool)
    assert page.viewer is None

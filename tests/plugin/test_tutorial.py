"""The tutorial, word for word: every numbered line of its page is one function here."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from napari_hypermol.io.particle_file import read_particles
from napari_hypermol.plugin.viewing import states_shown
from napari_hypermol.plugin.widgets.studio import open_page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "tutorial.md"
PATIENCE = 240_000  # [ms]; a run takes some twenty seconds on two idle cores
STEPS = {}

pytestmark = pytest.mark.qt


def step(words):
    """The function that does what a line of the page says."""

    def keep(function):
        STEPS[words] = function
        return function

    return keep


def lines_of_page() -> list[str]:
    return re.findall(r"^\d+\. (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@step("Open *File ▸ Open Sample ▸ Hyper-molecules ▸ Pretzel*.")
def _(here):
    here.particles, here.truth = here.viewer.open_sample("napari-hypermol", "pretzel")


@step("Remove the layer *pretzel, true molecule*: we are going to find it.")
def _(here):
    assert here.truth.name == "pretzel, true molecule"
    here.viewer.layers.remove(here.truth)


@step("Open *Plugins ▸ Studio (Hyper-molecules)*, and in it the page *Particles*.")
def _(here):
    here.studio = open_page(here.viewer, "Particles")
    page = here.studio.pages["Particles"]
    here.qtbot.waitUntil(lambda: "500 particles of 64 x 64 px at 3 Å" in page.facts.text())
    assert here.particles.visible


def run_to_the_end(here):
    page = here.studio.turn_to("Run")
    page.box.start.click()
    here.qtbot.waitUntil(lambda: page.box.status.text().startswith("Done"), timeout=PATIENCE)
    here.run = here.studio.session.run


@step("Turn to *Run* and press *Start*.")
def _(here):
    run_to_the_end(here)
    assert here.run.maps.dims == 1


@step("Turn to *Components* and press *Suggest*.")
def _(here):
    page = here.studio.turn_to("Components")
    page.suggest.click()
    here.qtbot.waitUntil(lambda: not page.suggestion_row.isHidden(), timeout=30_000)


@step("Press *Use these*.")
def _(here):
    page = here.studio.pages["Components"]
    page.suggestion_row.use_button.click()
    here.qtbot.waitUntil(lambda: len(page.components) >= 2, timeout=30_000)
    # the masks are written by then
    here.qtbot.waitUntil(lambda: bool(here.studio.session.recipe().components), timeout=30_000)


@step("Turn to *Run* and press *Start* again.")
def _(here):
    first = here.run.path
    run_to_the_end(here)
    assert here.run.path != first
    moving = sum(c.state is not None for c in here.run.recipe.components.values())
    assert here.run.maps.dims == moving >= 2


@step("Turn to *States* and click somewhere in the landscape.")
def _(here):
    page = here.studio.turn_to("States")
    here.qtbot.waitUntil(lambda: page.browser.browsed is not None, timeout=30_000)
    page.panel.landscape.placed.emit((0.2, 0.8), True)
    layers = [x for x in here.viewer.layers if states_shown(here.viewer, x)]
    assert [x.visible for x in layers] == [False, True]  # the first run steps aside
    layer = layers[-1]
    here.qtbot.waitUntil(
        lambda: np.allclose(list(states_shown(here.viewer, layer).values())[:2], (0.2, 0.8))
    )


@step("Press *Select* and drag around a region of the landscape.")
def _(here):
    page = here.studio.pages["States"]
    page.panel.modes["select"].click()
    page.panel.landscape.outlined.emit([(0, 0), (0.4, 0), (0.4, 1), (0, 1)], "replace", True)
    states = here.run.states[:, page.panel.shown[0]]
    np.testing.assert_array_equal(here.studio.session.selection, states < 0.4)


@step("Press *Save selection…* and name a file.")
def _(here):
    part = here.studio.pages["States"].selection
    here.out = Path(here.studio.session.particles).with_name("closed.star")
    here.answer(here.out)
    part.save_button.click()
    here.qtbot.waitUntil(here.out.is_file, timeout=30_000)
    given = read_particles(here.studio.session.particles)
    kept = np.flatnonzero(here.studio.session.selection)
    written = read_particles(here.out)
    names = given.table["rlnImageName"].iloc[kept].tolist()
    assert written.table["rlnImageName"].tolist() == names


@step("Turn to *Check*.")
def _(here):
    page = here.studio.turn_to("Check")
    here.qtbot.waitUntil(lambda: "is used: it raises" in page.said.text(), timeout=30_000)


def test_every_line_is_done_here():
    assert lines_of_page() == list(STEPS)


@pytest.mark.slow
def test_follow_the_tutorial(make_napari_viewer_proxy, plugin, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_hypermol.plugin.layers.RENDERING", "mip")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # runs are made beside the particles

    def answer(path):
        monkeypatch.setattr(
            "qtpy.QtWidgets.QFileDialog.getSaveFileName", lambda *_, **__: (str(path), "")
        )

    here = SimpleNamespace(viewer=make_napari_viewer_proxy(), qtbot=qtbot, answer=answer)
    for line in lines_of_page():
        STEPS[line](here)

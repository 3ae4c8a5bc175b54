"""The Components page in a real viewer: paint, drag, type, suggest, save."""

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtWidgets import QMessageBox

from napari_hypermol.plugin.layers import run_layer
from napari_hypermol.plugin.session import session_of
from napari_hypermol.plugin.viewing import hypermol_of
from napari_hypermol.plugin.widgets import components
from napari_hypermol.plugin.widgets.components import ComponentsPage
from napari_hypermol.plugin.widgets.from_map import MapMask
from napari_hypermol.runs.from_recipe import composite_of
from napari_hypermol.runs.recipe_text import recipe_from
from napari_hypermol.runs.store import Run

pytestmark = pytest.mark.qt
PATIENCE = 60_000  # [ms]; machines with other work to do
BALL = {"support": {"ball": {"center": [20.0, 0.0, 4.0], "radius": 16.0}}}


@pytest.fixture
def viewer(make_napari_viewer_proxy, run_folder):
    """A viewer with a run of two states in it."""
    viewer = make_napari_viewer_proxy()
    data, attributes, _ = run_layer(Run.open(run_folder))
    viewer.add_image(data, **{**attributes, "rendering": "mip"})
    return viewer


@pytest.fixture
def page(viewer, qtbot, tmp_path):
    session = session_of(viewer)
    session.folder = tmp_path
    page = ComponentsPage(viewer, session)
    qtbot.addWidget(page)
    yield page
    page.let_go()


def settled(page, qtbot):
    """Wait for the pictures of the latest draft."""
    page._look()
    qtbot.waitUntil(lambda: not page._looking.is_busy, timeout=PATIENCE)


def test_paint_becomes_a_component(page, viewer, qtbot):
    page.new_mask.click()
    layer = viewer.layers.selection.active
    assert (layer.ndim, layer.mode) == (3, "paint")
    layer.brush_size = 4
    layer.paint((12, 12, 16), 1)
    layer.selected_label = 2
    layer.paint((12, 12, 7), 2)
    page.masks.flush()
    qtbot.waitUntil(lambda: len(page.components) == 2, timeout=PATIENCE)
    assert page.list.names == ["component_1", "component_2"]
    support = page.components["component_1"]["support"]
    assert support == {"mask": "masks/component_1.mrc"}
    composite = composite_of(page.session.recipe(), page.session.folder, 24, 4.0)
    np.testing.assert_allclose(composite.components[0].support.centre(), (4, 0, 0), atol=1)
    settled(page, qtbot)
    assert page.problem.isHidden()
    assert [s.component for s in page.supports._supports] == ["component_1", "component_2"]

    # painted on: the same file; somebody else's file is left alone
    before = list((page.session.folder / "masks").iterdir())
    layer.paint((12, 12, 9), 1)
    page.masks.flush()
    qtbot.waitUntil(lambda: not page.files.is_busy, timeout=PATIENCE)
    assert list((page.session.folder / "masks").iterdir()) == before


def test_files_that_were_there_stay(page, viewer, qtbot):
    taken = page.session.folder / "masks" / "component_1.mrc"
    taken.parent.mkdir()
    taken.write_text("somebody else's")
    page.new_mask.click()
    viewer.layers.selection.active.paint((12, 12, 16), 1)
    page.masks.flush()
    qtbot.waitUntil(lambda: len(page.components) == 1, timeout=PATIENCE)
    assert page.components["component_1"]["support"]["mask"] == "masks/component_1_2.mrc"
    assert taken.read_text() == "somebody else's"


def test_a_ball_and_its_numbers_are_one(page, viewer, qtbot):
    viewer.dims.set_point(2, 0.0)
    page.new_ball.click()
    (name,) = page.components
    layer = page.balls.layer
    ball = page.components[name]["support"]["ball"]
    assert ball == {"center": [0.0, 0.0, 0.0], "radius": 16.0}
    # the mouse moves it
    layer.data = np.asarray(layer.data) + np.array([[0.0, 0.0, 20.0], [0, 0, 0]]) / 192
    support = page.form.fields["support"].form.fields["ball"].form.fields
    assert support["center"].line.text() == "20, 0, 0"
    assert page.components[name]["support"]["ball"]["center"] == [20.0, 0.0, 0.0]
    # the keyboard widens it
    support["radius"].line.setText("12.5")
    support["radius"].edited.emit()
    np.testing.assert_allclose(layer.size[0] * layer.scale[0], 25, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(layer.data)[0] * layer.scale, (0, 0, 20), atol=1e-9)
    assert page.components[name]["state"] == {}


def test_what_is_wrong_is_a_sentence(page, qtbot):
    page.session.put(components={"arm": {**BALL, "tied": True}, "leg": {"share": "foot"}})
    page.list.choose("arm")
    assert "tied: true needs both" in page.problem.text()
    assert page.list.list.item(0).toolTip()
    settled(page, qtbot)
    assert "leg: share: 'foot' is not a component" in page.problem.text()
    page.list.choose("arm")
    radius = page.form.fields["support"].form.fields["ball"].form.fields["radius"]
    radius.line.setText("wide")
    radius.edited.emit()
    assert radius.problem.text().startswith("expected a number")
    page.session.put(components={"arm": dict(BALL)})
    assert page.problem.isHidden()


def test_rename_duplicate_remove(page, qtbot, monkeypatch):
    copy = {"share": "arm", "placed": {"angle": 180.0}}
    page.session.put(components={"arm": dict(BALL), "copy": copy})
    page._on_renamed("arm", "limb")
    assert list(page.components) == ["limb", "copy"]
    assert page.components["copy"]["share"] == "limb"
    said = []
    monkeypatch.setattr("napari_hypermol.plugin.widgets.components.show_error", said.append)
    page._on_renamed("limb", "copy")
    assert "a name of its own" in said[0]
    page._on_duplicated("limb")
    assert page.components["limb_1"] == BALL
    page._on_removed("limb_1")
    page._on_removed("copy")
    assert list(page.components) == ["limb"]
    assert len(page.balls.layer.data) == 2
    page._on_removed("limb")
    assert "components" not in page.session.draft
    assert page.balls.layer is None


def test_removing_asks_for_painted_masks(page, viewer, qtbot, monkeypatch):
    page.new_mask.click()
    viewer.layers.selection.active.paint((12, 12, 16), 1)
    page.masks.flush()
    qtbot.waitUntil(lambda: len(page.components) == 1, timeout=PATIENCE)
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    monkeypatch.setattr(QMessageBox, "question", lambda *words: answers.pop(0))
    page._on_removed("component_1")
    assert list(page.components) == ["component_1"]
    page._on_removed("component_1")
    assert page.components == {}
    assert page.masks.layers() == []
    assert (page.session.folder / "masks" / "component_1.mrc").exists()


def test_the_map_on_the_screen_becomes_a_mask(page, viewer, qtbot):
    molecule = viewer.layers[0]
    page.from_map.threshold.value = 0.5 * molecule.contrast_limits[1]
    assert molecule.iso_threshold == pytest.approx(page.from_map.threshold.value)
    page._on_from_map(MapMask(page.from_map.threshold.value, dilate=4.0, soft_edge=8.0))
    qtbot.waitUntil(lambda: len(page.components) == 1, timeout=PATIENCE)
    (values,) = page.components.values()
    assert values["support"]["soft_edge"] == 8.0
    settled(page, qtbot)
    assert page.problem.isHidden()


def test_suggestions_wait_to_be_accepted(page, viewer, qtbot, run_folder):
    assert not page.suggest.isEnabled()
    page.session.run = Run.open(run_folder)
    page.session.put(components={"all": dict(BALL)})
    page.suggest.click()
    qtbot.waitUntil(lambda: page.suggestion_row.layer is not None, timeout=PATIENCE)
    assert list(page.components) == ["all"]
    assert not page.suggestion_row.isHidden()
    assert not page.balls.layer.visible  # it would be hidden by them
    assert not page.supports.is_shown
    page.suggestion_row.discard_button.click()
    assert page.balls.layer.visible
    assert page.supports.is_shown
    page.suggest.click()
    qtbot.waitUntil(lambda: page.suggestion_row.layer is not None, timeout=PATIENCE)
    page.suggestion_row.use_button.click()
    qtbot.waitUntil(lambda: "moving_1" in page.components, timeout=PATIENCE)
    assert "state" in page.components["moving_1"]
    assert "state" not in page.components.get("body", {})
    assert "all" not in page.components
    assert page.suggestion_row.layer is None


def test_a_suggestion_lies_where_its_run_does(page, viewer, qtbot, run_folder):
    """Whatever map is on top."""
    page.session.run = run = Run.open(run_folder)
    viewer.add_image(np.ones((10, 12, 14), dtype=np.float32), scale=(9.0, 9.0, 9.0), name="other")
    page.suggest.click()
    qtbot.waitUntil(lambda: page.suggestion_row.layer is not None, timeout=PATIENCE)
    layer = page.suggestion_row.layer
    assert layer.data.shape == (run.box_size,) * 3
    np.testing.assert_allclose(layer.scale, run.pixel_size)


def test_the_recipe_is_kept_until_what_replaces_it_is_written(page, qtbot, run_folder, monkeypatch):
    """A full disk, say: no masks, but the components there were."""
    page.session.run = Run.open(run_folder)
    page.session.put(components={"all": dict(BALL)})
    page.suggest.click()
    qtbot.waitUntil(lambda: page.suggestion_row.layer is not None, timeout=PATIENCE)
    kept = []
    with monkeypatch.context() as patch:
        patch.setattr(page.files, "keep", lambda layer, *rest: kept.append(layer))
        page.suggestion_row.use_button.click()
    assert list(page.components) == ["all"]
    page._on_painted(kept[0])  # there is room now
    qtbot.waitUntil(lambda: "moving_1" in page.components, timeout=PATIENCE)
    assert "all" not in page.components


def test_parts_of_a_searched_run_go_with_its_poses(page, qtbot, run_folder, monkeypatch):
    """Only the frame it found has them: the draft turns from searching to refining there."""
    run = Run.open(run_folder)
    searched = {"rotation": "search", "shift": "search"}
    said = []
    monkeypatch.setattr(components, "show_info", said.append)
    latents = recipe_from({"latents": searched}).latents
    recipe = run.recipe.model_copy(update={"latents": latents})
    monkeypatch.setitem(run.__dict__, "recipe", recipe)
    page.session.run = run
    priors = {"shift": {"std": 5.0}}
    page.session.put(components={"all": dict(BALL)}, latents=searched, priors=priors)
    page.suggest.click()
    qtbot.waitUntil(lambda: page.suggestion_row.layer is not None, timeout=PATIENCE)
    page.suggestion_row.use_button.click()
    qtbot.waitUntil(lambda: "moving_1" in page.components, timeout=PATIENCE)
    assert page.session.particles == str(run_folder / "particles.star")
    recipe = page.session.recipe()
    assert (recipe.latents.rotation, recipe.latents.shift) == ("refine", "refine")
    assert recipe.priors.rotation == "uniform"
    assert recipe.priors.shift.std == 5.0
    assert "in its frame" in said[0]
    # a run's folder is the run's: its masks are others, and it may be replaced
    assert (run_folder.parent / "masks" / "moving_1.mrc").is_file()
    assert not (run_folder / "masks" / "moving_1.mrc").exists()


def test_saved_recipe_is_the_same_recipe(page, viewer, qtbot, tmp_path):
    page.new_mask.click()
    viewer.layers.selection.active.paint((12, 12, 16), 1)
    page.masks.flush()
    qtbot.waitUntil(lambda: len(page.components) == 1, timeout=PATIENCE)
    page.session.put(seed=5, components={**page.components, "ball": dict(BALL)})
    before = page.session.recipe()
    there = tmp_path / "elsewhere"
    there.mkdir()
    page.bar.save(there / "recipe.yaml")
    page.session.load({}, Path())
    assert page.list.names == []
    page.bar.open(there / "recipe.yaml")
    assert recipe_from(page.session.draft) == before
    assert page.list.names == ["component_1", "ball"]
    assert (there / "masks" / "component_1.mrc").is_file()


def test_unknowns_against_particles(page, qtbot, pretzel_folder):
    page.session.particles = str(pretzel_folder / "particles.star")
    page.session.put(components={"arm": {**BALL, "state": {"degree": 3}}})
    settled(page, qtbot)
    assert "coefficients from 60 particles" in page.asks.text()
    assert "4 maps from 60 particles" in page.asks.text()


def test_the_brush_for_a_mask_from_a_file(page, viewer, qtbot, monkeypatch):
    said = []
    monkeypatch.setattr("napari_hypermol.plugin.widgets.components.show_error", said.append)
    page.session.put(components={"arm": {"support": {"mask": "no.mrc"}}, "ball": dict(BALL)})
    page._on_paint_wanted("ball")
    page._on_paint_wanted("arm")
    assert "has no mask to be painted" in said[0]
    assert "no.mrc" in said[1]


def test_it_lets_go(viewer, qtbot, tmp_path):
    page = ComponentsPage(viewer, session_of(viewer))
    qtbot.addWidget(page)
    page.let_go()
    session_of(viewer).put(components={"arm": dict(BALL)})
    viewer.dims.set_point(0, 0.3)
    assert page.list.names == []
    assert [hypermol_of(x)["kind"] for x in viewer.layers] == ["states"]

"""From a painted mask to the particles of a state: one window, real widgets, a real run."""

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_hypermol.io.particle_file import read_particles
from napari_hypermol.plugin.opening import open_run
from napari_hypermol.plugin.viewing import states_shown
from napari_hypermol.plugin.widgets.studio import open_page

pytestmark = [pytest.mark.qt, pytest.mark.slow]
PATIENCE = 300_000  # [ms]: the first run of a checkout compiles for a minute or two
STAGE = {"resolution": 24.0, "degree": 1, "sweeps": 2}


def test_paint_run_turn_lasso_read_back(
    make_napari_viewer_proxy, plugin, run_folder, pretzel_folder, tmp_path, qtbot, monkeypatch
):
    monkeypatch.setattr("napari_hypermol.plugin.layers.RENDERING", "mip")
    viewer = make_napari_viewer_proxy()
    studio = open_page(viewer, "Particles")
    viewer.open(pretzel_folder / "particles.star", plugin="napari-hypermol")
    (old,) = open_run(viewer, run_folder)  # to paint on
    qtbot.waitUntil(lambda: "components" in studio.session.draft, timeout=PATIENCE)
    studio.session.load({}, tmp_path)  # not the recipe of that run

    # paint two parts
    page = studio.turn_to("Components")
    viewer.dims.ndisplay = 2
    page.new_mask.click()
    mask = viewer.layers.selection.active
    mask.brush_size = 10
    for label, column in ((1, 7), (2, 17)):
        mask.selected_label = label
        for z in range(6, 18):
            mask.paint((z, 12, column), label)
    page.masks.flush()
    qtbot.waitUntil(lambda: len(page.components) == 2, timeout=PATIENCE)
    assert studio.session.recipe().components["component_1"].support.mask

    # run
    viewer.layers.remove(old)
    studio.session.put(schedule=[{**STAGE, "degree": 0, "sweeps": 1}, STAGE])
    page = studio.turn_to("Run")
    page.out.text = str(tmp_path / "run")
    page.box.start.click()
    qtbot.waitUntil(lambda: page.box.status.text().startswith(("Done", "Failed")), timeout=PATIENCE)
    assert page.box.status.text() == "Done"
    run = studio.session.run
    assert sorted(run.recipe.components) == ["component_1", "component_2"]

    # turn a knob
    page = studio.turn_to("States")
    qtbot.waitUntil(lambda: page.browser.browsed is not None, timeout=PATIENCE)
    viewer.dims.set_point((0, 1), (0.25, 0.75))
    layer = next(x for x in viewer.layers if states_shown(viewer, x))
    assert list(states_shown(viewer, layer).values()) == pytest.approx([0.25, 0.75])
    assert page.browser.state == pytest.approx((0.25, 0.75))
    np.testing.assert_allclose(
        np.asarray(layer.data[5, 15]), run.maps.volume((0.25, 0.75)), atol=1e-6
    )

    # lasso, save, read back
    middle = float(np.median(run.states[:, 0]))
    page.panel.modes["select"].click()
    lasso = [(-0.1, -0.1), (middle, -0.1), (middle, 1.1), (-0.1, 1.1)]
    page.panel.landscape.outlined.emit(lasso, "replace", True)
    kept = np.flatnonzero(run.states[:, 0] < middle)
    assert 0 < len(kept) < 60
    out = pretzel_folder / "painted_state.star"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(out), ""))
    page.selection.save_button.click()
    qtbot.waitUntil(out.is_file, timeout=PATIENCE)
    given, written = read_particles(pretzel_folder / "particles.star"), read_particles(out)
    assert written.table["rlnImageName"].tolist() == given.table["rlnImageName"].iloc[kept].tolist()
    np.testing.assert_array_equal(
        np.asarray(written.particles.images), np.asarray(given.particles.images)[kept]
    )
    out.unlink()

"""The Particles page in a real napari: open, look, leave out, save."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_hypermol.io.particle_file import read_particles
from napari_hypermol.io.star import read_star, write_star
from napari_hypermol.plugin.widgets import particles_page
from napari_hypermol.plugin.widgets.studio import open_page
from napari_hypermol.runs.store import Run

pytestmark = pytest.mark.qt


@pytest.fixture
def page(make_napari_viewer_proxy, plugin):
    return open_page(make_napari_viewer_proxy(), "Particles").pages["Particles"]


@pytest.fixture
def opened(page, pretzel_folder, qtbot):
    page.path.text = str(pretzel_folder / "particles.star")
    qtbot.waitUntil(lambda: len(page.viewer.layers) == 1, timeout=20_000)
    return page


def test_opening(opened, pretzel_folder):
    page = opened
    assert "60 particles of 24 x 24 px at 4 Å" in page.facts.text()
    assert "Poses: yes" in page.facts.text()
    assert page.session.particles == str(pretzel_folder / "particles.star")
    layer = page.viewer.layers[0]
    assert layer.metadata["hypermol"]["file"] is page.session.particle_file()
    assert page.table.particles.rowCount() == 60
    assert not page.suggest_button.isEnabled()


def test_a_dropped_file_is_read_once(page, pretzel_folder, monkeypatch):
    page.viewer.open(pretzel_folder / "particles.star", plugin="napari-hypermol")
    monkeypatch.setattr(particles_page, "open_particles", None)
    assert page.file is page.session.particle_file()
    assert page.path.text == str(pretzel_folder / "particles.star")
    assert len(page.viewer.layers) == 1


def test_particles_of_another_page(page, pretzel_folder, qtbot):
    page.session.particles = str(pretzel_folder / "particles.star")
    qtbot.waitUntil(lambda: page.file is not None, timeout=20_000)
    assert len(page.viewer.layers) == 0
    assert not page.show_button.isHidden()
    page.show_button.click()
    qtbot.waitUntil(lambda: len(page.viewer.layers) == 1, timeout=20_000)
    assert page.show_button.isHidden()


def test_what_is_wrong_is_a_sentence(page, tmp_path, qtbot, monkeypatch):
    told = []
    monkeypatch.setattr(particles_page, "show_error", told.append)
    job = tmp_path / "job.star"
    job.write_text("data_job\n\n_rlnJobType 3\n")
    page.path.text = str(job)
    qtbot.waitUntil(lambda: "holds no particle images" in page.facts.text(), timeout=5000)
    broken = tmp_path / "particles.star"
    broken.write_text("data_particles\n\nloop_\n_rlnImageName\n1@missing.mrcs\n")
    page.path.text = str(broken)
    qtbot.waitUntil(lambda: bool(told), timeout=10_000)
    assert "missing.mrcs" in told[0]
    assert page.facts.text() == told[0]


@pytest.mark.filterwarnings("ignore:.*rlnBeamTiltX")
def test_ignored_optics_are_said(page, pretzel_folder, tmp_path, qtbot):
    blocks = read_star(pretzel_folder / "particles.star")
    blocks["optics"]["rlnBeamTiltX"] = ["0.3"]
    blocks["particles"]["rlnImageName"] = [
        f"{i + 1}@{pretzel_folder}/particles.mrcs" for i in range(60)
    ]
    write_star(tmp_path / "tilted.star", blocks)
    page.path.text = str(tmp_path / "tilted.star")
    qtbot.waitUntil(lambda: page.file is not None, timeout=20_000)
    assert "⚠" in page.facts.text()
    assert "rlnBeamTiltX" in page.facts.text()


def test_table_and_slider_follow_one_another(opened):
    page = opened
    page.table.particles.sort(0, Qt.SortOrder.DescendingOrder)
    page.table.selectRow(0)
    assert page.viewer.dims.current_step[0] == 59
    page.viewer.dims.set_current_step(0, 7)
    assert page.table.currentIndex().row() == 52
    assert page.session.selection is None  # one row is no selection


def test_selection_goes_both_ways(opened):
    page = opened
    page.table.selectAll()
    assert page.session.selection.all()
    mask = np.zeros(60, dtype=bool)
    mask[[2, 50]] = True
    page.session.selection = mask
    page.which.setCurrentText("Selected")
    assert page.table.particles.order.tolist() == [2, 50]
    assert page.count.text() == "2 selected, 0 left out, 60 kept"


def test_leaving_out(opened):
    page = opened
    page.viewer.dims.set_current_step(0, 7)
    page.toggle_button.click()
    assert not page.kept[7]
    assert page.viewer.layers[0].opacity < 0.5
    assert "Keep" in page.toggle_button.text()
    page.viewer.dims.set_current_step(0, 8)
    assert page.viewer.layers[0].opacity == 1
    mask = np.arange(60) < 3
    page.session.selection = mask
    page.leave_button.click()
    page.which.setCurrentText("Left out")
    assert page.table.particles.order.tolist() == [0, 1, 2, 7]
    page.table.selectRow(3)
    page.toggle_button.click()
    assert page.kept[7]


def test_saving_and_going_on(opened, tmp_path, qtbot, monkeypatch, pretzel_folder):
    page, out = opened, tmp_path / "kept.star"
    page.table.particles.keep(np.arange(50), False)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(out), ""))
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    # image names start at the folder of the file
    (tmp_path / "particles.mrcs").symlink_to(pretzel_folder / "particles.mrcs")
    page.save_button.click()
    kept = read_particles(out)
    assert kept.n == 10
    assert list(kept.table) == list(page.file.table)
    qtbot.waitUntil(lambda: page.session.particles == str(out), timeout=20_000)
    assert len(page.viewer.layers) == 2
    assert [layer.visible for layer in page.viewer.layers] == [False, True]


def test_the_file_itself_is_never_replaced(opened, monkeypatch):
    told = []
    monkeypatch.setattr(particles_page, "show_error", told.append)
    before = opened.file.path.read_bytes()
    opened.save(opened.file.path)
    assert "keep the original" in told[0]
    assert opened.file.path.read_bytes() == before


def test_with_a_run(opened, run_folder, qtbot):
    page, run = opened, Run.open(run_folder)
    run.snapshot.posterior.log_evidence[4] = -1e6
    page.session.run = run
    assert page.suggest_button.isEnabled()
    page.suggest_button.click()
    qtbot.waitUntil(lambda: "stand out" in page.said.text(), timeout=10_000)
    assert page.session.selection[4]
    assert 4 in page.table.particles.order
    page.look.prediction.setChecked(True)
    kinds = lambda: [x.metadata.get("hypermol", {}).get("kind") for x in page.viewer.layers]  # noqa: E731
    qtbot.waitUntil(lambda: "prediction" in kinds(), timeout=10_000)
    page.session.run = None
    assert not page.suggest_button.isEnabled()


def test_closing_while_reading(page, pretzel_folder, qtbot):
    page.session.particles = str(pretzel_folder / "particles.star")
    page.viewer.close()
    qtbot.wait(1000)  # the file is read in less; its answer finds nobody
    assert page.file is None


def test_images_come_back_when_nothing_else_is_seen(opened, small_maps, qtbot):
    viewer = opened.viewer
    particles = viewer.layers[0]
    particles.visible = False
    molecule = viewer.add_image(small_maps().volume((0.5, 0.5)))
    other = viewer.add_image(small_maps().volume((0.5, 0.5)))
    viewer.dims.ndisplay = 3
    viewer.layers.remove(other)
    qtbot.wait(50)
    assert not particles.visible
    viewer.layers.remove(molecule)
    qtbot.waitUntil(lambda: particles.visible)
    assert viewer.dims.ndisplay == 2


def test_particles_lie_along_their_box(opened):
    """Sliders of particles, masks and molecules are one: in Å about the middle of the box."""
    viewer = opened.viewer
    assert viewer.dims.range[0].start == pytest.approx(-48)
    assert viewer.dims.range[0].stop == pytest.approx(48, abs=2)
    assert viewer.dims.nsteps[0] == 60
    viewer.add_labels(np.zeros((24,) * 3, int), scale=(4,) * 3, units=("angstrom",) * 3)
    assert viewer.dims.units is not None

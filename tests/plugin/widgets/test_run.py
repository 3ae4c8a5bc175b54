"""The Run page in a real napari, its runs in processes of their own."""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from qtpy.QtCore import QTimer

from napari_hypermol.plugin.viewing import camera_of, is_chimerax_handed
from napari_hypermol.plugin.widgets.studio import open_page
from napari_hypermol.runs.launch import Launch, Order
from napari_hypermol.runs.requests import ask
from napari_hypermol.runs.run_facts import is_run_folder
from napari_hypermol.runs.status import process_is_there, read_status
from napari_hypermol.runs.store import Run

pytestmark = pytest.mark.qt

WAIT = 300_000  # [ms]: other tests may have the machine


@pytest.fixture(autouse=True)
def told(monkeypatch):
    """What the user was told; isosurfaces take seconds a frame without a graphics card."""
    from napari_hypermol.plugin import layers

    monkeypatch.setattr(layers, "RENDERING", "mip")
    sentences = []
    monkeypatch.setattr("napari_hypermol.plugin.widgets.run.show_error", sentences.append)
    return sentences


@pytest.fixture
def docked(make_napari_viewer_proxy, plugin):
    """A viewer and the page, opened as the menus do; on the screen, for the closing of it."""
    viewer = make_napari_viewer_proxy(show=True)
    return viewer, open_page(viewer, "Run").pages["Run"]


def fill(page, recipe, out):
    page.session.load(yaml.safe_load(Path(recipe).read_text(encoding="utf-8")), Path(recipe).parent)
    page.out.text = str(out)


@pytest.fixture
def filled(docked, pretzel_folder, tmp_path):
    """The same, with particles open and a quick recipe."""
    viewer, page = docked
    viewer.open(pretzel_folder / "particles.star", plugin="napari-hypermol")
    fill(page, pretzel_folder / "recipe.yaml", tmp_path / "run")
    return viewer, page


@pytest.fixture
def at_work(filled, qtbot, long_recipe, tmp_path):
    """A run that would go on for minutes, its first stage done and its molecule shown."""
    viewer, page = filled
    fill(page, long_recipe, tmp_path / "run")
    page.box.start.click()
    qtbot.waitUntil(
        lambda: bool(molecules(viewer)) and has_snapshot(tmp_path / "run"), timeout=WAIT
    )
    qtbot.waitUntil(lambda: page._phase == "running", timeout=WAIT)
    yield viewer, page, tmp_path / "run"
    status = read_status(tmp_path / "run")
    if not status.is_over and not status.is_gone():
        ask(tmp_path / "run", "stop")
        qtbot.waitUntil(lambda: read_status(tmp_path / "run").is_over, timeout=WAIT)


def molecules(viewer):
    """The layers of runs; the Components page has layers of its own."""
    facts = [(x, x.metadata.get("hypermol", {})) for x in viewer.layers]
    return [x for x, known in facts if known.get("kind") == "states"]


def has_snapshot(folder):
    return is_run_folder(folder) and bool(Run.open(folder).snapshots())


def is_over(page):
    return page._live is None


@pytest.mark.slow
def test_run(filled, qtbot, tmp_path, pretzel_folder):
    viewer, page = filled
    assert page.session.particles == str((pretzel_folder / "particles.star").resolve())
    assert page.plan.text().startswith("particles.star, 60 particles\n3 components, 2 knobs; poses")
    page.box.start.click()
    (waiting,) = molecules(viewer)  # there at once, its knobs too
    assert not np.asarray(waiting.data[10, 10]).any()
    assert not page.box.start.isEnabled()
    assert page.box.stop.isEnabled()
    qtbot.waitUntil(lambda: is_over(page), timeout=WAIT)
    assert page.box.status.text() == "Done"
    assert page.box.start.isEnabled()
    assert not page.box.stop.isEnabled()
    assert not page.box.resume.isEnabled()
    particles = viewer.layers[0]
    (molecule,) = molecules(viewer)
    assert molecule.unique_id == waiting.unique_id
    assert not particles.visible
    run = Run.open(tmp_path / "run")
    assert page.session.run.path == run.path
    assert molecule.metadata["hypermol"]["run"] == str(run.path.resolve())
    expected = run.maps.volume((0.5, 0.5))
    np.testing.assert_allclose(np.asarray(molecule.data[10, 10]), expected, atol=1e-6)
    assert viewer.dims.ndisplay == 3
    assert viewer.dims.units is not None
    viewer.dims.set_point((0, 1), (0.35, 0.8))
    assert len(page.traces._rows) == 2
    assert page.traces.acceptance.isHidden()
    assert page.out.text != str(tmp_path / "run")  # the next run gets a folder of its own
    assert is_chimerax_handed(viewer)
    page.handedness.setChecked(False)
    assert not is_chimerax_handed(viewer)
    camera_of(viewer).orientation = ("towards", "up", "right")
    assert page.handedness.isChecked()


def test_pause_continue_stop_resume(at_work, qtbot):
    viewer, page, out = at_work
    page.box.pause.click()
    qtbot.waitUntil(lambda: page.box.pause.text() == "&Continue", timeout=WAIT)
    assert page.box.status.text().startswith("Paused")
    assert page.box.stop.isEnabled()
    page.box.pause.click()
    qtbot.waitUntil(lambda: page.box.pause.text() == "Pa&use", timeout=WAIT)
    page.box.stop.click()
    qtbot.waitUntil(lambda: is_over(page), timeout=WAIT)
    assert page.box.status.text() == "Stopped; what was computed so far is kept"
    assert Run.open(out).maps.dims == 2
    assert page.box.resume.isEnabled()
    former = read_status(out).token
    shown = molecules(viewer)
    page.box.resume.click()
    qtbot.waitUntil(lambda: read_status(out).token != former, timeout=WAIT)
    qtbot.waitUntil(lambda: page._phase == "running", timeout=WAIT)
    assert page._launch.is_alive
    assert molecules(viewer) == shown  # the same layer goes on
    page.box.stop.click()
    qtbot.waitUntil(lambda: is_over(page), timeout=WAIT)


def test_molecule_follows_without_touching_the_view(at_work, qtbot):
    viewer, page, _ = at_work
    (layer,) = molecules(viewer)
    layer.name = "mine"
    viewer.dims.set_point((0, 1), (0.2, 0.9))
    camera_of(viewer).angles = (10.0, 20.0, 30.0)
    layer.contrast_limits = (0.1, 0.4)
    data = layer.data
    ticks = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start(10)
    qtbot.waitUntil(lambda: layer.data is not data, timeout=WAIT)
    qtbot.wait(3000)
    timer.stop()
    assert max(np.diff(ticks)) < 2.0  # 0.1 on a quiet machine: benchmarks/live_run.py
    assert viewer.dims.point[:2] == pytest.approx((0.2, 0.9))
    assert camera_of(viewer).angles == pytest.approx((10.0, 20.0, 30.0))
    assert layer.contrast_limits == pytest.approx([0.1, 0.4])
    assert layer.name == "mine"
    viewer.layers.remove(layer)
    rows = len(page.traces._rows)
    qtbot.waitUntil(lambda: len(page.traces._rows) > rows + 20, timeout=WAIT)
    assert not molecules(viewer)  # it stays away


def test_closing_stops_a_run(at_work, qtbot, answer):
    viewer, page, out = at_work
    answer.append(None)
    page.window().close()
    assert page.window().isVisible()  # refused
    assert page._launch.is_alive
    answer.append("stop")
    pid = page._launch.pid
    viewer.close()
    qtbot.waitUntil(lambda: not process_is_there(pid, time.time()), timeout=5000)
    assert page.viewer is None
    assert read_status(out).phase == "stopped"
    assert Run.open(out).maps.dims == 2


def test_closing_leaves_a_run_that_is_followed_again(
    at_work, qtbot, make_napari_viewer_proxy, answer
):
    viewer, page, out = at_work
    answer.append("leave")
    pid = page._launch.pid
    viewer.close()
    time.sleep(1.5)
    assert process_is_there(pid, time.time())
    assert read_status(out).phase == "running"
    second = make_napari_viewer_proxy()
    again = open_page(second, "Run").pages["Run"]
    second.open(out, plugin="napari-hypermol")
    qtbot.waitUntil(lambda: again._phase == "running", timeout=WAIT)
    assert again.box.stop.isEnabled()
    assert len(molecules(second)) == 1
    qtbot.waitUntil(lambda: "components" in again.session.draft, timeout=WAIT)
    again.box.stop.click()
    qtbot.waitUntil(lambda: is_over(again), timeout=WAIT)
    assert read_status(out).phase == "stopped"


def test_dead_process_is_said(at_work, qtbot, told):
    _, page, _out = at_work
    os.kill(page._launch.pid, 9)
    qtbot.waitUntil(lambda: is_over(page), timeout=WAIT)
    assert page.box.status.text().startswith(
        "Interrupted: the run's process is gone; its last stage"
    )
    assert page.box.resume.isEnabled()
    assert "process is gone" in told[-1]


def test_run_of_a_cluster_is_followed(docked, run_folder, tmp_path, qtbot):
    """Another process on another machine, as far as its folder tells."""
    viewer, page = docked
    out = Path(shutil.copytree(run_folder, tmp_path / "there"))
    status = json.loads((out / "status.json").read_text())
    status |= {"phase": "running", "host": "node7", "message": "states 1, sweep 1/9"}
    (out / "status.json").write_text(json.dumps(status | {"heartbeat": time.time()}))
    page.follow(out)
    qtbot.waitUntil(
        lambda: page.box.pause.isEnabled() and len(molecules(viewer)) == 1, timeout=WAIT
    )
    assert "node7" in page.box.status.text()
    page.box.pause.click()
    assert json.loads((out / "request.json").read_text())["wish"] == "pause"
    (out / "status.json").write_text(json.dumps(status | {"heartbeat": time.time() - 1e4}))
    qtbot.waitUntil(lambda: is_over(page), timeout=WAIT)
    assert "process is gone" in page.box.status.text()


def test_run_that_is_dropped_beside_particles(filled, run_folder, qtbot):
    """It comes as any layer does; the page shows it as a molecule."""
    viewer, _ = filled
    viewer.open(run_folder / "run.json", plugin="napari-hypermol")
    qtbot.waitUntil(lambda: viewer.dims.ndisplay == 3, timeout=WAIT)
    particles, molecule = viewer.layers[0], molecules(viewer)[0]
    assert (particles.visible, molecule.visible) == (False, True)
    assert viewer.dims.point[:2] == pytest.approx((0.5, 0.5))


def test_run_without_its_stack_is_shown(docked, pretzel_folder, tmp_path, qtbot):
    viewer, page = docked
    data = Path(shutil.copytree(pretzel_folder, tmp_path / "data"))
    launch = Launch(Order(tmp_path / "run", data / "particles.star", _draft(data), data))
    launch._process.wait()
    (data / "particles.mrcs").unlink()
    page.follow(tmp_path / "run")
    qtbot.waitUntil(lambda: is_over(page), timeout=WAIT)
    assert len(molecules(viewer)) == 1
    assert "particles.mrcs" in page.box.status.text()
    assert "maps can be seen" in page.box.status.text()
    launch.tidy()


def _draft(folder):
    return yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))


def test_mistakes_are_sentences(docked, qtbot, tmp_path, told):
    _, page = docked
    page.box.start.click()
    assert "no particles" in told[-1]
    assert is_over(page)
    page.follow(tmp_path)
    assert "is not a run folder" in told[-1]
    broken = tmp_path / "particles.star"
    broken.write_text("data_particles\n\nloop_\n_rlnImageName\n1@missing.mrcs\n")
    page.session.particles = str(broken)
    assert page.out.text == str(tmp_path / "hypermol_1")
    page.session.put(components={"a": {}})
    assert "not complete" in page.plan.text()
    page.box.start.click()
    assert "components.a" in told[-1]
    page.session.put(components=None)
    page.box.start.click()
    qtbot.waitUntil(lambda: is_over(page), timeout=WAIT)
    assert "missing.mrcs" in told[-1]
    assert page.box.status.text().startswith("Failed: ")
    assert "missing.mrcs" in page.box.status.text()
    assert not (tmp_path / "hypermol_1").exists()


def test_stop_before_there_is_a_folder(filled, qtbot, tmp_path):
    viewer, page = filled
    page.box.start.click()
    page.box.stop.click()
    qtbot.waitUntil(lambda: is_over(page), timeout=WAIT)
    assert page.box.status.text().startswith("Stopped")
    assert not has_snapshot(tmp_path / "run")
    assert not molecules(viewer)


def test_two_windows_with_a_run_each(filled, qtbot, make_napari_viewer_proxy, tmp_path):
    viewer, page = filled
    second = make_napari_viewer_proxy()
    other = open_page(second, "Run").pages["Run"]
    other.session.particles = page.session.particles
    other.session.load(page.session.draft, page.session.folder)
    other.out.text = str(tmp_path / "other")
    page.box.start.click()
    other.box.start.click()
    qtbot.waitUntil(lambda: is_over(page) and is_over(other), timeout=2 * WAIT)
    for one, shown, name in ((page, viewer, "run"), (other, second, "other")):
        assert one.box.status.text() == "Done"
        assert one.session.run.path == tmp_path / name
        (molecule,) = molecules(shown)
        assert molecule.metadata["hypermol"]["run"] == str((tmp_path / name).resolve())


def test_closed_page_leaves_its_run(at_work, qtbot):
    viewer, page, out = at_work
    open_page(viewer, "Run").close()
    viewer.dims.set_point(0, 3)  # nobody listens any more
    n = read_status(out).heartbeat
    qtbot.waitUntil(lambda: read_status(out).heartbeat > n, timeout=WAIT)
    assert page._live is None

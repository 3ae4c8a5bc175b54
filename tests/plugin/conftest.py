"""What the plugin's tests share: a tiny simulation and run, the plugin as napari finds it."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from napari_hypermol.runs.job import Job
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.run_writer import RunWriter
from napari_hypermol.runs.series import series_states, write_deviations
from napari_hypermol.runs.state_axes import StateAxis
from napari_hypermol.runs.store import Run
from napari_hypermol.synthetic.simulate import Simulation, simulate

BOX = 24  # napari draws without a graphics card here: small volumes, and mip instead of iso
PIXEL = 4.0


def quick(folder: Path, stages: list[dict[str, float]]) -> Path:
    """Give the recipe of a simulation a schedule of seconds; returns the recipe."""
    path = folder / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    recipe["schedule"] = stages
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def pretzel_folder(tmp_path_factory) -> Path:
    """A simulated pretzel, 60 particles; its recipe has two states and a quick schedule."""
    folder = tmp_path_factory.mktemp("simulated") / "pretzel"
    simulate(Simulation("pretzel", n=60, box_size=BOX, pixel_size=PIXEL, snr=1.0), folder)
    stage = {"resolution": 24.0, "degree": 1, "sweeps": 1}
    quick(folder, [{**stage, "degree": 0}, stage])
    return folder


@pytest.fixture(scope="session")
def run_folder(pretzel_folder) -> Path:
    """The run folder that the pretzel's recipe makes."""
    out = pretzel_folder.parent / "run_1"
    reconstruct(Job(pretzel_folder / "particles.star", out, pretzel_folder / "recipe.yaml"))
    return out


@pytest.fixture
def long_recipe(pretzel_folder, tmp_path) -> Path:
    """A recipe of the same molecule that would go on for minutes."""
    recipe = yaml.safe_load((pretzel_folder / "recipe.yaml").read_text(encoding="utf-8"))
    stage = {"resolution": 24.0, "degree": 1, "sweeps": 5000}
    recipe["schedule"] = [{**stage, "degree": 0, "sweeps": 1}, stage]
    path = tmp_path / "long.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _runs_do_not_step_back(monkeypatch):
    """Beside other tests a run of low priority would not get far."""
    monkeypatch.setattr("napari_hypermol.runs.launch._step_back", lambda pid: None)


@pytest.fixture(autouse=True)
def answer(monkeypatch):
    """What the user answers when a window with a run at work is closed: a list, and its use.

    For every test: in one that fails at that moment the question would wait for ever.
    """
    answers = ["stop"]
    monkeypatch.setattr(
        "napari_hypermol.plugin.widgets.run.ask_about_run", lambda parent, name: answers[-1]
    )
    return answers


@pytest.fixture
def plugin(npe2pm):
    """The plugin's manifest, in a plugin manager that has no other one but napari's."""
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-hypermol")
    with npe2pm.tmp_plugin(manifest=manifest):
        yield manifest


class SmallMaps:
    """Maps whose values say at which state they were computed; counts the computations."""

    def __init__(
        self, dims: int = 2, box_size: int = 8, axes: tuple[StateAxis, ...] | None = None
    ) -> None:
        ranges = tuple(StateAxis(f"tau{i + 1}", f"arm_{i + 1}") for i in range(dims))
        self.axes = ranges if axes is None else axes
        self.dims = len(self.axes)
        self.box_size = box_size
        self.contrast_limits = (0.0, 10.0)
        self.asked: list[tuple[float, ...]] = []

    def volume(self, states):
        """A constant: tau1 + 2 tau2 + 4 tau3 ..., and 1 in one corner."""
        self.asked.append(tuple(round(float(s), 6) for s in states))
        value = sum(2**i * s for i, s in enumerate(states))
        volume = np.full((self.box_size,) * 3, value, dtype=np.float32)
        volume[0, 0, 0] = 1.0
        return volume


@pytest.fixture
def small_maps() -> type[SmallMaps]:
    """The class of maps that are cheap and known."""
    return SmallMaps


@pytest.fixture
def mixed_maps() -> SmallMaps:
    """Maps with a state of every kind: a circle, four classes, a position."""
    circle = StateAxis("tau1", "wheel", "circle")
    classes = StateAxis("tau2", "lobe", "class", 4)
    return SmallMaps(axes=(circle, classes, StateAxis("tau3", "lid", is_position=True)))


@pytest.fixture(autouse=True, scope="session")
def _no_user_files(tmp_path_factory):
    """Samples are cached away from the user's own cache."""
    old = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if old is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = old


@pytest.fixture
def browse_run(make_napari_viewer_proxy, plugin, monkeypatch, qtbot):
    """Open a run folder in a new viewer; the viewer and the States page that has read it."""
    from napari_hypermol.plugin import layers
    from napari_hypermol.plugin.opening import open_run
    from napari_hypermol.plugin.widgets.studio import open_page

    monkeypatch.setattr(layers, "RENDERING", "mip")

    def browse(folder):
        viewer = make_napari_viewer_proxy()
        page = open_page(viewer, "States").pages["States"]
        open_run(viewer, folder)
        wait_for(page, qtbot)
        return viewer, page

    return browse


def wait_for(page, qtbot):
    """Until nothing is at work for a page."""
    qtbot.waitUntil(lambda: not page.browser.background.is_busy, timeout=30_000)


@pytest.fixture
def settled(qtbot):
    """Wait until nothing is at work for a page."""
    return lambda page: wait_for(page, qtbot)


@pytest.fixture
def pretzel_page(browse_run, run_folder):
    """The States page with a pretzel of two arms: a viewer and the page."""
    return browse_run(run_folder)


@pytest.fixture
def sampled_folder(run_folder, tmp_path):
    """A run whose posterior was sampled: deviations 0.01, 0.02, ... and bands about 1/20."""
    folder = tmp_path / "sampled"
    shutil.copytree(run_folder, folder)
    run = Run.open(folder)
    n = len(np.concatenate(series_states(run.maps.axes)))
    volumes = (
        np.ones((n, *(run.box_size,) * 3), np.float32)
        * 0.01
        * np.arange(1, n + 1)[:, None, None, None].astype(np.float32)
    )
    write_deviations(run.maps.axes, volumes, run.pixel_size, folder / "volumes")
    bands = np.stack([np.full((2, 20), v) for v in (0.03, 0.05, 0.08)])
    writer = RunWriter(folder, run.recipe, folder, run.facts, resume=True)
    writer.write_posterior({"occupancy_bands": bands})
    return folder


@pytest.fixture
def mouse():
    """Presses, moves and releases the left button over a landscape, at states."""
    from qtpy.QtCore import QEvent, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    kinds = QEvent.Type

    def over(landscape, places, keys=Qt.KeyboardModifier.NoModifier):
        view = landscape.viewport()

        def send(kind, place, button, buttons):
            at = landscape.mapFromScene(landscape.getViewBox().mapViewToScene(QPointF(*place)))
            at = QPointF(at)
            event = QMouseEvent(kind, at, QPointF(view.mapToGlobal(at.toPoint())), button, buttons,
                                keys)  # fmt: skip
            QApplication.sendEvent(view, event)

        send(kinds.MouseButtonPress, places[0], left, left)
        for place in places[1:]:
            time.sleep(0.02)  # pyqtgraph overlooks moves that follow within 10 ms
            send(kinds.MouseMove, place, none, left)
        send(kinds.MouseButtonRelease, places[-1], left, none)

    return over

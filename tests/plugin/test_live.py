"""A run followed from a thread: what it tells, and that it lets go."""

import shutil
import threading
import time

import numpy as np
import pytest

from napari_hypermol.plugin.live import LiveRun, prepared
from napari_hypermol.runs.follow import Follower
from napari_hypermol.runs.state_axes import middle_states
from napari_hypermol.runs.store import Run


@pytest.fixture
def followed():
    """Starts following; gives the live run and its updates."""
    lives = []

    def begin(folder):
        live = LiveRun(Follower(folder), 5)
        lives.append(live)
        live.start()
        return live, live.updates

    yield begin
    for live in lives:
        live.leave()


def test_finished_run_is_told_once(run_folder, followed):
    live, updates = followed(run_folder)
    update = updates.get(timeout=30)
    assert update.look.phase == "done"
    assert update.look.run.path == run_folder
    data, attributes, _ = update.layer
    assert data.shape[:2] == (5, 5)
    assert attributes["metadata"]["hypermol"]["run"] == str(run_folder.resolve())
    live._thread.join(5)
    assert not live._thread.is_alive()
    assert updates.empty()


def test_map_on_the_screen_is_computed_in_the_thread(run_folder, monkeypatch):
    """What the main thread asks for next is there: nothing is computed for it."""
    follower = Follower(run_folder)
    look = follower.look()
    data, _, _ = prepared(look, follower, 5, (0.25, 1.0))
    calls = []
    monkeypatch.setattr(type(look.maps), "volume", lambda *_: calls.append(1))
    shown = np.asarray(data[1, 4])
    assert not calls
    monkeypatch.undo()
    np.testing.assert_array_equal(shown, Run.open(run_folder).maps.volume((0.25, 1.0)))
    data, _, _ = prepared(look, follower, 5, (0.5,))  # of another layer
    monkeypatch.setattr(type(look.maps), "volume", lambda *_: calls.append(1))
    np.asarray(data[2, 2])
    assert middle_states(look.maps.axes) == [0.5, 0.5]
    assert not calls


def test_trouble_is_a_sentence(run_folder, tmp_path, followed):
    folder = shutil.copytree(run_folder, tmp_path / "run")
    shutil.rmtree(folder / "store.zarr" / "snapshot_002" / "theta")
    _, updates = followed(folder)
    update = updates.get(timeout=30)
    assert update.look.phase == "failed"
    assert "snapshot" in update.look.message
    assert update.look.is_over


def test_leaving_is_at_once(tmp_path):
    class Endless:
        launch = None
        folder = tmp_path

        def look(self):
            from napari_hypermol.runs.follow import Look

            return Look("running", 0.0, None, str(time.monotonic()), False)

    live = LiveRun(Endless(), 5)
    live.start()
    assert threading.active_count() > 1
    live.leave()
    live._thread.join(2)
    assert not live._thread.is_alive()

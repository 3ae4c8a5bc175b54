"""Pictures for a movie: the states asked for, the viewer as it was."""

import numpy as np
import pytest

from napari_hypermol.plugin.movie_frames import MovieFrames
from napari_hypermol.runs.maps import HyperMaps

pytestmark = pytest.mark.qt


@pytest.fixture
def brightening(monkeypatch):
    """Maps that grow brighter with the first state: those of so short a run hardly differ."""
    volume = HyperMaps.volume
    monkeypatch.setattr(HyperMaps, "volume", lambda maps, s: volume(maps, s) * (0.4 + s[0]))


def test_frames_of_states_between_stops(pretzel_page, brightening, qtbot):
    viewer, page = pretzel_page
    viewer.show()  # a hidden canvas is black
    layer, camera = viewer.layers[0], viewer.camera.angles
    states = np.array([(0.0, 0.5), (0.512, 0.5), (1.0, 0.5)])
    counts, done = [], []
    taking = MovieFrames(viewer, layer, page.session.run.maps, states, counts.append, done.append)
    assert not layer.visible
    qtbot.waitUntil(lambda: bool(done), timeout=20_000)
    taking.stop()  # already over: nothing happens
    (frames,) = done
    assert counts == [1, 2, 3]
    assert {f.shape for f in frames} == {frames[0].shape}
    assert all(f.max() > 100 for f in frames)
    brightness = [f.mean() for f in frames]
    assert brightness[0] + 1 < brightness[1] < brightness[2] - 1
    assert [x.name for x in viewer.layers] == [layer.name]
    assert layer.visible
    assert viewer.camera.angles == camera


def test_molecule_removed_meanwhile(pretzel_page, qtbot):
    viewer, page = pretzel_page
    states = np.tile([0.5, 0.5], (50, 1))
    done = []
    taking = MovieFrames(viewer, viewer.layers[0], page.session.run.maps, states, int, done.append)
    viewer.layers.remove(page.browser.layer)
    qtbot.waitUntil(lambda: bool(done), timeout=20_000)
    taking.stop()
    assert done == [None]
    assert len(viewer.layers) == 0

"""Playing and exporting along axes and paths."""

import imageio.v3 as imageio
import numpy as np
import pytest

from napari_hypermol.io.mrc import read_volume
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.state_paths import states_along

pytestmark = pytest.mark.qt
PATH = [(0.1, 0.1), (0.5, 0.2), (0.9, 0.9)]


@pytest.fixture
def part(pretzel_page):
    _, page = pretzel_page
    page.path.maps.setValue(4)
    page.path.speed.setValue(30)
    return page.path


def test_path_to_series(part, pretzel_page, settled, tmp_path):
    _, page = pretzel_page
    page.panel.landscape.traced.emit(PATH)
    assert part.is_path
    part.save_maps(tmp_path)
    settled(page)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["path.cxc", *(f"path_{k:02d}.mrc" for k in range(4))]
    for k, state in enumerate(states_along(PATH, 4)):
        volume = read_volume(tmp_path / f"path_{k:02d}.mrc")
        expected = page.session.run.maps.volume(state)  # between stops too
        np.testing.assert_allclose(volume.values, expected, atol=1e-6)
    assert "vseries play" in (tmp_path / "path.cxc").read_text()
    before = (tmp_path / "path_00.mrc").stat().st_mtime_ns
    part.save_maps(tmp_path)  # again: refused
    settled(page)
    assert (tmp_path / "path_00.mrc").stat().st_mtime_ns == before


def test_spacing_by_particles(part, pretzel_page):
    _, page = pretzel_page
    page.panel.landscape.traced.emit([(0.0, 0.5), (1.0, 0.5)])
    part.spacing.setCurrentIndex(1)
    page.browser.browsed = page.browser.browsed._replace(
        states=np.stack([np.linspace(0, 1, 60) ** 2, np.full(60, 0.5)], 1)
    )
    found = part.states()
    np.testing.assert_allclose(found[:, 0], [0, 1 / 9, 4 / 9, 1], atol=0.02)


def test_along_an_axis(part, pretzel_page):
    _, page = pretzel_page
    page.browser.go_to((0.5, 0.2))
    part.along.setCurrentIndex(0)
    np.testing.assert_allclose(part.states(), [(t, 0.2) for t in (0, 1 / 3, 2 / 3, 1)])


def test_play(part, pretzel_page, qtbot):
    viewer, _ = pretzel_page
    part.along.setCurrentIndex(1)
    part.repeat.setCurrentText("to and fro")
    seen = []
    viewer.dims.events.point.connect(lambda: seen.append(round(viewer.dims.point[1], 2)))
    part.play_button.click()
    assert part.is_playing
    qtbot.waitUntil(lambda: len(seen) >= 6, timeout=10_000)
    part.play_button.click()
    assert not part.is_playing
    assert seen[:6] == [0.0, 0.35, 0.65, 1.0, 0.65, 0.35]


def test_play_once_stops(part, pretzel_page, qtbot):
    viewer, page = pretzel_page
    part.along.setCurrentIndex(0)
    part.repeat.setCurrentText("once")
    part.play_button.click()
    qtbot.waitUntil(lambda: not part.is_playing, timeout=10_000)
    assert page.browser.state[0] == pytest.approx(1.0)
    part.play_button.click()
    viewer.layers.clear()  # the molecule goes while it plays
    assert not part.is_playing
    assert not part.play_button.isEnabled()


@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_movie(part, pretzel_page, settled, qtbot, tmp_path, ending, monkeypatch):
    volume = HyperMaps.volume  # those of so short a run hardly differ
    monkeypatch.setattr(HyperMaps, "volume", lambda maps, s: volume(maps, s) * (0.4 + s[0]))
    viewer, page = pretzel_page
    viewer.show()  # a hidden canvas is black
    page.panel.landscape.traced.emit(PATH)
    angles = viewer.camera.angles
    out = tmp_path / f"movie.{ending}"
    part.save_movie(out)
    qtbot.waitUntil(out.is_file, timeout=30_000)
    settled(page)
    movie = imageio.imread(out, plugin="FFMPEG" if ending == "mp4" else None)
    assert len(movie) == 6  # there and back, without the ends twice
    means = movie.mean(axis=(1, 2, 3))
    assert means[0] < means[1] < means[2] < means[3]
    assert means[4] == pytest.approx(means[2], abs=0.5)
    assert viewer.camera.angles == angles
    assert part.movie_button.isEnabled()


def test_no_path_is_said(part, pretzel_page, tmp_path):
    part.along.setCurrentText("the drawn path")
    assert "draw one" in part.note.text()
    part.save_maps(tmp_path)
    assert list(tmp_path.iterdir()) == []

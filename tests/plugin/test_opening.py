"""Runs opened by our own menu command."""

import pytest

from napari_hypermol.plugin.opening import ask_for_run, open_run
from napari_hypermol.plugin.viewing import is_chimerax_handed


@pytest.mark.qt
def test_open_run(make_napari_viewer_proxy, plugin, run_folder, monkeypatch):
    viewer = make_napari_viewer_proxy()
    choose = "qtpy.QtWidgets.QFileDialog.getExistingDirectory"
    monkeypatch.setattr(choose, lambda *_: "")
    ask_for_run(viewer)
    assert not viewer.layers
    monkeypatch.setattr(choose, lambda *_: str(run_folder))
    ask_for_run(viewer)
    assert viewer.dims.ndisplay == 3
    assert viewer.dims.point[:2] == pytest.approx((0.5, 0.5))
    assert is_chimerax_handed(viewer)


@pytest.mark.qt
def test_opening_nothing(make_napari_viewer_proxy, plugin, run_folder, tmp_path):
    for name in ("recipe.yaml", "run.json"):
        (tmp_path / name).write_bytes((run_folder / name).read_bytes())
    assert open_run(make_napari_viewer_proxy(), tmp_path) == []

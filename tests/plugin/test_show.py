import pytest

from napari_hypermol.plugin import show


@pytest.mark.qt
def test_the_molecule_and_the_widget_are_there(
    make_napari_viewer_proxy, plugin, run_folder, monkeypatch
):
    monkeypatch.setattr(show.napari, "Viewer", lambda title: make_napari_viewer_proxy())
    viewer = show.show(run_folder)
    assert viewer.layers[0].axis_labels[0] == "tau1"
    assert viewer.dims.ndisplay == 3

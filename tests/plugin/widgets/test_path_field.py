"""The field for a path."""

import pytest

pytestmark = pytest.mark.qt


def test_field(qtbot, monkeypatch):
    from napari_hypermol.plugin.widgets.path_field import PathField

    field = PathField("Choose particles", "Particles (*.star)")
    qtbot.addWidget(field)
    seen = []
    field.changed.connect(seen.append)
    field.text = " /there/p.star "
    assert field.text == "/there/p.star"
    assert seen == ["/there/p.star"]
    dialog = "qtpy.QtWidgets.QFileDialog.getOpenFileName"
    monkeypatch.setattr(dialog, lambda *_: ("", ""))
    field._on_browse()
    assert field.text == "/there/p.star"  # a dismissed dialog changes nothing
    monkeypatch.setattr(dialog, lambda *_: ("/here/q.star", ""))
    field._on_browse()
    assert field.text == "/here/q.star"


def test_folder_to_be_made(qtbot, monkeypatch):
    from napari_hypermol.plugin.widgets.path_field import PathField

    field = PathField("Name a folder", None)
    qtbot.addWidget(field)
    monkeypatch.setattr("qtpy.QtWidgets.QFileDialog.getSaveFileName", lambda *_: ("/here/run", ""))
    field._on_browse()
    assert field.text == "/here/run"

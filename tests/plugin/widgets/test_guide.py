import pytest
from qtpy.QtWidgets import QWidget

from napari_hypermol.plugin.widgets.guide import guide_path, show_guide

pytestmark = pytest.mark.qt


def test_guide_comes_with_the_package():
    assert guide_path("states.md").read_text(encoding="utf-8").startswith("# ")


def test_one_window_for_all_pages(qtbot):
    parent = QWidget()
    qtbot.addWidget(parent)
    window = show_guide("states.md", parent)
    assert show_guide("napari.md", parent) is window
    assert "sliders are the states" in window.browser.toPlainText()

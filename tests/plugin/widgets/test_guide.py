import pytest
from qtpy.QtCore import QUrl
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


def test_back_and_pictures_that_fit(qtbot):
    parent = QWidget()
    qtbot.addWidget(parent)
    window = show_guide("states.md", parent)
    assert not window.back.isEnabled()
    show_guide("tutorial.md", parent)
    picture = window.browser.loadResource(2, QUrl("../images/studio-states.png"))
    assert 600 < picture.width() < window.browser.width()
    window.back.click()
    assert "sliders are the states" not in window.browser.toPlainText()
    assert window.browser.source().fileName() == "states.md"

import pytest

from napari_hypermol.plugin.widgets.component_list import ComponentList

pytestmark = pytest.mark.qt
COLORS = {"body": "#e69f00", "arm": "#56b4e9"}


@pytest.fixture
def shown(qtbot):
    widget = ComponentList()
    qtbot.addWidget(widget)
    widget.show_components(COLORS, {"arm": "has no support"})
    return widget


def test_names_colours_and_problems(shown):
    assert shown.names == ["body", "arm"]
    item = shown.list.item(1)
    assert item.toolTip() == "has no support"
    picture = item.icon().pixmap(16).toImage()
    assert picture.pixelColor(1, 1).name() == "#56b4e9"
    assert picture.pixelColor(8, 8).name() == "#e0564a"


def test_the_choice_outlives_a_change(shown, qtbot):
    shown.choose("body")
    with qtbot.assertNotEmitted(shown.chosen):
        shown.show_components({"body": "#000000", "arm": "#56b4e9", "leg": "#2fbf8f"}, {})
    assert shown.current == "body"
    with qtbot.waitSignal(shown.chosen, check_params_cb=lambda name: name == "leg"):
        shown.show_components({"arm": "#56b4e9", "leg": "#2fbf8f"}, {})


def test_renaming(shown, qtbot):
    with qtbot.waitSignal(shown.renamed) as told:
        shown.list.item(0).setText("core")
    assert told.args == ["body", "core"]


def test_buttons_need_a_component(shown, qtbot):
    with qtbot.waitSignal(shown.duplicated) as told:
        shown._buttons[2].click()
    assert told.args == [shown.current]
    shown.show_components({}, {})
    assert not any(button.isEnabled() for button in shown._buttons)

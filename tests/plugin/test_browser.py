"""The run that is browsed, the layer and the state; a viewer without a window."""

import pytest

from napari_hypermol.plugin.browser import Browser
from napari_hypermol.plugin.layers import run_layer
from napari_hypermol.plugin.session import Session
from napari_hypermol.plugin.viewing import set_states
from napari_hypermol.runs.store import Run

pytestmark = pytest.mark.qt


@pytest.fixture
def opened(qtbot, run_folder):
    from napari.components import ViewerModel

    viewer = ViewerModel()
    browser = Browser(viewer, Session())
    data, attributes, _ = run_layer(Run.open(run_folder))
    viewer.add_image(data, **attributes)
    qtbot.waitUntil(lambda: browser.file is not None, timeout=20_000)
    yield viewer, browser
    browser.let_go()


def test_slider_tells(opened):
    viewer, browser = opened
    told = []
    browser.moved.connect(told.append)
    set_states(viewer, browser.layer, (0.3, 0.8))
    assert told[-1] == pytest.approx((0.3, 0.8))
    n = len(told)
    set_states(viewer, browser.layer, (0.3, 0.8))
    assert len(told) == n  # nothing new, nothing told: no loop


def test_going_stops_where_there_is_a_map(opened):
    viewer, browser = opened
    browser.go_to((0.331, 1.0))
    assert browser.state == pytest.approx((0.35, 1.0))
    assert viewer.dims.point[:2] == pytest.approx((0.35, 1.0))


def test_circle_goes_round(opened):
    from napari_hypermol.runs.state_axes import StateAxis

    _, browser = opened
    axes = (StateAxis("tau1", "w", "circle"), StateAxis("tau2", "x"))
    browser.browsed = browser.browsed._replace(axes=axes)
    assert browser._nearest_stop((1.04, 1.04)) == pytest.approx((0.0, 1.0))


def test_layer_goes_and_state_stays(opened):
    viewer, browser = opened
    changes = []
    browser.layer_changed.connect(lambda: changes.append(browser.layer))
    viewer.layers.clear()
    assert changes == [None]
    browser.go_to((0.123, 0.4))
    assert browser.state == pytest.approx((0.123, 0.4))


def test_folder_that_is_gone(qtbot, run_folder):
    from napari.components import ViewerModel

    viewer, session = ViewerModel(), Session()
    browser = Browser(viewer, session)
    data, attributes, _ = run_layer(Run.open(run_folder))
    attributes["metadata"]["hypermol"]["run"] = str(run_folder / "gone")
    viewer.add_image(data, **attributes)
    assert session.run is None
    assert browser.layer is None
    browser.let_go()

"""What the landscape reports, and what it draws."""

import numpy as np
import pytest

from napari_hypermol.plugin.widgets.landscape import Landscape
from napari_hypermol.runs.state_axes import StateAxis

pytestmark = pytest.mark.qt
X, Y = StateAxis("tau1", "arm"), StateAxis("tau2", "lid", "circle")


@pytest.fixture
def landscape(qtbot):
    landscape = Landscape()
    qtbot.addWidget(landscape)
    landscape.resize(320, 240)
    landscape.show()
    qtbot.waitExposed(landscape)
    landscape.clear_drawing((X, Y))
    qtbot.wait(50)
    return landscape


def heard(signal):
    told = []
    signal.connect(lambda *what: told.append(what))
    return told


def test_turn(landscape, mouse, qtbot):
    placed = heard(landscape.placed)
    mouse(landscape, [(0.3, 0.6)])
    (place, is_over) = placed.pop()
    assert place == pytest.approx((0.3, 0.6), abs=0.02)
    assert is_over
    line = [(t, 0.5) for t in np.linspace(0.2, 0.9, 40)]
    mouse(landscape, line)
    assert 2 <= len(placed) <= 10  # at its pace, not at the mouse's
    assert placed[-1][1]
    assert placed[-1][0] == pytest.approx((0.9, 0.5), abs=0.02)
    assert landscape.marker == pytest.approx((0.9, 0.5), abs=0.02)


def test_marker_is_the_mouses_while_it_is_dragged(landscape):
    landscape.set_marker((0.1, 0.1))
    landscape._on_dragged([(0.1, 0.1), (0.4, 0.4)], None, False)
    landscape.set_marker((0.35, 0.35))  # the sliders, a little behind
    assert landscape.marker == pytest.approx((0.4, 0.4))
    landscape._on_dragged([(0.1, 0.1), (0.4, 0.4)], None, True)
    landscape.set_marker((0.35, 0.35))
    assert landscape.marker == pytest.approx((0.35, 0.35))


def test_lasso_and_its_keys(landscape, mouse):
    from qtpy.QtCore import Qt

    landscape.mode = "select"
    outlined = heard(landscape.outlined)
    corner = [(0.1, 0.1), (0.5, 0.1), (0.5, 0.5)]
    for keys, change in (
        (Qt.KeyboardModifier.NoModifier, "replace"),
        (Qt.KeyboardModifier.ShiftModifier, "add"),
        (Qt.KeyboardModifier.AltModifier, "subtract"),
        (Qt.KeyboardModifier.ControlModifier, "subtract"),
    ):
        mouse(landscape, corner, keys)
        corners, told, is_over = outlined[-1]
        assert (told, is_over) == (change, True)
        np.testing.assert_allclose(corners[-1], (0.5, 0.5), atol=0.02)


def test_range_over_one_axis(landscape, mouse):
    landscape.clear_drawing((X,))
    landscape.draw_bars(np.ones(10), "density")
    landscape.mode = "select"
    outlined = heard(landscape.outlined)
    mouse(landscape, [(0.7, 0.5), (0.5, 0.6), (0.2, 0.5)])
    corners, _, _ = outlined[-1]
    np.testing.assert_allclose(corners, [(0.2,), (0.7,)], atol=0.02)


def test_path_by_clicks_and_by_hand(landscape, mouse):
    landscape.mode = "path"
    traced = heard(landscape.traced)
    landscape._on_clicked(0.1, 0.1, False)
    landscape._on_clicked(0.5, 0.2, False)
    landscape._on_clicked(0.9, 0.9, False)
    landscape._on_clicked(0.9, 0.9, True)  # a double click is a click and another one
    assert traced[-1] == ([(0.1, 0.1), (0.5, 0.2), (0.9, 0.9)],)
    landscape._on_clicked(0.3, 0.3, False)  # the next path
    assert traced[-1] == ([(0.3, 0.3)],)
    mouse(landscape, [(0.2, 0.2), (0.5, 0.6), (0.8, 0.2)])
    np.testing.assert_allclose(traced[-1][0][-1], (0.8, 0.2), atol=0.02)


def test_outside_is_the_edge(landscape):
    placed = heard(landscape.placed)
    landscape._on_clicked(-0.3, 1.2, False)
    assert placed == [((0.0, 1.0), True)]


def test_kinds_are_said(landscape):
    classes = StateAxis("tau3", "lobe", "class", 3)
    landscape.clear_drawing((classes, Y))
    assert "class of lobe" in landscape.getAxis("bottom").labelText
    assert "circular state of lid" in landscape.getAxis("left").labelText


def test_stack_bands_and_cells(landscape):
    landscape.clear_drawing((X,))
    landscape.draw_bars(np.array([[1.0, 2.0], [2.0, 0.5]]), "density", ["r", "b"])
    assert [list(bar.opts["y0"]) for bar in landscape._bars] == [[0, 0], [1, 2]]
    half = np.full(2, 0.5)
    landscape.draw_bands(np.array([0.25, 0.75]), half, 2 * half, 12 * half)
    assert landscape._box.viewRange()[1][1] >= 6  # bands are seen whole
    landscape.clear_drawing((X, Y))
    assert not landscape._band.isVisible()
    landscape.draw_selected_cells(np.array([[0.0, 0.5], [1.0, 0.0]]))
    alpha = landscape._selected_cells.image[..., 3]
    assert alpha[0, 0] == 0
    assert 0 < alpha[0, 1] < alpha[1, 0]

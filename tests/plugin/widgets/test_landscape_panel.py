"""The landscape against the sliders and the selection, in a real napari."""

import numpy as np
import pytest

from napari_hypermol.runs.regions import inside_lasso

pytestmark = pytest.mark.qt


def test_slider_moves_marker_and_marker_moves_slider(pretzel_page):
    viewer, page = pretzel_page
    landscape = page.panel.landscape
    viewer.dims.set_point((0, 1), (0.35, 0.8))
    assert landscape.marker == pytest.approx((0.35, 0.8))
    moves = []
    page.browser.moved.connect(moves.append)
    landscape._on_dragged([(0.35, 0.8), (0.52, 0.11)], None, True)
    assert viewer.dims.point[:2] == pytest.approx((0.5, 0.1))
    assert landscape.marker == pytest.approx((0.5, 0.1))  # where there is a map
    assert len(moves) <= 2  # napari tells of each slider; nobody answers


def test_lasso_selects(pretzel_page):
    _, page = pretzel_page
    page.panel.modes["select"].setChecked(True)
    landscape, states = page.panel.landscape, page.browser.browsed.states
    middle = np.median(states[:, 0])
    left = [(0.0, 0.0), (middle, 0.0), (middle, 1.0), (0.0, 1.0)]
    landscape.outlined.emit(left, "replace", True)
    expected = inside_lasso(states, left)
    assert 0 < expected.sum() < 60
    np.testing.assert_array_equal(page.session.selection, expected)
    low = [(0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5)]
    landscape.outlined.emit(low[:2], "subtract", False)  # while it is drawn
    landscape.outlined.emit(low, "subtract", True)
    expected &= ~inside_lasso(states, low)
    got = page.session.selection
    np.testing.assert_array_equal(np.zeros(60, bool) if got is None else got, expected)


def test_one_axis_and_back(pretzel_page):
    viewer, page = pretzel_page
    panel = page.panel
    panel.y_axis.setCurrentIndex(0)
    assert panel.shown == (0,)
    heights = panel.landscape._bars[0].opts["height"]
    assert heights.mean() == pytest.approx(1)  # a density
    panel.landscape.outlined.emit([(0.2,), (0.6,)], "replace", True)
    own = page.browser.browsed.states[:, 0]
    np.testing.assert_array_equal(page.session.selection, (own >= 0.2) & (own <= 0.6))
    assert panel.landscape._selected_bars.opts["height"].sum() * 60 / len(heights) == (
        pytest.approx(page.session.selection.sum())
    )
    panel.landscape.placed.emit((0.8,), True)
    assert viewer.dims.point[:2] == pytest.approx((0.8, 0.5))  # the other one stays
    panel.x_axis.setCurrentIndex(1)
    assert panel.shown == (1,)
    assert panel.landscape.marker == pytest.approx((0.5,))


def test_classes_and_circles(browse_run, mixed_run):
    viewer, page = browse_run(mixed_run.run.path)
    panel, axes = page.panel, page.browser.browsed.axes
    assert [a.kind for a in axes][:2] == ["circle", "class"]
    panel.x_axis.setCurrentIndex(1)
    panel.y_axis.setCurrentIndex(0)
    heights = panel.landscape._bars[0].opts["height"]
    assert len(heights) == axes[1].n_classes
    assert heights.sum() == pytest.approx(100)
    panel.modes["select"].setChecked(True)
    panel.landscape._on_clicked(0.5 / axes[1].n_classes, 3.0, False)  # the first bar
    own = page.browser.browsed.states[:, 1]
    np.testing.assert_array_equal(page.session.selection, own < 1 / axes[1].n_classes)
    assert "circle" in panel.x_axis.itemText(0)
    panel.x_axis.setCurrentIndex(0)
    panel.modes["look"].setChecked(True)
    panel.landscape._on_clicked(1.0, 0.5, False)
    assert viewer.dims.point[0] == pytest.approx(0.0)  # once round


@pytest.mark.parametrize("is_one", [False, True])
def test_colours(pretzel_page, is_one, monkeypatch):
    from napari_hypermol.plugin.widgets import landscape_panel

    _, page = pretzel_page
    panel = page.panel
    if is_one:
        panel.y_axis.setCurrentIndex(0)
    panel.colour.setCurrentText("rlnDefocusU")
    assert "rlnDefocusU [Å]" in panel.legend.text
    assert not panel.legend.isHidden()
    page.browser.file.table["rlnClassNumber"] = ["1", "2"] * 30
    panel.colour.addItem("rlnClassNumber")
    panel.colour.setCurrentText("rlnClassNumber")
    assert panel.legend.text.count("■") == 2
    monkeypatch.setattr(landscape_panel, "_FEW", 10)  # as with many particles
    panel.redraw()
    assert is_one or panel.landscape._cells.image is not None
    if is_one:
        assert len(panel.landscape._bars) == 2
        total = sum(bar.opts["height"].sum() for bar in panel.landscape._bars)
        assert total == pytest.approx(len(panel.landscape._bars[0].opts["height"]))


def test_bands_where_the_posterior_was_sampled(browse_run, sampled_folder):
    _, page = browse_run(sampled_folder)
    page.panel.y_axis.setCurrentIndex(0)
    band = page.panel.landscape._band
    assert band.isVisible()
    np.testing.assert_allclose(band.opts["y"], 1.0)
    np.testing.assert_allclose(band.opts["top"], 0.6)
    assert "90 % bands" in page.panel.note.text()


def test_theme(pretzel_page):
    viewer, page = pretzel_page
    dark = page.panel.landscape.backgroundBrush().color().lightness()
    viewer.theme = "light"
    assert page.panel.landscape.backgroundBrush().color().lightness() > dark + 100

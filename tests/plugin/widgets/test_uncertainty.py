import numpy as np
import pytest

from napari_hypermol.plugin.side_layers import find_side_layer

pytestmark = pytest.mark.qt


def test_not_sampled_is_said(pretzel_page):
    _, page = pretzel_page
    part = page.uncertainty
    assert not part.show_map.isEnabled()
    assert "draws: 200" in part.note.text()


def test_deviation_follows_the_sliders(browse_run, sampled_folder, settled):
    viewer, page = browse_run(sampled_folder)
    part = page.uncertainty
    assert part.note.isHidden()
    page.browser.go_to((0.0, 0.5))
    part.show_map.setChecked(True)
    settled(page)
    layer = find_side_layer(viewer, "deviation")
    assert layer.data.max() == pytest.approx(0.01)  # the first of the series of tau1
    assert "tau1 0.00" in part.note.text()
    page.browser.go_to((0.5, 1.0))
    settled(page)
    assert find_side_layer(viewer, "deviation") is layer
    assert layer.data.max() == pytest.approx(0.2)  # the last one of tau2
    viewer.layers.remove(layer)
    assert not part.show_map.isChecked()
    part.show_map.setChecked(True)
    settled(page)
    part.show_map.setChecked(False)
    assert find_side_layer(viewer, "deviation") is None


def test_error_bars_of_the_selection(pretzel_page):
    _, page = pretzel_page
    page.window().show()
    page.groups["How sure"].is_open = True
    page.session.selection = np.arange(60) < 20
    part, browsed = page.uncertainty, page.browser.browsed
    _, y = part._dots.getData()
    np.testing.assert_allclose(y, np.sort(browsed.states[:20, 0]))
    order = np.argsort(browsed.states[:20, 0], kind="stable")
    np.testing.assert_allclose(part._bars.opts["height"], 2 * browsed.stds[:20, 0][order])
    assert part.caption.text().startswith("20 selected particles")

import numpy as np
import pytest

from napari_hypermol.plugin.side_layers import find_side_layer

pytestmark = pytest.mark.qt


def test_difference_of_two_states(pretzel_page, settled):
    viewer, page = pretzel_page
    part, maps = page.compare, page.session.run.maps
    page.browser.go_to((0.1, 0.5))
    part.keep_buttons["A"].click()
    assert not part.difference_button.isEnabled()
    page.browser.go_to((0.9, 0.5))
    part.keep_buttons["B"].click()
    part.difference_button.click()
    settled(page)
    layer = find_side_layer(viewer, "difference")
    expected = maps.volume((0.9, 0.5)) - maps.volume((0.1, 0.5))
    np.testing.assert_allclose(layer.data, expected, atol=1e-6)
    low, high = layer.contrast_limits
    assert low == -high == pytest.approx(-np.abs(expected).max())
    assert "0.80 apart" in part.result.text()
    frequencies, fsc = part._curve.getData()
    assert fsc[0] == 1
    assert frequencies[-1] <= 1 / 24.0  # the band limit of the run
    part._go_buttons["A"].click()
    assert viewer.dims.point[:2] == pytest.approx((0.1, 0.5))
    part.keep_buttons["B"].click()
    part.difference_button.click()
    settled(page)
    assert np.abs(layer.data).max() == 0  # the same state twice


def test_another_run_forgets(pretzel_page, settled, mixed_run):
    from napari_hypermol.runs.store import Run

    _, page = pretzel_page
    page.compare.keep_buttons["A"].click()
    page.session.run = Run.open(mixed_run.run.path)
    settled(page)
    assert page.compare.kept["A"] is None

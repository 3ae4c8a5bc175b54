from types import SimpleNamespace

import numpy as np
import pytest

from napari_hypermol.errors import MaskError
from napari_hypermol.plugin.widgets.from_map import FromMap, MapMask, labels_of_map

VOLUME = np.zeros((20, 20, 20), dtype=np.float32)
VOLUME[3:6, 3:6, 3:6] = 1.0
VOLUME[12:17, 12:17, 12:17] = 2.0


def test_lengths_are_in_angstrom():
    labels = labels_of_map(VOLUME, 2.0, MapMask(0.5, dilate=2.0))
    assert labels.max() == 1
    assert (labels > 0).sum() == 125 + 6 * 25 + 27 + 6 * 9
    asked = MapMask(0.5, has_pieces=True, least_volume=8 * 28.0)
    labels = labels_of_map(VOLUME, 2.0, asked)
    assert (labels.max(), (labels == 1).sum()) == (1, 125)
    with pytest.raises(MaskError, match="lower threshold"):
        labels_of_map(VOLUME, 2.0, MapMask(9.0))


@pytest.mark.qt
def test_the_slider_takes_the_range_of_the_map(qtbot):
    form = FromMap()
    qtbot.addWidget(form)
    for limits, level in (((0.0, 8.0), 2.0), ((-3.0, 0.02), 0.01)):
        with qtbot.assertNotEmitted(form.threshold_moved):
            form.follow(SimpleNamespace(contrast_limits=limits, iso_threshold=level))
        assert form.threshold.value == pytest.approx(level, abs=0.02 * (limits[1] - limits[0]))
    with qtbot.waitSignal(form.threshold_moved):
        form.threshold.value = -1.0
    with qtbot.waitSignal(form.asked) as told:
        form.button.click()
    assert told.args[0].threshold == pytest.approx(-1.0, abs=0.03)
    assert told.args[0].soft_edge == 6.0

import numpy as np
import pytest

from napari_hypermol.plugin.widgets.legend import Legend

pytestmark = pytest.mark.qt


def test_legend(qtbot):
    legend = Legend()
    qtbot.addWidget(legend)
    assert legend.isHidden()
    ramp = np.stack([np.arange(256)] * 4, axis=1).astype(np.uint8)
    legend.show_ramp("mean rlnDefocusU [Å]", (10250.0, 23.4), ramp)
    assert legend.text == "mean rlnDefocusU [Å] 10,250 23.4"
    image = legend._ramp.pixmap().toImage()
    assert image.pixelColor(2, 2).red() < 20
    assert image.pixelColor(image.width() - 3, 2).red() > 230
    legend.show_categories("class", ["<1>", "2"], [(1, 2, 3), (4, 5, 6)])
    assert "&lt;1&gt;" in legend.text
    assert "rgb(4, 5, 6)" in legend.text
    assert legend._ramp.isHidden()

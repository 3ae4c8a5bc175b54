import numpy as np
import pytest

from napari_hypermol.plugin.plot_colours import hold_still, plot_colours, tint

pytestmark = pytest.mark.qt


def test_text_can_be_read_in_either_theme():
    from napari.components import ViewerModel

    viewer, grounds = ViewerModel(), []
    for theme in ("dark", "light"):
        viewer.theme = theme
        colours = plot_colours(viewer)
        assert abs(np.mean(colours.ground) - np.mean(colours.text)) > 120
        grounds.append(np.mean(colours.ground))
    assert grounds[0] < grounds[1]


def test_plot_of_a_page(qtbot):
    import pyqtgraph as pg
    from napari.components import ViewerModel

    plot = pg.PlotWidget()
    qtbot.addWidget(plot)
    hold_still(plot, 123)
    tint(plot, plot_colours(ViewerModel()))
    assert plot.height() == 123
    assert plot.getViewBox().mouseEnabled() == [False, False]
    assert plot.getAxis("left").pen().color().lightness() > 200  # napari is dark by default

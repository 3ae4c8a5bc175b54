import numpy as np
import pyqtgraph as pg
import pytest
from napari.utils.theme import get_theme

from napari_hypermol.plugin.widgets.plot_box import CURVES, PlotBox, _resolution_ticks

pytestmark = pytest.mark.qt


@pytest.fixture
def box(qtbot):
    widget = PlotBox("FSC", "FSC", "1/Å")
    qtbot.addWidget(widget)
    return widget


def test_curves(box):
    box.draw_curves(np.arange(3.0), [np.arange(3.0), np.ones(2)], level=0.5)
    curves = box.getPlotItem().listDataItems()
    assert [c.opts["pen"].color().name() for c in curves] == list(CURVES[:2])
    np.testing.assert_array_equal(curves[1].getData()[0], [0, 1])
    box.draw_curves(np.arange(3.0), [np.arange(3.0)])
    assert len(box.getPlotItem().listDataItems()) == 1


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_colours_of_the_theme(box, theme):
    box.set_theme(theme)
    own = get_theme(theme)
    assert box.backgroundBrush().color().name() == pg.mkColor(own.background.as_hex()).name()
    pen = box.getAxis("left").textPen()
    assert pen.color().name() == pg.mkColor(own.text.as_hex()).name()


def test_ticks_are_resolutions(box):
    ticks = _resolution_ticks(0.12)
    assert ticks[0] == (0.005, "200")
    assert ticks[-1] == (0.1, "10")
    assert np.diff([at for at, _ in ticks]).min() > 0.012


def test_sphere_is_clear_around_it(box):
    picture = np.array([[np.nan, 0.0, 1.0, np.nan]])
    box.draw_sphere(picture)
    (item,) = [x for x in box.getPlotItem().items if isinstance(x, pg.ImageItem)]
    assert item.image[0, :, 3].tolist() == [0, 255, 255, 0]
    assert (item.image[0, 1, :3] != item.image[0, 2, :3]).any()

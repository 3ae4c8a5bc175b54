"""A real mouse over a plot."""

import pyqtgraph as pg
import pytest

from napari_hypermol.plugin.widgets.pointing import PointingBox

pytestmark = pytest.mark.qt


@pytest.fixture
def plot(qtbot):
    box = PointingBox()
    plot = pg.PlotWidget(viewBox=box)
    qtbot.addWidget(plot)
    plot.resize(300, 300)
    plot.setRange(xRange=(0, 1), yRange=(0, 1))
    plot.show()
    qtbot.waitExposed(plot)
    qtbot.wait(50)
    return plot, box


def test_click(plot, mouse):
    plot, box = plot
    clicks = []
    box.clicked.connect(lambda *what: clicks.append(what))
    mouse(plot, [(0.3, 0.7)])
    ((x, y, is_double),) = clicks
    assert (x, y) == pytest.approx((0.3, 0.7), abs=0.01)
    assert not is_double


def test_drag(plot, mouse):
    plot, box = plot
    lines = []
    box.dragged.connect(lambda line, keys, is_over: lines.append((list(line), is_over)))
    mouse(plot, [(0.2, 0.2), (0.6, 0.2), (0.6, 0.8)])
    line, is_over = lines[-1]
    assert is_over
    assert not lines[0][1]
    assert line[0] == pytest.approx((0.2, 0.2), abs=0.01)
    assert line[-1] == pytest.approx((0.6, 0.8), abs=0.01)

"""The readout of the state on the screen."""

import pytest

from napari_hypermol.plugin.layers import maps_layer
from napari_hypermol.plugin.viewing import set_states

pytestmark = pytest.mark.qt


def test_readout(qtbot, small_maps):
    from napari.components import ViewerModel

    from napari_hypermol.plugin.widgets.states import StateReadout

    viewer = ViewerModel()
    readout = StateReadout(viewer)
    qtbot.addWidget(readout)
    assert readout.text == ""
    data, attributes, _ = maps_layer(small_maps(dims=2), 3.0, "m", {})
    layer = viewer.add_image(data, **attributes)
    readout.follow(layer)
    set_states(viewer, layer, (0.35, 1.0))
    assert readout.text == "tau1 = 0.35  tau2 = 1.00"
    viewer.layers.remove(layer)
    readout.follow(None)
    assert readout.text == ""
    readout.let_go()

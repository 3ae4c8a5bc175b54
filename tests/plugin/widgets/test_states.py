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


def test_readout_names_kinds(qtbot, mixed_maps):
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QLabel

    from napari_hypermol.plugin.widgets.states import StateReadout

    viewer = ViewerModel()
    readout = StateReadout(viewer)
    qtbot.addWidget(readout)
    data, attributes, _ = maps_layer(mixed_maps, 3.0, "m", {})
    layer = viewer.add_image(data, **attributes)
    readout.follow(layer)
    set_states(viewer, layer, (0.9, 0.875, 0.5))
    assert readout.text == "tau1 = 0.90  tau2 = class 4  tau3 = 0.50"
    shown = {label.text() for label in readout.findChildren(QLabel)}
    assert {"circular state of wheel", "class of lobe", "position of lid"} <= shown
    for stop in range(4):  # a stop of the slider is a class
        viewer.dims.set_current_step(1, stop)
        assert f"tau2 = class {stop + 1} " in readout.text
    readout.let_go()

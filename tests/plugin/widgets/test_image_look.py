import pytest

from napari_hypermol.plugin.widgets.image_look import ImageLook

pytestmark = pytest.mark.qt


def test_choices(qtbot):
    look = ImageLook()
    qtbot.addWidget(look)
    told = []
    look.changed.connect(lambda: told.append((look.correction, look.resolution)))
    assert (look.correction, look.resolution, look.with_prediction) == ("none", 0.0, False)
    look.kind.setCurrentIndex(2)
    look.low_pass.setValue(20)
    assert told == [("wiener", 0.0), ("wiener", 20.0)]
    assert look.low_pass.text() == "20 Å"
    look.low_pass.setValue(0)
    assert look.low_pass.text() == "off"
    look.allow(has_layer=True, has_ctf=False, has_run=True)
    assert not look.kind.isEnabled()
    assert "no CTF" in look.kind.toolTip()
    look.prediction.setChecked(True)
    assert look.with_prediction
    look.allow(has_layer=True, has_ctf=True, has_run=False)
    assert not look.with_prediction

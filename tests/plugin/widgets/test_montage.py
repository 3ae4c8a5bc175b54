import numpy as np
import pytest

from napari_hypermol.plugin.widgets.montage import Montage, Picture

pytestmark = pytest.mark.qt


def test_pictures_scale_with_the_page(qtbot):
    montage = Montage()
    qtbot.addWidget(montage)
    image = np.arange(64.0).reshape(8, 8)
    row = [Picture(image, None, "one"), Picture(image, (0, 1), "two")]
    montage.show_rows(["a", "b"], [("first", row), ("", row)])
    assert montage.captions == ["first"]
    montage.resize(150, 300)
    montage.show()
    edges = {p.pixmap().width() for p in montage._pictures}
    assert edges == {150 // 2 - 3}
    assert [p.accessibleName() for p in montage._pictures] == ["one", "two"] * 2
    montage.show_rows([], [])
    assert montage.captions == []


def test_grey_range(qtbot):
    montage = Montage()
    qtbot.addWidget(montage)
    image = np.array([[0.0, 1.0], [2.0, 3.0]])
    montage.show_rows(["a"], [("", [Picture(image, (0.0, 2.0))])])
    whole = montage._pictures[0]._whole.toImage()
    grey = [whole.pixelColor(x, y).red() for y in (0, 1) for x in (0, 1)]
    assert grey == [0, 127, 255, 255]

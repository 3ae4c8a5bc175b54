import pytest

from napari_hypermol.plugin.widgets.fold import Fold

pytestmark = pytest.mark.qt


def test_fold(qtbot):
    from qtpy.QtWidgets import QLabel

    part = QLabel("inside")
    fold = Fold("Title", part)
    qtbot.addWidget(fold)
    assert part.isHidden()
    fold.button.click()
    assert fold.is_open
    assert not part.isHidden()
    fold.is_open = False
    assert part.isHidden()

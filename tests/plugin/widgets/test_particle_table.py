import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt

from napari_hypermol.plugin.widgets.particle_table import ParticleModel, ParticleTable

pytestmark = pytest.mark.qt
DOWN, TICK = Qt.SortOrder.DescendingOrder, Qt.ItemDataRole.CheckStateRole


def table(n=5):
    names = [f"{i + 1:03d}@b.mrcs" for i in range(n)]
    return pd.DataFrame(
        {"rlnImageName": names[::-1], "rlnDefocusU": [str(9.5 + i % 3) for i in range(n)]}
    )


@pytest.fixture
def view(qtbot):
    widget = ParticleTable()
    qtbot.addWidget(widget)
    widget.fill(table(), np.ones(5, dtype=bool))
    return widget


def text(model, row, column):
    return model.data(model.index(row, column))


def test_cells_and_names(view):
    model = view.particles
    assert (model.rowCount(), model.columnCount()) == (5, 4)
    assert [text(model, 1, c) for c in (0, 2, 3)] == ["2", "004@b.mrcs", "10.5"]
    heads = [model.headerData(c, Qt.Orientation.Horizontal) for c in range(4)]
    assert heads == ["#", "keep", "ImageName", "DefocusU"]
    tip = model.headerData(3, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
    assert tip == "rlnDefocusU"


def test_sorting_by_number_text_and_tick(view):
    model = view.particles
    model.sort(3)  # 9.5 before 10.5: numbers, not text
    assert model.order.tolist() == [0, 3, 1, 4, 2]
    model.sort(3, DOWN)
    assert model.order.tolist() == [2, 4, 1, 3, 0]
    model.sort(2)
    assert model.order.tolist() == [4, 3, 2, 1, 0]
    model.keep(np.array([2]), False)
    model.sort(1)
    assert model.order[0] == 2
    model.show_only(np.array([True, False, True, False, True]))
    assert model.order.tolist() == [2, 0, 4]
    model.show_only(None)
    assert len(model.order) == 5


def test_ticks(view, qtbot):
    model = view.particles
    with qtbot.waitSignal(model.kept_changed):
        assert model.setData(model.index(3, 1), Qt.CheckState.Unchecked.value, TICK)
    assert model.kept.tolist() == [True, True, True, False, True]
    assert model.data(model.index(3, 1), TICK) == Qt.CheckState.Unchecked
    assert model.data(model.index(3, 2), Qt.ItemDataRole.FontRole).strikeOut()
    assert model.data(model.index(2, 2), Qt.ItemDataRole.FontRole) is None
    assert not model.setData(model.index(3, 2), "x")


def test_current_and_chosen_are_rows_of_the_file(view, qtbot):
    view.particles.sort(2)
    with qtbot.waitSignal(view.current_changed) as seen:
        view.selectRow(0)
    assert seen.args == [4]
    view.selectAll()
    assert sorted(view.chosen().tolist()) == [0, 1, 2, 3, 4]
    told = []
    view.current_changed.connect(told.append)
    view.go_to(3)
    assert view.currentIndex().row() == 1
    assert view.chosen().tolist() == [3]
    view.particles.show_only(np.array([True] + [False] * 4))
    view.go_to(3)  # not shown
    assert told == []


def test_many_rows(qtbot):
    """Sorting 100,000 rows touches no cell one by one."""
    model = ParticleModel()
    model.show(table(100_000), np.ones(100_000, dtype=bool))
    model.sort(3, DOWN)
    assert text(model, 0, 3) == "11.5"
    model.sort(2)
    assert text(model, 0, 2) == "001@b.mrcs"

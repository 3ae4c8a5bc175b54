"""The particle table as the file has it, sortable, with a tick for those that are kept.

Cells are made when they come into sight, so a table of 100,000 rows opens at once.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QAbstractTableModel, QItemSelectionModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QFont
from qtpy.QtWidgets import QAbstractItemView, QTableView

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io.star import numeric

__all__ = ["ParticleModel", "ParticleTable"]

_FIRST = 2  # columns of ours: number, kept or not
_Role = Qt.ItemDataRole
_NOWHERE = QModelIndex()


class ParticleModel(QAbstractTableModel):
    """Particles in some order, all or some of them; `kept` (n,) is shared with the page."""

    kept_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.table = pd.DataFrame()
        self.kept: NDArray[np.bool_] = np.ones(0, dtype=bool)
        self.order: NDArray[np.int64] = np.arange(0)
        self._shown: NDArray[np.bool_] | None = None
        self._sorted = (0, Qt.SortOrder.AscendingOrder)

    def show(self, table: pd.DataFrame, kept: NDArray[np.bool_]) -> None:
        """Another table."""
        self.beginResetModel()
        self.table, self.kept, self._shown = table, kept, None
        self._sorted, self.order = (0, Qt.SortOrder.AscendingOrder), np.arange(len(table))
        self.endResetModel()

    def show_only(self, mask: NDArray[np.bool_] | None) -> None:
        """Some of its rows; None: all."""
        self._shown = mask
        self.sort(*self._sorted)

    def rowCount(self, parent: QModelIndex = _NOWHERE) -> int:
        """Particles shown."""
        return 0 if parent.isValid() else len(self.order)

    def columnCount(self, parent: QModelIndex = _NOWHERE) -> int:
        """Columns of the file and two more."""
        return 0 if parent.isValid() else _FIRST + len(self.table.columns)

    def data(self, index: QModelIndex, role: int = _Role.DisplayRole) -> Any:
        """One cell."""
        row, column = int(self.order[index.row()]), index.column()
        if column == 1:
            if role == _Role.CheckStateRole:
                return Qt.CheckState.Checked if self.kept[row] else Qt.CheckState.Unchecked
            return None
        if role == _Role.DisplayRole:
            return f"{row + 1}" if column == 0 else str(self.table.iat[row, column - _FIRST])
        if role == _Role.FontRole and not self.kept[row]:
            font = QFont()
            font.setStrikeOut(True)
            return font
        return None

    def flags(self, index: QModelIndex) -> Any:
        """Ticks can be set."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return flags | Qt.ItemFlag.ItemIsUserCheckable if index.column() == 1 else flags

    def setData(self, index: QModelIndex, value: Any, role: int = _Role.EditRole) -> bool:
        """A tick was set or taken away."""
        if role != _Role.CheckStateRole or index.column() != 1:
            return False
        is_kept = Qt.CheckState(value) == Qt.CheckState.Checked
        self.keep(self.order[[index.row()]], is_kept)
        return True

    def keep(self, rows: NDArray[Any], is_kept: bool) -> None:
        """Keep particles, or leave them out; rows of the file, or a mask."""
        self.kept[rows] = is_kept
        if len(self.order):
            last = self.index(len(self.order) - 1, self.columnCount() - 1)
            self.dataChanged.emit(self.index(0, 0), last)
        self.kept_changed.emit()

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = _Role.DisplayRole
    ) -> Any:
        """Names without RELION's prefix; the whole name as a tip."""
        if orientation != Qt.Orientation.Horizontal or section >= self.columnCount():
            return None
        names = ["#", "keep", *self.table.columns]
        if role == _Role.DisplayRole:
            return names[section].removeprefix("rln").removeprefix("hypermol")
        return names[section] if role == _Role.ToolTipRole else None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """By number where a column holds numbers, else by text; ties in the file's order."""
        if column < 0:
            return
        self.layoutAboutToBeChanged.emit()
        self._sorted = column, order
        ranks = np.arange(len(self.table))
        if column == 1:
            ranks = np.argsort(self.kept, kind="stable")
        elif column >= _FIRST and len(self.table):
            ranks = _ranks(self.table, column - _FIRST)
        if order == Qt.SortOrder.DescendingOrder:
            ranks = ranks[::-1]
        self.order = ranks if self._shown is None else ranks[self._shown[ranks]]
        self.layoutChanged.emit()

    def place_of(self, row: int) -> int | None:
        """Where a particle stands in the order shown."""
        found = np.flatnonzero(self.order == row)
        return int(found[0]) if len(found) else None


def _ranks(table: pd.DataFrame, column: int) -> NDArray[np.int64]:
    """Rows in the order of a column's numbers, or of its text."""
    try:
        return np.argsort(numeric(table, str(table.columns[column]), ""), kind="stable")
    except ParticleFileError:
        return np.asarray(table.iloc[:, column].array.argsort(kind="stable"))


class ParticleTable(QTableView):
    """The view: a current particle, and any number that are selected.

    Signals: `current_changed` (row of the file), `chosen_changed` (rows of the file).
    """

    current_changed = Signal(int)
    chosen_changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.particles = ParticleModel()
        self.setModel(self.particles)
        self.setSortingEnabled(True)
        self.horizontalHeader().setSortIndicator(0, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTabKeyNavigation(False)  # Tab leaves the table
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 6)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setAccessibleName("Particles")
        self.selectionModel().currentRowChanged.connect(self._on_current)
        self.selectionModel().selectionChanged.connect(self._on_selected)

    def fill(self, table: pd.DataFrame, kept: NDArray[np.bool_]) -> None:
        """Another table."""
        self.particles.show(table, kept)
        self.setColumnWidth(0, self.fontMetrics().horizontalAdvance("0") * 9)
        self.setColumnWidth(1, self.fontMetrics().horizontalAdvance("keep") + 24)

    def go_to(self, row: int) -> None:
        """Make a particle the current one, without telling; nothing where it is not shown."""
        place = self.particles.place_of(row)
        if place is None or place == self.currentIndex().row():
            return
        selection = self.selectionModel()
        selection.blockSignals(True)
        flags = (
            QItemSelectionModel.SelectionFlag.ClearAndSelect
            | QItemSelectionModel.SelectionFlag.Rows
        )
        index = self.particles.index(place, 0)
        selection.setCurrentIndex(index, flags)
        selection.blockSignals(False)
        self.scrollTo(index)

    def show_current(self) -> None:
        """Scroll to the current particle."""
        if isalive(self) and self.currentIndex().isValid():
            self.scrollTo(self.currentIndex(), self.ScrollHint.PositionAtCenter)
        self.viewport().update()

    def chosen(self) -> NDArray[np.int64]:
        """Rows of the file that are selected."""
        ranges = self.selectionModel().selection()
        places = [np.arange(r.top(), r.bottom() + 1) for r in ranges]
        return self.particles.order[np.concatenate(places)] if places else np.arange(0)

    def _on_current(self, current: QModelIndex, previous: QModelIndex) -> None:
        if current.isValid():
            self.current_changed.emit(int(self.particles.order[current.row()]))

    def _on_selected(self, *_: Any) -> None:
        self.chosen_changed.emit(self.chosen())

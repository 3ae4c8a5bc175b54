"""A window that is closing while a run of its own is at work: ask, and only then act.

Public Qt only: an event filter on the main window hears of the closing before napari does, and of
the hiding that follows when nobody refused.
"""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QCheckBox, QMainWindow, QMessageBox, QWidget

from napari_hypermol.plugin.preferences import remember_closing

__all__ = ["ClosingWatch", "ask_about_run", "main_window_of"]


def main_window_of(widget: QWidget) -> QWidget | None:
    """The main window a widget is docked in; None before it is."""
    parent: Any = widget
    while parent is not None and not isinstance(parent, QMainWindow):
        parent = parent.parentWidget()
    return parent


class ClosingWatch(QObject):
    """Hears of a main window's closing.

    Parameters
    ----------
    window : QWidget
    may_close : callable
        Asked before the window closes; False keeps it open.
    on_closed : callable
        Called once it does.
    """

    def __init__(
        self, window: QWidget, may_close: Callable[[], bool], on_closed: Callable[[], None]
    ) -> None:
        super().__init__()
        self._window: QWidget | None = window
        self._may_close = may_close
        self._on_closed = on_closed
        self._is_closing = False
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Refuse a closing, or note it."""
        if event.type() == QEvent.Type.Close:
            if not self._may_close():
                event.ignore()
                return True
            self._is_closing = True
        elif event.type() == QEvent.Type.Hide and self._is_closing:
            self._is_closing = False
            self._on_closed()
        return False

    def let_go(self) -> None:
        """Hear no more."""
        if self._window is not None:
            self._window.removeEventFilter(self)
        self._window = None


def ask_about_run(parent: QWidget, name: str) -> str | None:
    """Ask what becomes of a run: 'stop', 'leave', or None to keep the window open."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("A run is at work")
    box.setText(f"The run {name} is at work.")
    box.setInformativeText(
        "Stopped, it keeps its last stage and can be resumed. Left running, it goes on without "
        "this window; open its folder to follow it again."
    )
    stop = box.addButton("&Stop it", QMessageBox.ButtonRole.DestructiveRole)
    leave = box.addButton("&Leave it running", QMessageBox.ButtonRole.AcceptRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(leave)
    always = QCheckBox("Do this &always (see Plugin Preferences, Hyper-molecules)")
    box.setCheckBox(always)
    box.exec()
    choice = {stop: "stop", leave: "leave"}.get(box.clickedButton())
    if choice is not None and always.isChecked():
        remember_closing(choice)
    return choice

"""The guide in a window of its own: it comes with the package, so help needs no network."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QUrl
from qtpy.QtWidgets import QTextBrowser, QVBoxLayout, QWidget

__all__ = ["GuideWindow", "guide_path", "show_guide"]

_SIZE = (760, 820)


def guide_path(page: str) -> Path:
    """The file of a page of the guide, such as ``states.md``.

    It lies in the package, or in the checkout that an editable install runs from.
    """
    package = Path(str(files("napari_hypermol")))
    installed = package / "docs"
    docs = installed if installed.is_dir() else package.parents[1] / "docs"
    return docs / "guide" / page


class GuideWindow(QWidget):
    """A browser of the guide; links between its pages work.

    Parameters
    ----------
    parent : QWidget
        It closes with it.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setWindowTitle("Hyper-molecules: guide")
        self.browser = QTextBrowser()
        self.browser.setOpenExternalLinks(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.browser)
        self.resize(*_SIZE)

    def open(self, page: str) -> None:
        """Show a page."""
        self.browser.setSource(QUrl.fromLocalFile(str(guide_path(page))))


def show_guide(page: str, parent: QWidget) -> GuideWindow:
    """Open a page of the guide, in the window that is open already if there is one."""
    top: Any = parent.window()
    window = top.findChild(GuideWindow) or GuideWindow(top)
    window.open(page)
    window.show()
    window.raise_()
    return window

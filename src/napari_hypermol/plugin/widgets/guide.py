"""The guide in a window of its own: it comes with the package, so help needs no network."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QColor, QImage, QPalette, QTextDocument
from qtpy.QtWidgets import QPushButton, QTextBrowser, QVBoxLayout, QWidget

__all__ = ["GuideWindow", "guide_path", "show_guide"]

_SIZE = (760, 820)
_PICTURE = 690  # [px]
_LINK = "#4a90d9"  # to be read on dark and on light


def guide_path(page: str) -> Path:
    """The file of a page of the guide, such as ``states.md``.

    It lies in the package, or in the checkout that an editable install runs from.
    """
    package = Path(str(files("napari_hypermol")))
    installed = package / "docs"
    docs = installed if installed.is_dir() else package.parents[1] / "docs"
    return docs / "guide" / page


class _Pages(QTextBrowser):
    """Its pictures fit into the window."""

    def loadResource(self, kind: int, name: QUrl) -> Any:
        """A page, or a picture no wider than the page."""
        found = super().loadResource(kind, name)
        if kind != int(QTextDocument.ResourceType.ImageResource.value):
            return found
        image = QImage(self.source().resolved(name).toLocalFile())
        if image.width() <= _PICTURE:
            return found if image.isNull() else image
        return image.scaledToWidth(_PICTURE, Qt.TransformationMode.SmoothTransformation)


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
        self.browser = _Pages()
        self.browser.setOpenExternalLinks(True)
        palette = self.browser.palette()
        palette.setColor(QPalette.ColorRole.Link, QColor(_LINK))
        self.browser.setPalette(palette)
        self.back = QPushButton("‹ &Back")
        self.back.setEnabled(False)
        self.back.clicked.connect(self.browser.backward)
        self.browser.backwardAvailable.connect(self.back.setEnabled)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.back, 0, Qt.AlignmentFlag.AlignLeft)
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

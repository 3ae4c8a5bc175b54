"""What every page of the studio has: a title, a scrolling body, a help button, an end."""

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_hypermol.plugin.session import Session
from napari_hypermol.plugin.widgets.guide import show_guide

__all__ = ["Page"]


class Page(QWidget):
    """One page of the studio; subclasses fill `body`.

    Parameters
    ----------
    viewer : napari Viewer
    session : Session

    Attributes
    ----------
    title : str
        On the tab.
    purpose : str
        One line under it: what this page is for.
    guide : str
        The page of the guide that its help button opens.
    body : QVBoxLayout
    """

    title = ""
    purpose = ""
    guide = "napari.md"

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__()
        self.viewer: Any = viewer  # None once the page has let go
        self.session = session
        inside = QWidget()
        self.body = QVBoxLayout(inside)
        self.body.setContentsMargins(8, 4, 8, 8)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(self._head())
        outer.addWidget(scroll, 1)

    def _head(self) -> QHBoxLayout:
        purpose = QLabel(self.purpose)
        purpose.setWordWrap(True)
        self.help_button = QToolButton()
        self.help_button.setText("?")
        self.help_button.setToolTip("What this page does, in the guide")
        self.help_button.setAccessibleName(f"Help on {self.title}")
        self.help_button.clicked.connect(self._on_help)
        head = QHBoxLayout()
        head.setContentsMargins(8, 6, 8, 2)
        head.addWidget(purpose, 1)
        head.addWidget(self.help_button, 0, Qt.AlignmentFlag.AlignTop)
        return head

    def _on_help(self) -> None:
        show_guide(self.guide, self)

    def on_front(self, is_front: bool) -> None:
        """The studio has turned to this page, or away from it."""

    def let_go(self) -> None:
        """Disconnect from the viewer and the session; called once, when the studio goes."""
        self.viewer = None

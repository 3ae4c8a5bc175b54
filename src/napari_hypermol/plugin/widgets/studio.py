"""The studio: say what moves, run, turn the knobs, pick particles; one page for each."""

from typing import Any
from weakref import WeakKeyDictionary, ref

from qtpy.compat import isalive
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_hypermol.plugin.session import Session, session_of
from napari_hypermol.plugin.widgets.check_page import CheckPage
from napari_hypermol.plugin.widgets.components import ComponentsPage
from napari_hypermol.plugin.widgets.page import Page
from napari_hypermol.plugin.widgets.particles_page import ParticlesPage
from napari_hypermol.plugin.widgets.priors import PriorsPage
from napari_hypermol.plugin.widgets.run import RunPage
from napari_hypermol.plugin.widgets.states_page import StatesPage

__all__ = ["PAGES", "Studio", "open_components", "open_page"]

PAGES: tuple[type[Page], ...] = (
    ParticlesPage,
    ComponentsPage,
    PriorsPage,
    RunPage,
    StatesPage,
    CheckPage,
)
_MIN_WIDTH = 360
# of every session, whoever opened it: napari's menu does so without us
_studios: "WeakKeyDictionary[Session, ref[Studio]]" = WeakKeyDictionary()
_DOCK = "Studio (Hyper-molecules)"  # as napari's own menu names it, so that there is one of them


class Studio(QWidget):
    """All pages, as tabs in the order in which they are needed.

    Parameters
    ----------
    viewer : napari Viewer
        The one it is docked in.

    Attributes
    ----------
    is_gone : bool
        Whether it was closed.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:  # noqa: F821
        super().__init__()
        self.session = session_of(viewer)
        self.pages = {page.title: page(viewer, self.session) for page in PAGES}
        self._tabs = QTabWidget()
        self._tabs.setDocumentMode(True)
        for title, page in self.pages.items():
            self._tabs.addTab(page, title)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._tabs)
        self.setMinimumWidth(_MIN_WIDTH)
        self._tabs.currentChanged.connect(self._on_turned)
        self._on_turned()
        self.is_gone = False
        _studios[self.session] = ref(self)

    def turn_to(self, title: str) -> Page:
        """Show a page."""
        page = self.pages[title]
        self._tabs.setCurrentWidget(page)
        return page

    def _on_turned(self, index: int = 0) -> None:
        """Away from one page first, then to the other."""
        front = self._tabs.currentWidget()
        for page in sorted(self.pages.values(), key=lambda page: page is front):
            page.on_front(page is front)

    def closeEvent(self, event: Any) -> None:
        """Let go of the viewer, page by page."""
        if not self.is_gone:
            self.is_gone = True
            for page in self.pages.values():
                page.let_go()
        super().closeEvent(event)


def open_page(viewer: Any, title: str) -> Studio:
    """Dock the studio, unless it is there, and show one of its pages."""
    known = _studios.get(session_of(viewer))
    studio = None if known is None else known()
    if studio is None or not isalive(studio) or studio.is_gone:
        studio = Studio(viewer)
        viewer.window.add_dock_widget(studio, name=_DOCK, area="right")
    dock = studio.parentWidget()
    dock.show()
    dock.raise_()
    studio.turn_to(title)
    return studio


def open_components(viewer: "napari.viewer.Viewer") -> None:  # noqa: F821
    """Menu command: the page on which masks are made."""
    open_page(viewer, "Components")

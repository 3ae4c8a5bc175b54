"""The States page: browse, select and export the states of a run."""

from typing import Any

from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_hypermol.plugin.browser import Browser
from napari_hypermol.plugin.opening import ask_for_run, open_run
from napari_hypermol.plugin.session import Session
from napari_hypermol.plugin.widgets.compare_states import ComparePart
from napari_hypermol.plugin.widgets.fold import Fold
from napari_hypermol.plugin.widgets.image_strip import ImageStrip
from napari_hypermol.plugin.widgets.landscape_panel import LandscapePanel
from napari_hypermol.plugin.widgets.page import Page
from napari_hypermol.plugin.widgets.selection import SelectionPart
from napari_hypermol.plugin.widgets.state_path import StatePathPart
from napari_hypermol.plugin.widgets.states import StateReadout
from napari_hypermol.plugin.widgets.uncertainty import UncertaintyPart

__all__ = ["StatesPage"]

_NO_RUN = "Open a run, or make one, to browse its states."
_READING = "Reading the run…"
_RIGID = "This molecule is rigid: it has no states to browse. Its one map is on the screen."
_NOT_YET = "The states of this run have not begun: its first stages are rigid."


class StatesPage(Page):
    """Landscape, readout, and what can be done with a state, in groups that fold away.

    Parameters
    ----------
    viewer : napari Viewer
    session : Session
    """

    title = "States"
    purpose = "Turn the knobs, pick particles, export."
    guide = "browsing.md"

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__(viewer, session)
        self.browser = Browser(viewer, session)
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.open_button = QPushButton("Open a r&un…")
        self.open_button.clicked.connect(self._on_open)
        self.show_button = QPushButton("Show the &molecule")
        self.show_button.clicked.connect(self._on_show)
        self.readout = StateReadout(viewer)
        self.panel = LandscapePanel(self.browser)
        self.selection = SelectionPart(self.browser)
        self.path = StatePathPart(self.browser, self.panel)
        self.strip = ImageStrip(self.browser)
        self.uncertainty = UncertaintyPart(self.browser, self.panel)
        self.compare = ComparePart(self.browser)
        self._groups = QWidget()
        groups = QVBoxLayout(self._groups)
        groups.setContentsMargins(0, 0, 0, 0)
        groups.setSpacing(2)
        self.groups = {
            title: Fold(title, part)
            for title, part in (
                ("Select and save", self.selection),
                ("Play and export", self.path),
                ("Particles here", self.strip),
                ("How sure", self.uncertainty),
                ("Compare two states", self.compare),
            )
        }
        for group in self.groups.values():
            groups.addWidget(group)
        self.groups["Select and save"].is_open = True
        for part in (
            self.hint, self.open_button, self.show_button, self.readout, self.panel, self._groups,
        ):  # fmt: skip
            self.body.addWidget(part)
        self.body.addStretch(1)
        self.browser.read.connect(self._on_read)
        self.browser.layer_changed.connect(self._on_layer)
        self.destroyed.connect(self.browser.let_go)  # however the page goes
        self._on_read()
        self._on_layer()

    def _on_read(self) -> None:
        browser = self.browser
        browsed = browser.browsed
        has_states = browsed is not None and browsed.has_states
        if browser.problem:
            text = browser.problem
        elif browser.is_reading:
            text = _READING
        elif browsed is None:
            text = _NO_RUN
        elif not browsed.axes:
            text = _RIGID
        else:
            text = "" if has_states else _NOT_YET
        self.hint.setText(text)
        self.hint.setVisible(bool(text))
        self.open_button.setVisible(self.session.run is None)
        for part in (self.panel, self._groups):
            part.setVisible(has_states)
        self._on_layer()

    def _on_layer(self) -> None:
        layer, has_run = self.browser.layer, self.browser.browsed is not None
        self.show_button.setVisible(has_run and layer is None)
        self.readout.follow(layer)
        self.readout.setVisible(layer is not None)

    def _on_open(self) -> None:
        ask_for_run(self.viewer)

    def _on_show(self) -> None:
        if self.session.run is not None:
            open_run(self.viewer, self.session.run.path)

    def let_go(self) -> None:
        """Disconnect everything."""
        if self.viewer is None:
            return
        for part in (self.path, self.strip, self.uncertainty, self.compare, self.selection):
            part.let_go()
        self.panel.let_go()
        self.readout.let_go()
        self.browser.let_go()
        super().let_go()


def open_states(viewer: "napari.viewer.Viewer") -> None:  # noqa: F821
    """Menu command: the studio at this page."""
    from napari_hypermol.plugin.widgets.studio import open_page

    open_page(viewer, StatesPage.title)

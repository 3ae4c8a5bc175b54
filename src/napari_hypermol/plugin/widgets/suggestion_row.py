"""Components that a run suggests, waiting to be accepted: a layer to be painted on, two buttons."""

from typing import Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from napari_hypermol.plugin.viewing import hypermol_of
from napari_hypermol.runs.suggest import Suggestion

__all__ = ["SuggestionRow"]

_KIND = "suggestion"


class SuggestionRow(QWidget):
    """Shown while a suggestion waits.

    Parameters
    ----------
    viewer : napari Viewer

    Attributes
    ----------
    accepted : Signal(object, dict)
        The layer, and the names of its labels.
    ended : Signal()
        Nothing waits any more.
    """

    accepted = Signal(object, dict)
    ended = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.use_button, self.discard_button = QPushButton("Use &these"), QPushButton("Discard")
        self.use_button.clicked.connect(self._on_use)
        self.discard_button.clicked.connect(self.discard)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.words, 1)
        row.addWidget(self.use_button)
        row.addWidget(self.discard_button)
        self.hide()
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def layer(self) -> Any:
        """The suggestion's; None while there is none."""
        found = [x for x in self._viewer.layers if hypermol_of(x, _KIND) is not None]
        return found[0] if found else None

    def offer(self, layer: Any, suggestion: Suggestion) -> None:
        """Make a Labels layer the suggestion."""
        n = len(suggestion.names) - (1 in suggestion.names)
        facts = hypermol_of(layer)
        facts["kind"], facts["suggested"] = _KIND, suggestion.names
        what = "one region moves" if n == 1 else f"{n} regions move"
        self.words.setText(f"{what}; paint to change them, then:")
        self.show()

    def take(self, layer: Any) -> None:
        """It is a mask like any other from now on."""
        facts = hypermol_of(layer)
        facts["kind"] = "mask"
        facts["names"] = dict(facts.pop("suggested"))
        self.hide()
        self.ended.emit()

    def discard(self, *_: Any) -> None:
        """Take it away again."""
        if self._viewer is None:
            return
        self.hide()
        if (layer := self.layer) is not None:
            self._viewer.layers.remove(layer)
        self.ended.emit()

    def _on_removed(self, event: Any = None) -> None:
        if not self.isHidden() and self.layer is None:
            QTimer.singleShot(0, self.discard)  # napari is still in the middle of it

    def _on_use(self) -> None:
        if (layer := self.layer) is None:
            self.hide()
        else:
            self.accepted.emit(layer, dict(hypermol_of(layer)["suggested"]))

    def let_go(self) -> None:
        """Forget the viewer."""
        self.hide()
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer = None

"""Along an axis or a drawn path: play it, save its maps, save a movie of it."""

from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import show_error, show_info
from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_hypermol.errors import HypermolError
from napari_hypermol.io.movie import write_movie
from napari_hypermol.plugin.browser import Browser
from napari_hypermol.plugin.movie_frames import MovieFrames
from napari_hypermol.plugin.widgets.landscape_panel import LandscapePanel
from napari_hypermol.runs.series import write_series
from napari_hypermol.runs.state_axes import shown_states
from napari_hypermol.runs.state_paths import path_length, states_along

__all__ = ["StatePathPart"]

_DRAWN = "the drawn path"
_SPACINGS = {"evenly": "length", "equal numbers of particles": "particles"}
_SPIN_WIDTH = 84  # [px]; napari gives its buttons much room
_REPEATS = ("to and fro", "round and round", "once")


class StatePathPart(QWidget):
    """Plays and exports a row of states.

    Parameters
    ----------
    browser : Browser
    panel : LandscapePanel
        Where the path is drawn.
    """

    def __init__(self, browser: Browser, panel: LandscapePanel) -> None:
        super().__init__()
        self._browser, self._panel = browser, panel
        self._states: NDArray[np.float64] = np.zeros((0, 0))
        self._at, self._step = 0, 1
        self._frames: MovieFrames | None = None
        self._out: Path | None = None
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._on_turn)
        self._build()
        browser.read.connect(self._on_read)
        browser.layer_changed.connect(self._on_layer)
        panel.path_changed.connect(self._on_path)
        self._on_read()
        self._on_layer()

    def _build(self) -> None:
        self.along, self.spacing, self.repeat = QComboBox(), QComboBox(), QComboBox()
        self.along.currentIndexChanged.connect(self._on_along)
        self.spacing.addItems(list(_SPACINGS))
        self.spacing.setToolTip(
            "Evenly by length, or so that as many particles lie between one map and the next"
        )
        self.repeat.addItems(_REPEATS)
        self.maps, self.speed = QSpinBox(), QSpinBox()
        self.maps.setRange(2, 500)
        self.maps.setValue(20)
        self.speed.setRange(1, 30)
        self.speed.setValue(8)
        self.speed.setSuffix(" / s")
        self.speed.valueChanged.connect(self._on_speed)
        self.play_button = QPushButton("&Play")
        self.play_button.clicked.connect(self._on_play)
        self.clear_button = QPushButton("Clear pa&th")
        self.clear_button.clicked.connect(self._on_clear)
        self.save_button = QPushButton("Save &maps…")
        self.save_button.setToolTip("An MRC series and a script that plays it in ChimeraX")
        self.save_button.clicked.connect(self._on_save)
        self.movie_button = QPushButton("Save m&ovie…")
        self.movie_button.setToolTip("MP4 or GIF of the molecule as the viewer shows it now")
        self.movie_button.clicked.connect(self._on_movie)
        self.note = QLabel()
        self.note.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._form())
        for row in ((self.play_button, self.clear_button), (self.save_button, self.movie_button)):
            buttons = QHBoxLayout()
            for button in row:
                buttons.addWidget(button)
            layout.addLayout(buttons)
        layout.addWidget(self.note)

    def _form(self) -> QGridLayout:
        grid = QGridLayout()
        rows = (
            (("Along", self.along),),
            (("Spaced", self.spacing),),
            (("Maps", self.maps), ("Speed", self.speed)),
            (("Repeat", self.repeat),),
        )
        for row, fields in enumerate(rows):
            for column, (text, field) in enumerate(fields):
                label = QLabel(text)
                label.setBuddy(field)
                field.setAccessibleName(text)
                grid.addWidget(label, row, 2 * column)
                span = 3 if len(fields) == 1 else 1
                grid.addWidget(field, row, 2 * column + 1, 1, span)
                if isinstance(field, QSpinBox):
                    field.setMaximumWidth(_SPIN_WIDTH)
        grid.setColumnStretch(1, 1)
        return grid

    # ---- what it goes along -------------------------------------------------------------------

    def _on_read(self) -> None:
        browsed = self._browser.browsed
        labels = [] if browsed is None else [axis.label for axis in browsed.axes]
        if [*labels, _DRAWN] != [self.along.itemText(i) for i in range(self.along.count())]:
            self._stop()
            self.along.clear()
            self.along.addItems([*labels, _DRAWN])

    def _on_layer(self) -> None:
        has_layer = self._browser.layer is not None
        self.play_button.setEnabled(has_layer)
        self.movie_button.setEnabled(has_layer)
        if not has_layer:
            self._stop()

    @property
    def is_path(self) -> bool:
        """Whether the drawn path is chosen."""
        return self.along.currentText() == _DRAWN

    def _on_path(self) -> None:
        self._stop()
        if len(self._panel.path) > 1:
            self.along.setCurrentText(_DRAWN)
        self._on_along()

    def _on_along(self, index: int = 0) -> None:
        self._stop()
        path = self._panel.path
        self.spacing.setEnabled(self.is_path)
        self.clear_button.setEnabled(bool(path))
        if self.is_path and len(path) < 2:
            self.note.setText("Choose <i>Draw path</i> and draw one in the landscape.")
        elif self.is_path:
            self.note.setText(f"The path is {path_length(path):.2f} long; a whole axis is 1.")
        else:
            self.note.setText("")
        self.note.setVisible(bool(self.note.text()))

    def _on_clear(self) -> None:
        self._panel.set_path([])

    def states(self) -> NDArray[np.float64]:
        """The row of states; (t, d).

        Raises
        ------
        HypermolError
            If there is no path, or it cannot be spaced so.
        """
        browsed, n = self._browser.browsed, self.maps.value()
        if browsed is None:
            raise HypermolError("no run is open; open one first")
        if not self.is_path:
            index = self.along.currentIndex()
            along = shown_states(browsed.axes[index], n)
            states = np.tile(self._browser.state, (len(along), 1))
            states[:, index] = along
            return states
        if len(self._panel.path) < 2:
            raise HypermolError("no path is drawn; choose Draw path and draw one")
        spacing: Any = _SPACINGS[self.spacing.currentText()]
        places = states_along(self._panel.path, n, spacing, self._panel.states)
        return np.array([self._panel.whole_state(tuple(place)) for place in places])

    def _wanted(self) -> NDArray[np.float64] | None:
        try:
            return self.states()
        except HypermolError as problem:
            show_error(str(problem))
            return None

    # ---- playing ------------------------------------------------------------------------------

    @property
    def is_playing(self) -> bool:
        """Whether the sliders move by themselves."""
        return bool(self._timer.isActive())

    def _on_play(self) -> None:
        if self.is_playing:
            self._stop()
            return
        states = self._wanted()
        if states is not None:
            self._states, self._at, self._step = states, 0, 1
            self.play_button.setText("Sto&p")
            self._timer.start(1000 // self.speed.value())

    def _stop(self) -> None:
        self._timer.stop()
        self.play_button.setText("&Play")

    def _on_speed(self, speed: int) -> None:
        self._timer.setInterval(1000 // speed)

    def _on_turn(self) -> None:
        self._browser.go_to(self._states[self._at])
        last = len(self._states) - 1
        if self.repeat.currentText() == "to and fro" and last > 0:
            if not 0 <= self._at + self._step <= last:
                self._step = -self._step
            self._at += self._step
        elif self._at < last:
            self._at += 1
        elif self.repeat.currentText() == "once":
            self._stop()
        else:
            self._at = 0

    # ---- saving -------------------------------------------------------------------------------

    def _on_save(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder for the maps")
        if folder:
            self.save_maps(Path(folder))

    @property
    def stem(self) -> str:
        """What the maps are called after."""
        index = self.along.currentIndex()
        return "path" if self.is_path else self._browser.browsed.axes[index].name

    def save_maps(self, folder: Path) -> None:
        """Write the maps; none that is there is replaced."""
        states, browsed = self._wanted(), self._browser.browsed
        if states is None or browsed is None:
            return
        kind = "interval" if self.is_path else browsed.axes[self.along.currentIndex()].kind
        run, self._out = browsed.run, folder
        work = (run.maps, states.tolist(), run.pixel_size, folder, self.stem, False, kind)
        self._browser.background.do("maps", write_series, work, self._on_saved, show_error)

    def _on_saved(self, paths: list[Path]) -> None:
        show_info(f"{len(paths)} maps and {self.stem}.cxc written to {self._out}")

    def _on_movie(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "Save a movie", f"{self.stem}.mp4", "MP4 (*.mp4);;GIF (*.gif)"
        )
        if name:
            self.save_movie(Path(name))

    def save_movie(self, out: Path) -> None:
        """Take the pictures, then write them; the file may exist, the dialog has asked."""
        states, browsed = self._wanted(), self._browser.browsed
        if states is None or browsed is None or self._browser.layer is None or self._frames:
            return
        self._stop()
        if self.repeat.currentText() == "to and fro":
            states = np.concatenate([states, states[-2:0:-1]])
        self._out = out
        self.movie_button.setEnabled(False)
        self._frames = MovieFrames(
            self._browser.viewer, self._browser.layer, browsed.run.maps, states,
            self._on_frame, self._on_frames,
        )  # fmt: skip

    def _on_frame(self, n: int) -> None:
        self.note.setText(f"Picture {n}…")
        self.note.setVisible(True)

    def _on_frames(self, frames: list[NDArray[np.uint8]] | None) -> None:
        self._frames = None
        self._on_along()
        self._on_layer()
        if frames is None:
            show_error("the molecule was removed while its movie was taken; nothing was written")
            return
        work = (self._out, frames, float(self.speed.value()), True)
        self._browser.background.do("movie", write_movie, work, self._on_filmed, show_error)

    def _on_filmed(self, nothing: None) -> None:
        show_info(f"movie written to {self._out}")

    def let_go(self) -> None:
        """Stop what is going on."""
        self._stop()
        if self._frames is not None:
            self._frames.stop()
            self._frames = None

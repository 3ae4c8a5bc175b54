"""The buttons of a run, how far it is, and what it says."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
)

from napari_hypermol.runs.follow import GONE, Look

__all__ = ["RunBox"]

_BAR_STEPS = 1000
_TITLES = {
    "starting": "Starting",
    "reading": "Reading",
    "running": "At work",
    "paused": "Paused",
    "stopping": "Stopping",
    "done": "Done",
    "stopped": "Stopped",
    "failed": "Failed",
    GONE: "Interrupted",
}


class RunBox(QGroupBox):
    """Shows one run; who owns it connects the buttons."""

    def __init__(self) -> None:
        super().__init__("Run")
        self.start = _button("Star&t", "Start a run in the folder above")
        self.pause = _button("Pa&use", "Wait without using the processor")
        self.stop = _button("St&op", "Stop; the last stage is kept")
        self.resume = _button("&Resume", "Go on with the run that is open, after its last stage")
        self.follow = _button("Follow a ru&n…", "Watch a run of this machine or of a cluster")
        self.bar = QProgressBar()
        self.bar.setRange(0, _BAR_STEPS)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of the run")
        self.time_left = QLabel("")
        self.status = QLabel("No run yet.")
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.status.setAccessibleName("What the run does")
        buttons = QGridLayout()
        buttons.addWidget(self.start, 0, 0)
        buttons.addWidget(self.pause, 0, 1)
        buttons.addWidget(self.stop, 0, 2)
        buttons.addWidget(self.resume, 1, 0)
        buttons.addWidget(self.follow, 1, 1, 1, 2)
        bar = QHBoxLayout()
        bar.addWidget(self.bar, 1)
        bar.addWidget(self.time_left)
        layout = QVBoxLayout(self)
        layout.addLayout(buttons)
        layout.addLayout(bar)
        layout.addWidget(self.status)

    def begin(self, name: str) -> None:
        """Another run."""
        self.setTitle(name)
        self.bar.setValue(0)

    def say(self, text: str) -> None:
        """A sentence under the bar."""
        self.status.setText(text)

    def show_look(self, look: Look) -> None:
        """How far a run is and what it says."""
        self.bar.setValue(round(look.fraction * _BAR_STEPS))
        left = look.seconds_left
        self.time_left.setText("" if left is None else f"{_duration(left)} left")
        title = _TITLES.get(look.phase, look.phase)
        message = look.message
        is_said = message.lower().startswith(title.lower())
        # not capitalize(), which writes Å and GiB small
        self.say(message[:1].upper() + message[1:] if is_said else f"{title}: {message}")

    def allow(self, phase: str, is_own: bool, has_run: bool) -> None:
        """What can be asked for now.

        Parameters
        ----------
        phase : str
            Of the run that is followed; empty where none is alive.
        is_own : bool
            Whether a process of this window is at work.
        has_run : bool
            Whether there is a run that could be resumed.
        """
        is_told = bool(phase) and phase not in ("starting", "stopping")
        self.start.setEnabled(not is_own)
        self.pause.setEnabled(is_told)
        self.pause.setText("&Continue" if phase == "paused" else "Pa&use")
        self.stop.setEnabled(is_told or (is_own and phase == "starting"))
        self.resume.setEnabled(has_run and not phase and not is_own)
        if not phase:
            self.time_left.setText("")


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _duration(seconds: float) -> str:
    """Seconds, minutes or hours, to what a person wants to know."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"

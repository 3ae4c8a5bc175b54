"""The Run widget: particles and a recipe in, the molecule appearing while it is computed.

It shows and sets; what was asked for is in `forms`, the run is in `live`.
"""

from pathlib import Path
from typing import Any

from napari.utils import progress
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
)

from napari_hypermol.errors import HypermolError, RunCancelled
from napari_hypermol.plugin.forms import DEFAULT_DEGREE, RunForm, free_folder
from napari_hypermol.plugin.layers import maps_layer, run_layer
from napari_hypermol.plugin.live import LiveRun, Outcome, Update
from napari_hypermol.plugin.molecule_layer import MoleculeLayer
from napari_hypermol.plugin.preferences import preferences
from napari_hypermol.plugin.session import Session
from napari_hypermol.plugin.viewing import (
    camera_of,
    hypermol_of,
    is_chimerax_handed,
    set_chimerax_handed,
    states_shown,
)
from napari_hypermol.plugin.widgets.page import Page
from napari_hypermol.plugin.widgets.path_field import PathField
from napari_hypermol.plugin.widgets.states import StateReadout

__all__ = ["RunPage"]

_NO_RECIPE = "one ball, one state"
_BAR_STEPS = 1000


class RunPage(Page):
    """Choose particles and a recipe, run, watch, turn the knobs.

    Parameters
    ----------
    viewer : napari Viewer
    session : Session
    """

    title = "Run"
    purpose = "Recover the molecule, and watch it appear."
    guide = "napari.md"

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__(viewer, session)
        self._live: LiveRun | None = None
        self._molecule = MoleculeLayer()
        self._out: Path | None = None
        self._activity: Any = None
        self._build()
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.dims.events.point.connect(self._on_point)
        camera_of(viewer).events.orientation.connect(self._on_orientation)
        for layer in viewer.layers:
            self._adopt(layer)
        self._on_orientation()

    # ---- the window ---------------------------------------------------------------------------

    def _build(self) -> None:
        self.body.addWidget(self._input_group())
        self.body.addWidget(self._run_group())
        self.body.addWidget(self._view_group())
        self.body.addStretch(1)

    def _input_group(self) -> QGroupBox:
        self.particles = PathField(
            "Choose particles", "Particles (*.star *.cs)", ".star or .cs file"
        )
        self.recipe = PathField("Choose a recipe", "Recipes (*.yaml *.yml)", _NO_RECIPE)
        self.degree = QSpinBox()
        self.degree.setRange(0, 12)
        self.degree.setValue(DEFAULT_DEGREE)
        self.degree.setToolTip("How finely the molecule may change along its state; 0: rigid")
        self.out = PathField("Name the run's folder", None, "a new folder")
        self.seed = QSpinBox()
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setToolTip("The same seed gives the same run")
        self.particles.changed.connect(self._on_particles)
        self.recipe.changed.connect(self._on_recipe)
        group = QGroupBox("Molecule")
        form = QFormLayout(group)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Particles", self.particles)
        form.addRow("Recipe", self.recipe)
        form.addRow("Degree", self.degree)
        form.addRow("Run folder", self.out)
        form.addRow("Seed", self.seed)
        return group

    def _run_group(self) -> QGroupBox:
        self.start_button = QPushButton("Run")
        self.start_button.clicked.connect(self._on_start)
        self.stop_button = QPushButton("Stop")
        self.stop_button.setEnabled(False)
        self.stop_button.clicked.connect(self._on_stop)
        self.bar = QProgressBar()
        self.bar.setRange(0, _BAR_STEPS)
        self.bar.setTextVisible(False)
        self.time_left = QLabel("")
        self.status = QLabel("Ready.")
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        buttons = QHBoxLayout()
        buttons.addWidget(self.start_button, 2)
        buttons.addWidget(self.stop_button, 1)
        bar = QHBoxLayout()
        bar.addWidget(self.bar, 1)
        bar.addWidget(self.time_left)
        group = QGroupBox("Run")
        layout = QVBoxLayout(group)
        layout.addLayout(buttons)
        layout.addLayout(bar)
        layout.addWidget(self.status)
        return group

    def _view_group(self) -> QGroupBox:
        self.readout = StateReadout(self.viewer)
        self.handedness = QCheckBox("ChimeraX handedness")
        self.handedness.setToolTip(
            "y upwards, as in ChimeraX and IMOD. Without it napari shows maps mirrored. "
            "The data stay as they are."
        )
        self.handedness.toggled.connect(self._on_handedness)
        group = QGroupBox("State on the screen")
        layout = QVBoxLayout(group)
        layout.addWidget(self.readout)
        layout.addWidget(self.handedness)
        return group

    # ---- the form -----------------------------------------------------------------------------

    @property
    def form(self) -> RunForm:
        """The fields as they are."""
        return RunForm(
            particles=self.particles.text,
            recipe=self.recipe.text,
            out=self.out.text,
            degree=self.degree.value(),
            seed=self.seed.value(),
        )

    def _on_particles(self, text: str) -> None:
        if text and Path(text).expanduser().is_file():
            self.out.text = str(free_folder(text))

    def _on_recipe(self, text: str) -> None:
        self.degree.setEnabled(not text)

    # ---- the viewer ---------------------------------------------------------------------------

    def _on_inserted(self, event: Any) -> None:
        self._adopt(event.value)

    def _adopt(self, layer: Any) -> None:
        """Take note of a layer that the plugin made."""
        facts = hypermol_of(layer)
        if facts is None:
            return
        if facts.get("particles") and not self.particles.text:
            self.particles.text = facts["particles"]
            self.recipe.text = facts.get("recipe", "")
        if facts.get("kind") == "states":
            set_chimerax_handed(self.viewer, preferences().is_chimerax_handed)
            self.readout.follow(layer)

    def _on_removed(self, event: Any) -> None:
        others = [x for x in self.viewer.layers if hypermol_of(x, "states") is not None]
        self.readout.follow(others[-1] if others else None)

    def _on_point(self, event: Any = None) -> None:
        if self._live is not None and self._molecule.layer is not None:
            shown = states_shown(self.viewer, self._molecule.layer)
            self._live.states = tuple(shown.values())

    def _on_orientation(self, event: Any = None) -> None:
        self.handedness.blockSignals(True)
        self.handedness.setChecked(is_chimerax_handed(self.viewer))
        self.handedness.blockSignals(False)

    def _on_handedness(self, is_wanted: bool) -> None:
        set_chimerax_handed(self.viewer, is_wanted)

    # ---- the run ------------------------------------------------------------------------------

    def _on_start(self) -> None:
        if self._live is not None:
            return
        form = self.form
        try:
            form.check()
        except HypermolError as problem:
            self._say(str(problem))
            show_error(str(problem))
            return
        self._out, self._molecule = Path(form.out).expanduser(), MoleculeLayer()
        self._live = LiveRun(form.job, self._on_update, self._on_outcome, self._on_failure)
        self.destroyed.connect(self._live.leave)  # however the widget goes
        self._activity = progress(total=_BAR_STEPS, desc=self._out.name)
        self._set_running(True)
        self._say("Opening the particles…")
        self._live.start()

    def _on_stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self.stop_button.setEnabled(False)
            self._say("Stopping after this sweep…")

    def _on_update(self, update: Update | None) -> None:
        live = self._live
        if update is None or self.viewer is None or live is None:
            return
        step = round(update.fraction * _BAR_STEPS)
        self.bar.setValue(step)
        self.time_left.setText(_time_left(update.seconds_left))
        if not live.is_stopping:
            self._say(update.message)
        if update.maps is not None:
            facts = {"run": str(self._out), "particles": self.particles.text}
            steps = preferences().state_steps
            layer = maps_layer(update.maps, update.pixel_size, self._out.name, facts, steps)
            self._molecule.show(self.viewer, layer)
        # last, and with care: drawing lets Qt work, and the end of the run may come in between
        if self._live is live:
            self._activity.update(step - self._activity.n)

    def _on_outcome(self, outcome: Outcome) -> None:
        if self.viewer is None:
            return
        if outcome.run is not None:
            layer = run_layer(outcome.run, preferences().state_steps)
            self._molecule.show(self.viewer, layer, is_final=True)
        if outcome.problem is None:
            self._finish(f"Done in {_duration(outcome.seconds)}: {self._out}")
            show_info(f"{self._out.name}: done in {_duration(outcome.seconds)}")
        elif isinstance(outcome.problem, RunCancelled):
            kept = f"what was done is in {self._out}" if outcome.run else "no stage was done yet"
            self._finish(f"Stopped; {kept}")
        else:
            self._finish(str(outcome.problem))
            show_error(str(outcome.problem))

    def _on_failure(self, problem: Exception) -> None:
        if self.viewer is not None:
            self._finish(f"Stopped by an error of the program: {problem}")

    def _finish(self, text: str) -> None:
        self._live = None
        self._close_activity()
        self._set_running(False)
        self._say(text)
        if self.particles.text:
            self.out.text = str(free_folder(self.particles.text))

    def _set_running(self, is_running: bool) -> None:
        self.start_button.setEnabled(not is_running)
        self.stop_button.setEnabled(is_running)
        if is_running:
            self.bar.setValue(0)
        self.time_left.setText("")

    def _say(self, text: str) -> None:
        self.status.setText(text)

    def _close_activity(self) -> None:
        if self._activity is not None:
            self._activity.close()
            self._activity = None

    # ---- the end ------------------------------------------------------------------------------

    def let_go(self) -> None:
        """Stop the run and let go of the viewer."""
        if self._live is not None:
            self._live.leave()
            self._live = None
        viewer, self.viewer = self.viewer, None
        if viewer is None:
            return
        self.readout.let_go()
        viewer.layers.events.inserted.disconnect(self._on_inserted)
        viewer.layers.events.removed.disconnect(self._on_removed)
        viewer.dims.events.point.disconnect(self._on_point)
        camera_of(viewer).events.orientation.disconnect(self._on_orientation)
        self._close_activity()


def _time_left(seconds: float | None) -> str:
    """Time left, for the side of the bar."""
    return "" if seconds is None else f"{_duration(seconds)} left"


def _duration(seconds: float) -> str:
    """Seconds, minutes or hours, to what a person wants to know."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"

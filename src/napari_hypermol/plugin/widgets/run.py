"""The Run page: start a run or follow one, and watch the molecule appear.

It shows and sets; a run is another process (`runs.launch`), seen by its folder (`plugin.live`).
"""

from functools import partial
from pathlib import Path
from typing import Any

import yaml
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QLabel,
    QSpinBox,
    QVBoxLayout,
)

from napari_hypermol.errors import HypermolError
from napari_hypermol.plugin.closing import ClosingWatch, ask_about_run, main_window_of
from napari_hypermol.plugin.forms import RunForm, axes_of, free_folder, what_will_run
from napari_hypermol.plugin.layers import maps_layer
from napari_hypermol.plugin.lazy_states import EmptyMaps
from napari_hypermol.plugin.live import LiveRun, Update
from napari_hypermol.plugin.molecule_layer import MoleculeLayer
from napari_hypermol.plugin.preferences import preferences
from napari_hypermol.plugin.session import Session
from napari_hypermol.plugin.viewing import (
    camera_of,
    hypermol_of,
    is_chimerax_handed,
    is_dark,
    set_chimerax_handed,
    states_shown,
    welcome,
)
from napari_hypermol.plugin.widgets.page import Page
from napari_hypermol.plugin.widgets.path_field import PathField
from napari_hypermol.plugin.widgets.run_box import RunBox
from napari_hypermol.plugin.widgets.traces import Traces
from napari_hypermol.runs.follow import GONE, Follower, Look
from napari_hypermol.runs.launch import Launch, Order
from napari_hypermol.runs.recipe_text import recipe_from
from napari_hypermol.runs.requests import ask
from napari_hypermol.runs.run_facts import is_run_folder
from napari_hypermol.runs.status import OVER
from napari_hypermol.runs.store import Run

__all__ = ["RunPage"]

_LOOK = 100  # [ms] between looks at what the following thread has found


class RunPage(Page):
    """Start, pause, stop, resume and follow runs.

    Parameters
    ----------
    viewer : napari Viewer
    session : Session
    """

    title = "Run"
    purpose = "Recover the molecule, and watch it appear. A run is a process of its own."
    guide = "running.md"

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__(viewer, session)
        self._live: LiveRun | None = None
        self._launch: Launch | None = None  # of the run that this window started
        self._molecule = MoleculeLayer()
        self._phase = ""
        self._is_done = False  # of the run that was followed last
        self._told: Update | None = None  # in words already, to be shown next
        self._was_at_work = False  # whether it was not over already when it was first seen
        self._offered: Path | None = None  # of what run the recipe became the draft, or could have
        self._watch: ClosingWatch | None = None
        self._build()
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK)
        self._timer.timeout.connect(self._on_timer)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.dims.events.point.connect(self._on_point)
        viewer.events.theme.connect(self._on_theme)
        camera_of(viewer).events.orientation.connect(self._on_orientation)
        session.particles_changed.connect(self._on_particles)
        session.draft_changed.connect(self._on_draft)
        session.run_changed.connect(self._on_run)
        for layer in viewer.layers:
            self._adopt(layer)
        self._on_orientation()
        self._on_theme()
        self._on_particles(session.particles)
        self._set_buttons()

    # ---- the window ---------------------------------------------------------------------------

    def _build(self) -> None:
        self.body.addWidget(self._order_group())
        self.box = RunBox()
        for button, slot in (
            (self.box.start, self._on_start),
            (self.box.pause, self._on_pause),
            (self.box.stop, self._on_stop),
            (self.box.resume, self._on_resume),
            (self.box.follow, self._on_follow),
        ):
            button.clicked.connect(slot)
        self.body.addWidget(self.box)
        self.traces = Traces()
        self.body.addWidget(self.traces)
        self.body.addWidget(self._view_group())
        self.body.addStretch(1)

    def _order_group(self) -> QGroupBox:
        self.plan = QLabel()
        self.plan.setWordWrap(True)
        self.out = PathField("Name the run's folder", None, "a new folder")
        self.seed = QSpinBox()
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setToolTip("The same seed gives the same run")
        group = QGroupBox("Next run")
        form = QFormLayout(group)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.plan)
        for name, field in (
            ("Run fol&der", self.out),
            ("&Seed", self.seed),
        ):
            form.addRow(name, field)
            field.setAccessibleName(name.replace("&", ""))
        return group

    def _view_group(self) -> QGroupBox:
        self.handedness = QCheckBox("Chimera&X handedness")
        self.handedness.setToolTip(
            "y upwards, as in ChimeraX and IMOD. Without it napari shows maps mirrored. "
            "The data stay as they are."
        )
        self.handedness.toggled.connect(self._on_handedness)
        group = QGroupBox("View")
        layout = QVBoxLayout(group)
        layout.addWidget(self.handedness)
        return group

    def showEvent(self, event: Any) -> None:
        """Once docked, hear of the window's closing."""
        super().showEvent(event)
        window = main_window_of(self)
        if self._watch is None and window is not None and self.viewer is not None:
            self._watch = ClosingWatch(window, self._may_close, self._on_closed)

    # ---- what would be run --------------------------------------------------------------------

    @property
    def form(self) -> RunForm:
        """The order as it stands."""
        session = self.session
        return RunForm(
            particles=session.particles,
            draft=session.draft,
            folder=session.folder,
            out=self.out.text,
            seed=self.seed.value(),
        )

    def _on_particles(self, path: str) -> None:
        if path and Path(path).expanduser().is_file():
            self.out.text = str(free_folder(path))
        self._on_draft()

    def _on_draft(self, draft: Any = None) -> None:
        path = self.session.particles
        count = _count(self.viewer, path) if self.viewer is not None else None
        file = self.session.file_if_read()
        has_poses = None if file is None else file.particles.rotations is not None
        self.plan.setText(what_will_run(path, count, self.session.draft, has_poses))

    # ---- the viewer ---------------------------------------------------------------------------

    def _on_inserted(self, event: Any) -> None:
        self._adopt(event.value)

    def _adopt(self, layer: Any) -> None:
        """Take note of a layer that the plugin made."""
        facts = hypermol_of(layer)
        if facts is None:
            return
        if facts.get("particles") and not self.session.particles:
            self.session.particles = facts["particles"]
        self._on_draft()
        if facts.get("kind") != "states":
            return
        set_chimerax_handed(self.viewer, preferences().is_chimerax_handed)
        QTimer.singleShot(0, partial(self._welcome, layer))
        folder = Path(facts.get("run", ""))
        if self._live is None and facts.get("run") and is_run_folder(folder):
            self._follow(Follower(folder), MoleculeLayer(layer))

    def _welcome(self, layer: Any) -> None:
        """A molecule that was dropped on the viewer comes as a picture of one of its slices."""
        viewer = self.viewer
        if viewer is None or layer not in viewer.layers or viewer.dims.ndisplay == 3:
            return
        welcome(viewer, layer)

    def _on_run(self, run: Run | None) -> None:
        """Another page opened a run."""
        if run is not None and (self._live is None or not _is_same(self._live, run.path)):
            shown = [x for x in self.viewer.layers if _shows(x, run.path)]
            self._follow(Follower(run.path), MoleculeLayer(shown[-1] if shown else None))

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

    def _on_theme(self, event: Any = None) -> None:
        self.traces.set_theme(is_dark(self.viewer))

    # ---- the run ------------------------------------------------------------------------------

    def _on_start(self) -> None:
        try:
            order = self.form.order()
        except HypermolError as problem:
            self.box.say(str(problem))
            show_error(str(problem))
            return
        self._begin(order)

    def _on_resume(self) -> None:
        if self.session.run is not None:
            self._begin(Order(self.session.run.path))

    def _begin(self, order: Order) -> None:
        """Start a process, and follow it."""
        shown = [x for x in self.viewer.layers if _shows(x, order.out)]
        molecule = MoleculeLayer(shown[-1] if order.is_resumed and shown else None)
        if not order.is_resumed:
            self._make_ready(molecule, order)
        try:
            self._launch = Launch(order)
        except (HypermolError, OSError) as problem:
            molecule.drop_empty(self.viewer)
            show_error(f"the run's process cannot be started: {problem}")
            return
        self._follow(Follower(order.out, self._launch), molecule)

    def _make_ready(self, molecule: MoleculeLayer, order: Order) -> None:
        """The layer of a run, if its size and its knobs are known without reading anything."""
        file = self.session.file_if_read()
        try:
            axes = axes_of(recipe_from(order.draft or {}))
        except HypermolError:  # its process says what is wrong
            return
        if file is None:
            return
        size, pixel = int(file.particles.images.shape[-1]), float(file.particles.pixel_size)
        facts = {"run": str(order.out.resolve()), "particles": str(file.path.resolve())}
        empty = EmptyMaps(axes, size)
        steps = preferences().state_steps
        layer = maps_layer(empty, pixel, order.out.name, facts, steps)
        molecule.make_ready(self.viewer, layer)

    def _follow(self, follower: Follower, molecule: MoleculeLayer) -> None:
        self._leave()
        self._molecule.drop_empty(self.viewer)
        self._molecule = molecule
        self.traces.clear()
        self._live = LiveRun(follower, preferences().state_steps)
        self._on_point()
        self.box.begin(follower.folder.name)
        self._phase, self._is_done, self._was_at_work = "starting", False, False
        self.box.say("Starting…" if follower.launch is not None else "Opening…")
        self._set_buttons()
        self._live.start()
        self._timer.start()

    def _on_follow(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a run folder")
        if folder:
            self.follow(Path(folder))

    def follow(self, folder: Path) -> None:
        """Follow the run of a folder, alive or not, of this machine or of another."""
        if not is_run_folder(folder):
            show_error(f"{folder}: is not a run folder; choose one that a run has made")
            return
        shown = [x for x in self.viewer.layers if _shows(x, folder)]
        self._follow(Follower(folder), MoleculeLayer(shown[-1] if shown else None))

    def _on_pause(self) -> None:
        is_paused = self._phase == "paused"
        self._ask("continue" if is_paused else "pause")
        # it answers between two parts of its work, which may take a moment
        self.box.say("Going on…" if is_paused else "Pausing…")

    def _on_stop(self) -> None:
        if self._launch is not None and self._launch.is_alive:
            self._launch.stop()
            self.box.say("Stopping…")
            self.box.stop.setEnabled(False)
        else:
            self._ask("stop")

    def _ask(self, wish: str) -> None:
        if self._live is None:
            return
        try:
            ask(self._live.follower.folder, wish)
        except (HypermolError, OSError) as problem:
            show_error(str(problem))

    def _on_timer(self) -> None:
        """Show one thing that is new; the next has its turn after Qt had its own."""
        live, told = self._live, self._told
        if live is not None and told is not None:
            self._told = None
            self._on_molecule(live, told)
        elif live is not None and not live.updates.empty():
            self._told = live.updates.get()
            self._on_words(self._told.look)

    def _on_words(self, look: Look) -> None:
        """What a look says; what it shows is for the next turn."""
        self._was_at_work |= not look.is_over
        self._show_status(look)
        if look.rows is not None:
            self.traces.show_sweeps(look.rows)

    def _on_molecule(self, live: LiveRun, update: Update) -> None:
        look = update.look
        is_news = self._was_at_work or self._molecule.layer is None
        if update.layer is not None and is_news:
            self._molecule.show(self.viewer, update.layer, is_final=look.is_over)
            self._on_point()
        if self._live is live and look.run is not None:
            self._take(look.run)
        if self._live is live and look.is_over:
            self._finish(look)

    def _show_status(self, look: Look) -> None:
        is_changed = look.phase != self._phase
        self._phase, self._is_done = look.phase, look.phase == "done"
        self.box.show_look(look)
        if is_changed:
            self._set_buttons()

    def _take(self, run: Run) -> None:
        """A run at a newer snapshot, for every page."""
        known = self.session.run
        if self._was_at_work or known is None or known.path.resolve() != run.path.resolve():
            self.session.run = run
        is_ours = self._live is not None and self._live.follower.launch is not None
        # once a run: who empties the draft meanwhile wants another one
        is_new, self._offered = run.path != self._offered, run.path
        if is_new and not is_ours and not self.session.draft and (draft := _draft_of(run)):
            self.session.load(draft, run.path)
        edge = run.box_size * run.pixel_size
        try:
            self.traces.show_fsc(run.metrics.get("half_sets"), edge)
        except HypermolError as problem:
            self.box.say(str(problem))

    def _finish(self, look: Look) -> None:
        live, launch = self._live, self._launch
        self._molecule.drop_empty(self.viewer)
        folder = live.follower.folder if live is not None else Path()
        is_ours = launch is not None and live is not None and live.follower.launch is launch
        self._leave()
        if is_ours and launch is not None:
            launch.tidy()  # its process may take a moment to end
            self._launch = None
            if self.session.particles:
                self.out.text = str(free_folder(self.session.particles))
            if look.phase == "done":
                show_info(f"{folder.name}: done")
        self._set_buttons()
        if is_ours and look.phase in ("failed", GONE):
            show_error(look.message)

    def _leave(self) -> None:
        """Follow nothing."""
        if self._live is not None:
            self._live.leave()
        self._live = self._told = None
        self._timer.stop()

    def _set_buttons(self) -> None:
        is_alive = self._live is not None and self._phase not in (*OVER, GONE)
        self.box.allow(
            phase=self._phase if is_alive else "",
            is_own=self._launch is not None and self._launch.is_alive,
            has_run=self.session.run is not None and not self._is_done,
        )

    # ---- the end ------------------------------------------------------------------------------

    def _may_close(self) -> bool:
        """Whether the window may close; asks what becomes of a run that it started."""
        self._closing_choice = "leave"
        if self._launch is None or not self._launch.is_alive:
            return True
        choice: str | None = preferences().closing
        if choice == "ask":
            choice = ask_about_run(self.window(), self._launch.folder.name)
        self._closing_choice = choice or ""
        return choice is not None

    def _on_closed(self) -> None:
        launch = self._launch
        if launch is not None and launch.is_alive and self._closing_choice == "stop":
            launch.stop_now()
        self.let_go()

    def let_go(self) -> None:
        """Let go of the run, which goes on, and of the viewer."""
        self._leave()
        if self._launch is not None:
            self._launch.tidy()
            self._launch = None
        if self._watch is not None:
            self._watch.let_go()
            self._watch = None
        viewer, self.viewer = self.viewer, None
        if viewer is None:
            return
        viewer.layers.events.inserted.disconnect(self._on_inserted)
        viewer.dims.events.point.disconnect(self._on_point)
        viewer.events.theme.disconnect(self._on_theme)
        camera_of(viewer).events.orientation.disconnect(self._on_orientation)
        self.session.particles_changed.disconnect(self._on_particles)
        self.session.draft_changed.disconnect(self._on_draft)
        self.session.run_changed.disconnect(self._on_run)


def _shows(layer: Any, folder: Path) -> bool:
    """Whether a layer shows the molecule of a run folder."""
    facts = hypermol_of(layer, "states")
    return facts is not None and facts.get("run") == str(folder.resolve())


def _is_same(live: LiveRun, folder: Path) -> bool:
    return live.follower.folder.resolve() == folder.resolve()


def _count(viewer: Any, path: str) -> int | None:
    """Number of particles, where a layer shows them already."""
    for layer in viewer.layers:
        facts = hypermol_of(layer, "particles")
        if facts is not None and path and facts["particles"] == str(Path(path).resolve()):
            return int(layer.data.shape[0])
    return None


def _draft_of(run: Run) -> dict[str, Any]:
    """The recipe of a run as a draft of the next one."""
    try:
        draft = yaml.safe_load((run.path / "recipe.yaml").read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return {name: value for name, value in draft.items() if name not in ("particles", "versions")}

"""The Components page: what the molecule is made of, painted, dragged or typed.

Everything goes through the session's draft: the mouse and the form write it, and all that is seen
(list, form, balls, outlines) is drawn from it again.
"""

from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import show_error, show_info
from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QGroupBox,
    QLabel,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import qdebounced

from napari_hypermol.io.masks import read_mask
from napari_hypermol.plugin.balls import Ball, BallsLayer
from napari_hypermol.plugin.component_edits import (
    ball_of,
    colored,
    free_name,
    moved_to,
    path_from,
    renamed,
)
from napari_hypermol.plugin.latest import Latest
from napari_hypermol.plugin.mask_files import MaskFiles
from napari_hypermol.plugin.painted_masks import (
    Grid,
    PaintedMasks,
    grid_of,
    map_layer,
    mask_layer,
    shown_map,
)
from napari_hypermol.plugin.session import Session
from napari_hypermol.plugin.supports_view import SupportsView
from napari_hypermol.plugin.viewing import hypermol_of
from napari_hypermol.plugin.widgets.component_list import ComponentList
from napari_hypermol.plugin.widgets.draft_picture import Picture, picture_of
from napari_hypermol.plugin.widgets.fold import Fold
from napari_hypermol.plugin.widgets.from_map import FromMap, MapMask, labels_of_map
from napari_hypermol.plugin.widgets.page import Page
from napari_hypermol.plugin.widgets.recipe_bar import RecipeBar
from napari_hypermol.plugin.widgets.schema_fields import PROBLEM_STYLE
from napari_hypermol.plugin.widgets.schema_form import SchemaForm
from napari_hypermol.plugin.widgets.suggestion_row import SuggestionRow
from napari_hypermol.runs.component_recipe import ComponentRecipe
from napari_hypermol.runs.recipe_text import problems_of
from napari_hypermol.runs.run_facts import is_run_folder
from napari_hypermol.runs.suggest import Suggestion, suggest_components
from napari_hypermol.runs.suggested_recipe import on_found_poses

__all__ = ["ComponentsPage"]

_IN_ITS_FRAME = (
    "This run found its poses from nothing, and the parts lie in its frame. The next run begins "
    "with its particles, and refines them."
)
_OWN_KINDS = {"balls", "contours", "mask", "suggestion", "surfaces"}
_CHECK_PAUSE = 300  # [ms] after an edit before supports and numbers are computed
_NEEDS_MAP = "Open a map, a run or particles first: they say how large the box is."
_KNOB: dict[str, Any] = {"state": {}}  # a new component moves; left out, it would be rigid


class ComponentsPage(Page):
    """Say what moves.

    Parameters
    ----------
    viewer : napari Viewer
    session : Session
    """

    title = "Components"
    purpose = "Say what moves: every component has a place, and the knobs you give it."
    guide = "components.md"

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__(viewer, session)
        self._colors: dict[str, str] = {}
        self._box: tuple[int, float] | None = None  # of the particles, once they were read
        self._is_front = True
        self._is_stale = False  # something changed while another page was shown
        self._is_adding = False  # napari is in the middle of adding a layer
        self._replacement: Any = None  # takes the place of all, once it is in its files
        self._left_hidden: list[Any] = []  # layers that the user does not want to see
        self._build()
        self.balls = BallsLayer(viewer, self._on_ball, self._on_ball_added, self._on_balls_removed)
        self.masks = PaintedMasks(viewer, self._on_painted)
        self.supports = SupportsView(viewer)
        self.files = MaskFiles(self.masks, self._on_written, self._on_trouble, self)
        self._looking = Latest(self._on_picture, self._on_trouble, self)
        self._making = Latest(self._on_made, self._on_trouble, self)
        self._look_soon = qdebounced(self._look, timeout=_CHECK_PAUSE)
        session.draft_changed.connect(self._on_draft)
        session.particles_changed.connect(self._on_particles)
        session.run_changed.connect(self._on_run)
        viewer.layers.events.inserting.connect(self._on_adding)
        viewer.layers.events.inserted.connect(self._on_layers)
        self._on_run(session.run)
        self._on_draft(session.draft)
        self._on_layers()

    # ---- the window ---------------------------------------------------------------------------

    def _build(self) -> None:
        self.bar = RecipeBar(self.session)
        self.suggestion_row = SuggestionRow(self.viewer)
        self.suggestion_row.accepted.connect(self._on_use)
        self.suggestion_row.ended.connect(self._make_way)
        self.list = ComponentList()
        self.list.chosen.connect(self._on_chosen)
        self.list.renamed.connect(self._on_renamed)
        self.list.duplicated.connect(self._on_duplicated)
        self.list.removed.connect(self._on_removed)
        self.list.colored.connect(self._on_colored)
        self.list.painted.connect(self._on_paint_wanted)
        self.show_supports = QCheckBox("Show &outlines and surfaces")
        self.show_supports.setChecked(True)
        self.show_supports.toggled.connect(self._on_show)
        self.problem, self.note, self.asks = QLabel(), QLabel(), QLabel()
        for label in (self.problem, self.note, self.asks):
            label.setWordWrap(True)
            label.hide()
        self.problem.setStyleSheet(PROBLEM_STYLE)
        self.form = SchemaForm(ComponentRecipe)
        self.form.edited.connect(self._on_edited)
        self.form_box = QGroupBox()
        QVBoxLayout(self.form_box).addWidget(self.form)
        self.form_box.hide()
        for widget in (
            *(self.bar, self._new_buttons(), self._from_map(), self.suggestion_row, self.list),
            *(self.problem, self.note, self.show_supports, self.form_box, self.asks),
        ):
            self.body.addWidget(widget)
        self.body.addStretch(1)

    def _new_buttons(self) -> QWidget:
        self.new_mask = QPushButton("New &mask")
        self.new_mask.setToolTip("Paint it; every label is a component")
        self.new_mask.clicked.connect(self._on_new_mask)
        self.new_ball = QPushButton("New &ball")
        self.new_ball.setToolTip("Drag it, and the square on its rim to widen it")
        self.new_ball.clicked.connect(self._on_new_ball)
        self.suggest = QPushButton("Su&ggest")
        self.suggest.setToolTip("From a run of one component: what varies between its states")
        self.suggest.clicked.connect(self._on_suggest)
        buttons = QWidget()
        row = QGridLayout(buttons)
        row.setContentsMargins(0, 0, 0, 0)
        for column, button in enumerate((self.new_mask, self.new_ball, self.suggest)):
            row.addWidget(button, 0, column)
        return buttons

    def _from_map(self) -> QWidget:
        self.from_map = FromMap()
        self.from_map.asked.connect(self._on_from_map)
        self.from_map.threshold_moved.connect(self._on_threshold)
        return Fold("Mask from the map on the screen", self.from_map)

    # ---- the draft ----------------------------------------------------------------------------

    @property
    def components(self) -> dict[str, Any]:
        """The components of the draft."""
        given = self.session.draft.get("components")
        return dict(given) if isinstance(given, dict) else {}

    def _put(self, components: dict[str, Any]) -> None:
        self.session.put(components=components or None)

    def _put_one(self, name: str, values: dict[str, Any]) -> None:
        self._put({**self.components, name: values})

    def _on_draft(self, draft: dict[str, Any]) -> None:
        if not isalive(self):  # a window that closes takes its widgets along without a word
            return
        self._colors = colored(list(self.components), self._colors)
        self._show_problems(problems_of(draft))
        self._on_chosen(self.list.current)
        self.masks.color(self._colors)
        self._show_balls()
        self._look_soon()

    def _show_problems(self, problems: dict[tuple[Any, ...], str]) -> None:
        """Beside the component and the field; other pages say what is wrong elsewhere."""
        own = {p[1:]: w for p, w in problems.items() if p[:1] == ("components",)}
        by_name: dict[str, str] = {}
        for path, words in own.items():
            keys = ".".join(str(key) for key in path[1:])
            by_name.setdefault(str(path[0]) if path else "", f"{keys}: {words}" if keys else words)
        self.list.show_components(self._colors, by_name)
        self._say(self.problem, [f"{name}: {w}" if name else w for name, w in by_name.items()])
        current = self.list.current
        self.form.show_problems({p[1:]: w for p, w in own.items() if p[:1] == (current,)})

    def _say(self, label: QLabel, lines: list[str]) -> None:
        label.setText("\n".join(lines))
        label.setVisible(bool(lines))
        # a wrapped label tells layouts of one line only
        label.setMinimumHeight(label.heightForWidth(max(self.list.width(), 200)) if lines else 0)

    # ---- list and form ------------------------------------------------------------------------

    def _on_chosen(self, name: str) -> None:
        values = self.components.get(name)
        self.form_box.setVisible(isinstance(values, dict))
        if isinstance(values, dict):
            self.form_box.setTitle(name)
            self.form.put(values)
            share = self.form.fields.get("share")
            if share is not None:
                share.offer([other for other in self.components if other != name])
            if self.sender() is self.list:
                self.balls.choose(name)

    def _on_edited(self) -> None:
        if self.list.current:
            self._put_one(self.list.current, self.form.value())

    def _on_renamed(self, old: str, new: str) -> None:
        components = self.components
        if not new or new in components:
            show_error(f"{new or 'Nothing'}: a component has to have a name of its own.")
            self._on_draft(self.session.draft)
            return
        self._colors[new] = self._colors.pop(old)
        for layer in self.masks.layers():
            names = hypermol_of(layer)["names"]
            names.update({label: new for label, name in names.items() if name == old})
        self._put(renamed(components, old, new))
        self.list.choose(new)

    def _on_duplicated(self, name: str) -> None:
        new = free_name(name, self.components)
        self._put_one(new, dict(self.components[name]))
        self.list.choose(new)

    def _on_removed(self, name: str) -> None:
        if self.masks.paint_of(name) is not None and not self._may_lose(name):
            return
        self.masks.erase(name)
        self._put({other: v for other, v in self.components.items() if other != name})

    def _may_lose(self, what: str) -> bool:
        answer: Any = QMessageBox.question(
            self,
            "Painted mask",
            f"{what}: take its paint out of the viewer too? The mask file stays where it is.",
        )
        return bool(answer == QMessageBox.StandardButton.Yes)

    def _on_colored(self, name: str, color: str) -> None:
        self._colors[name] = color
        self._on_draft(self.session.draft)

    def _on_show(self, is_wanted: bool) -> None:
        is_free = self.suggestion_row.layer is None
        self.supports.is_shown = is_wanted and self._is_front and is_free

    def _make_way(self) -> None:
        """What the recipe has lies around what is suggested, and would hide it while it waits."""
        if (balls := self.balls.layer) is not None:
            balls.visible = self._is_front and self.suggestion_row.layer is None
        self._on_show(self.show_supports.isChecked())

    def on_front(self, is_front: bool) -> None:
        """Balls, outlines and paint cover the molecule; they are there with this page only."""
        if is_front == self._is_front or self.viewer is None:
            return
        self._is_front = is_front
        self.balls.is_shown = is_front
        self._on_show(self.show_supports.isChecked())
        if is_front and self._is_stale:
            self._show_balls()
            self._look_soon()
        mine = [
            layer
            for layer in (self.balls.layer, self.suggestion_row.layer, *self.masks.layers())
            if layer is not None
        ]
        if not is_front:
            self._left_hidden = [layer for layer in mine if not layer.visible]
        for layer in mine:
            layer.visible = is_front and layer not in self._left_hidden
        active = self.viewer.layers.selection.active
        kind = None if active is None else (hypermol_of(active) or {}).get("kind")
        molecule = map_layer(self.viewer)
        if not is_front and kind in _OWN_KINDS and molecule is not None:
            self.viewer.layers.selection.active = molecule  # the mouse turns it again

    # ---- balls --------------------------------------------------------------------------------

    def _edge(self) -> float | None:
        """Of the box [Å]; None while nothing says it."""
        grid = self._grid()
        if self._box is not None:
            return self._box[0] * self._box[1]
        return None if grid is None else grid.shape[-1] * grid.pixel_size

    def _grid(self) -> Grid | None:
        """Of the map on the screen, else of the particles."""
        layer = map_layer(self.viewer)
        if layer is not None:
            return grid_of(layer)
        return None if self._box is None else Grid.of_box(*self._box)

    def _show_balls(self) -> None:
        """Now, or soon: while one layer is being added, napari's list does not take another one."""
        if self._is_adding:
            QTimer.singleShot(0, self._show_balls_now)
        else:
            self._show_balls_now()

    def _on_adding(self, event: Any = None) -> None:
        self._is_adding = True

    def _show_balls_now(self) -> None:
        if self.viewer is None or not isalive(self):
            return
        edge = self._edge()
        balls = {
            name: ball
            for name, value in self.components.items()
            if (ball := ball_of(value)) is not None
        }
        if edge is not None:
            self.balls.show(balls, self._colors, edge)

    def _on_new_ball(self) -> None:
        if (edge := self._edge()) is None:
            show_error(_NEEDS_MAP)
            return
        dims = self.viewer.dims
        zyx = [0.0, 0.0, 0.0]
        for axis in dims.not_displayed:
            if axis >= dims.ndim - 3:
                zyx[axis - dims.ndim + 3] = round(float(dims.point[axis]), 1)
        self._add_ball((zyx[2], zyx[1], zyx[0]), edge)

    def _add_ball(self, center: tuple[float, float, float], edge: float) -> None:
        name = free_name("ball", self.components)
        ball = {"center": list(center), "radius": round(edge / 6, 1)}
        self._put_one(name, {"support": {"ball": ball}, **_KNOB})
        self.list.choose(name)
        self.balls.choose(name)

    def _on_ball(self, name: str, ball: Ball) -> None:
        self._put_one(name, moved_to(self.components[name], ball))

    def _on_ball_added(self, center: tuple[float, float, float]) -> None:
        self._add_ball(center, self._edge() or 1.0)

    def _on_balls_removed(self, names: list[str]) -> None:
        if names:
            self._put({n: v for n, v in self.components.items() if n not in names})
        else:  # only a rim was deleted: it comes back with the ball
            self._show_balls()

    # ---- masks --------------------------------------------------------------------------------

    def _on_new_mask(self) -> None:
        if (grid := self._grid()) is None:
            show_error(_NEEDS_MAP)
            return
        layer = self._add_mask(np.zeros(grid.shape, dtype=np.uint8), grid, "Mask", {})
        layer.mode = "paint"
        self._say(self.note, ["Paint with the brush; another label is another component."])

    def _add_mask(self, labels: Any, grid: Grid, name: str, facts: dict[str, Any]) -> Any:
        layer = self.masks.add(mask_layer(labels, grid, name, facts))
        self.viewer.layers.selection.active = layer
        return layer

    def _on_paint_wanted(self, name: str) -> None:
        """The brush for a component: on its paint, or on the mask in its file."""
        found = self.masks.paint_of(name)
        if found is None:
            support = (self.components.get(name) or {}).get("support") or {}
            if not isinstance(support, dict) or not isinstance(support.get("mask"), str):
                show_error(f"{name}: has no mask to be painted; make one with New mask.")
                return
            if self._box is None and self._grid() is None:
                show_error(_NEEDS_MAP)
                return
            grid = Grid.of_box(*self._box) if self._box is not None else self._grid()
            try:
                mask = read_mask(
                    self.session.folder / support["mask"], grid.shape[-1], grid.pixel_size
                )
            except (OSError, ValueError) as problem:
                show_error(str(problem))
                return
            is_soft = bool(((mask > 0) & (mask < 1)).any())
            layer = self._add_mask((mask > 0.5).astype(np.uint8), grid, name, {"names": {1: name}})
            self.masks.color(self._colors)
            found = layer, 1
            if is_soft:
                self._say(self.note, [f"{name}: its soft edge is cut at a half to be painted."])
        layer, label = found
        self.viewer.layers.selection.active = layer
        layer.selected_label, layer.mode = label, "paint"

    def _on_painted(self, layer: Any) -> None:
        self.files.keep(layer, self.components, self._mask_folder(), self._box)

    def _mask_folder(self) -> Path:
        """Beside the particles, or the run that wrote them; else beside the recipe."""
        particles = self.session.particles
        if not particles:
            return self.session.folder / "masks"
        beside = Path(particles).expanduser().absolute().parent
        return (beside.parent if is_run_folder(beside) else beside) / "masks"

    def _on_written(self, layer: Any, labels: list[int]) -> None:
        """What was painted is in its files: the recipe names them."""
        facts = hypermol_of(layer)
        is_replacement = self._replacement is layer
        self._replacement = None if is_replacement else self._replacement
        components = {} if is_replacement else self.components
        for label in labels:
            if label not in facts["names"]:  # removed meanwhile
                continue
            name = facts["names"][label]
            known = components.get(name)
            values = dict(known if isinstance(known, dict) else facts["values"].get(label, _KNOB))
            support = dict(values.get("support") or {})
            support.pop("ball", None)
            support["mask"] = path_from(self.session.folder, facts["files"][label])
            components[name] = {**values, "support": support}
        empty = [name for label, name in facts["names"].items() if label not in labels]
        self._say(self.note, [f"{name}: nothing is painted; paint or remove it." for name in empty])
        old = self.components
        changed = [name for name in components if components[name] != old.get(name)]
        if changed or components.keys() != old.keys():
            self._put(components)
            self.list.choose((changed or list(components))[0])
        else:
            self._look_soon()  # the same file, painted otherwise

    # ---- masks from maps, and suggestions -------------------------------------------------------

    def _on_layers(self, event: Any = None) -> None:
        self._is_adding = False
        layer = map_layer(self.viewer)
        if layer is not None:
            self.from_map.follow(layer)
            if self._box is None:
                self._look_soon()  # balls follow then: no layer is added while another one is

    def _on_threshold(self, value: float) -> None:
        layer = map_layer(self.viewer)
        if layer is not None:
            layer.iso_threshold = value  # the surface on the screen shows what is meant

    def _on_from_map(self, asked: MapMask) -> None:
        layer = map_layer(self.viewer)
        if layer is None:
            show_error("No map is open: open a run or an MRC volume first.")
            return
        values = {"support": {"soft_edge": asked.soft_edge}, **_KNOB}
        self._making.ask(_labels_of, shown_map(self.viewer, layer), grid_of(layer), asked, values)

    def _on_suggest(self) -> None:
        if self.session.run is None:
            show_error("No run is open: run the recipe of one ball first, then open its folder.")
            return
        run = self.session.run
        grid = Grid.of_box(run.box_size, run.pixel_size)  # whatever map is on the screen
        self._say(self.note, ["Comparing the states of the run…"])
        self._making.ask(_suggestion_of, run, grid)

    def _on_made(self, answer: tuple[Any, Grid, dict[str, Any]]) -> None:
        """Labels from a map become components at once; suggestions wait to be accepted."""
        made, grid, values = answer
        if isinstance(made, Suggestion):
            self.suggestion_row.discard()
            self._say(self.note, [])
            layer = self._add_mask(made.labels, grid, "Suggested components", {})
            self.suggestion_row.offer(layer, made)
            self._make_way()
            return
        facts = {"values": {int(v): values for v in np.unique(made) if v}}
        self._on_painted(self._add_mask(made, grid, "Mask from the map", facts))

    def _on_use(self, layer: Any, names: dict[int, str]) -> None:
        """The suggestion instead of what the recipe had."""
        painted = [name for name in self.components if self.masks.paint_of(name) is not None]
        if painted and not self._may_lose(", ".join(painted)):
            return
        for name in painted:
            self.masks.erase(name)
        self.suggestion_row.take(layer)
        values = {label: {} if label == 1 else dict(_KNOB) for label in names}
        hypermol_of(layer)["values"] = values
        self._replacement = layer
        self._follow_run()
        self._on_painted(layer)

    def _follow_run(self) -> None:
        """Go on with the particles of a run that found poses: only its frame has these parts."""
        run = self.session.run
        if run is None or run.recipe.latents.rotation != "search":
            return
        draft = self.session.draft
        latents, priors = on_found_poses(
            run.recipe.latents.model_dump(mode="json"), draft.get("priors") or {}
        )
        self.session.particles = str(run.path / "particles.star")
        self.session.put(latents=latents, priors=priors)
        show_info(_IN_ITS_FRAME)

    # ---- what comes of it -----------------------------------------------------------------------

    def _on_particles(self, path: str) -> None:
        self._box = None
        self._look_soon()

    def _on_run(self, run: Any) -> None:
        self.suggest.setEnabled(run is not None)
        if run is not None and self._box is None:
            self._box = (run.box_size, run.pixel_size)
        self._look_soon()

    def _look(self) -> None:
        """Supports, surfaces, unknowns: in a worker."""
        if self.viewer is None:
            return
        self._is_stale = not self._is_front
        if self._is_stale:  # a run at work gets the processor, and the list of layers stays short
            return
        layer, run = map_layer(self.viewer), self.session.run
        if layer is not None:
            grid = grid_of(layer)
            box = (grid.shape[-1], grid.pixel_size)
        else:
            box = None if run is None else (run.box_size, run.pixel_size)
        read = self.session.particle_file if self.session.particles else None
        n = None if run is None else int(run.facts["n_particles"])
        self._looking.ask(picture_of, self.session.draft, self.session.folder, read, box, n)

    def _on_picture(self, picture: Picture | None) -> None:
        if self.viewer is None or picture is None or not isalive(self):
            return
        had_box, self._box = self._box is not None, picture.box
        if not had_box:
            self._show_balls()
        self._show_problems(picture.check.problems)
        spacing = picture.spacing
        supports = [s for s in picture.check.supports if s.component in self._colors]
        surfaces = [s for s in picture.surfaces if s.component in self._colors]
        self.supports.show(supports, surfaces, self._colors, spacing)
        self._say(self.asks, [*picture.check.warnings, *picture.check.asks])
        layer = map_layer(self.viewer)
        if layer is not None and (words := picture.unlike(grid_of(layer))):
            self._say(self.note, [words])

    def _on_trouble(self, problem: Exception) -> None:
        if self.viewer is not None:
            self._say(self.note, [])
            show_error(str(problem))

    def let_go(self) -> None:
        """Stop listening and working."""
        viewer = self.viewer
        self._look_soon.cancel()
        for part in (self._looking, self._making, self.files, self.suggestion_row):
            part.let_go()
        for part in (self.balls, self.masks, self.supports):
            part.let_go()
        self.session.draft_changed.disconnect(self._on_draft)
        self.session.particles_changed.disconnect(self._on_particles)
        self.session.run_changed.disconnect(self._on_run)
        viewer.layers.events.inserted.disconnect(self._on_layers)
        viewer.layers.events.inserting.disconnect(self._on_adding)
        super().let_go()


def _labels_of(volume: Any, grid: Grid, asked: MapMask, values: dict[str, Any]) -> Any:
    return labels_of_map(volume(), grid.pixel_size, asked), grid, values


def _suggestion_of(run: Any, grid: Grid) -> Any:
    return suggest_components(run.maps, run.detail), grid, {}

"""The run that is browsed, the layer that shows it, the state it stands at. No Qt.

The parts of the States page know one another only through this object. A state goes one way: they
ask for it with `go_to`, napari's sliders move, and all hear of it by `moved`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from psygnal import Signal

from napari_hypermol.errors import HypermolError
from napari_hypermol.io.particle_file import ParticleFile
from napari_hypermol.plugin.background import Background
from napari_hypermol.plugin.session import Session
from napari_hypermol.plugin.viewing import hypermol_of, set_states, states_shown
from napari_hypermol.runs.browsing import Browsed, browse
from napari_hypermol.runs.state_axes import middle_states
from napari_hypermol.runs.store import Run

__all__ = ["Browser"]


class Browser:
    """What the States page looks at.

    Parameters
    ----------
    viewer : napari Viewer
    session : Session

    Attributes
    ----------
    browsed : Browsed or None
    problem : str
        Why there is nothing to browse, where something is wrong.
    file : ParticleFile or None
        The run's particles, once they are read.
    file_problem : str
        Why they cannot be.
    layer : napari layer or None
        Shows the run.
    """

    read = Signal()
    particles_read = Signal()
    layer_changed = Signal()
    moved = Signal(tuple)

    def __init__(self, viewer: Any, session: Session) -> None:
        self.viewer = viewer
        self.session = session
        self.background = Background()
        self.browsed: Browsed | None = None
        self.problem = ""
        self.file: ParticleFile | None = None
        self.file_problem = ""
        self.layer: Any = None
        self._state: tuple[float, ...] = ()
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.dims.events.point.connect(self._on_point)
        session.run_changed.connect(self._on_run)
        session.run_updated.connect(self._on_newer)
        if session.run is not None:
            self._on_run(session.run)
        for layer in viewer.layers:
            self._adopt(layer)

    # ---- the run ------------------------------------------------------------------------------

    @property
    def is_reading(self) -> bool:
        """Whether a run is about to be browsed."""
        return self.session.run is not None and self.browsed is None and not self.problem

    def _on_run(self, run: Run | None) -> None:
        self.browsed, self.file = None, None
        self.problem = self.file_problem = ""
        self._state = ()
        self._find_layer()
        self.read.emit()
        self._on_newer(run)

    def _on_newer(self, run: Run | None) -> None:
        if run is not None:
            self.background.do("run", browse, (run,), self._on_browsed, self._on_problem)

    def _on_browsed(self, browsed: Browsed) -> None:
        if browsed.run is not self.session.run:
            return  # another one was opened meanwhile
        self.browsed, self.problem = browsed, ""
        if len(self._state) != len(browsed.axes):
            self._state = tuple(middle_states(browsed.axes))
        self._find_layer()
        self.read.emit()
        self._on_point()
        if self.file is None:
            arguments = (browsed.run,)
            self.background.do(
                "particles", Run.read_particles, arguments, self._on_file, self._on_no_file
            )

    def _on_problem(self, text: str) -> None:
        self.problem = text
        self.read.emit()

    def _on_file(self, file: ParticleFile) -> None:
        self.file = file
        self.particles_read.emit()

    def _on_no_file(self, text: str) -> None:
        self.file_problem = text
        self.particles_read.emit()

    # ---- the layer ----------------------------------------------------------------------------

    def _on_inserted(self, event: Any) -> None:
        self._adopt(event.value)

    def _adopt(self, layer: Any) -> None:
        """A run that is opened in the viewer is browsed from then on."""
        path = (hypermol_of(layer, "states") or {}).get("run")
        if not path:
            return
        run = self.session.run
        if run is None or run.path.resolve() != Path(path).resolve():
            try:
                self.session.run = Run.open(path)
            except HypermolError:
                return  # it has not begun to be written, or was removed; who runs it tells us
        self._find_layer()

    def _on_removed(self, event: Any) -> None:
        self._find_layer()

    def _find_layer(self) -> None:
        run, found = self.session.run, None
        for layer in self.viewer.layers:
            path = (hypermol_of(layer, "states") or {}).get("run")
            if run is not None and path and Path(path).resolve() == run.path.resolve():
                found = layer
        if _known_as(found) != _known_as(self.layer):
            self.layer = found
            self.layer_changed.emit()
            self._on_point()

    # ---- the state ----------------------------------------------------------------------------

    @property
    def state(self) -> tuple[float, ...]:
        """Where the sliders stand; (d,)."""
        return self._state

    def go_to(self, state: Sequence[float]) -> None:
        """Move the sliders to the stop nearest to a state."""
        if self.viewer is None or self.browsed is None:
            return
        if self.layer is None or self.layer not in self.viewer.layers:
            self._set(tuple(float(t) for t in state))
            return
        set_states(self.viewer, self.layer, self._nearest_stop(state))

    def _nearest_stop(self, state: Sequence[float]) -> list[float]:
        """What is shown is the map of a stop, so that is where to say we are."""
        stops = []
        for column, (axis, wanted) in enumerate(zip(self.browsed.axes, state, strict=True)):
            step, first = self.layer.scale[column], self.layer.translate[column]
            count = self.layer.data.shape[column]
            index = round((wanted - first) / step)
            index = index % count if axis.kind == "circle" else min(max(index, 0), count - 1)
            stops.append(float(first + index * step))
        return stops

    def _on_point(self, event: Any = None) -> None:
        if self.viewer is None or self.browsed is None or self.layer is None:
            return
        shown = tuple(states_shown(self.viewer, self.layer).values())
        if len(shown) == len(self.browsed.axes):
            self._set(shown)

    def _set(self, state: tuple[float, ...]) -> None:
        if len(state) != len(self._state) or not np.allclose(state, self._state):
            self._state = state
            self.moved.emit(state)

    def let_go(self, *_: Any) -> None:
        """Disconnect from the viewer and the session; whatever is at work is not heard of."""
        viewer, self.viewer = self.viewer, None
        if viewer is None:
            return
        self.background.let_go()
        viewer.layers.events.inserted.disconnect(self._on_inserted)
        viewer.layers.events.removed.disconnect(self._on_removed)
        viewer.dims.events.point.disconnect(self._on_point)
        self.session.run_changed.disconnect(self._on_run)
        self.session.run_updated.disconnect(self._on_newer)
        self.layer = None


def _known_as(layer: Any) -> Any:
    """A layer's own number; napari hands plugins another proxy of it each time."""
    return None if layer is None else layer.unique_id

"""A run beside the window: its folder is read in a thread, what is new waits for the main thread.

The run itself is another process (`runs.launch`, or a cluster's); nothing here computes more than
the maps that are shown. A daemon thread and not a napari worker, for closing a window waits for
those; and it calls nothing of Qt, for its objects go with the window.
"""

import queue
import threading
from typing import Any, NamedTuple

import numpy as np

from napari_hypermol.errors import HypermolError
from napari_hypermol.io.stack import computed
from napari_hypermol.plugin.layers import LayerData, maps_layer
from napari_hypermol.plugin.lazy_states import stops_of
from napari_hypermol.runs.follow import Follower, Look
from napari_hypermol.runs.state_axes import middle_states

__all__ = ["LiveRun", "Update", "prepared"]

_LOOK = 0.25  # [s] between looks at the folder


class Update(NamedTuple):
    """A look at a run, ready to be shown.

    Attributes
    ----------
    look : Look
    layer : LayerData or None
        The molecule where it is new; the map at the state on the screen is computed.
    """

    look: Look
    layer: LayerData | None


class LiveRun:
    """Follows a run from a thread of its own.

    Parameters
    ----------
    follower : Follower
    steps : int
        Stops of each state's slider.

    Attributes
    ----------
    states : tuple of float or None
        On the screen; the widget keeps it current.
    updates : queue of Update
        Every one that has news; the main thread takes them.
    """

    def __init__(self, follower: Follower, steps: int) -> None:
        self.follower = follower
        self.states: tuple[float, ...] | None = None
        self._steps = steps
        self.updates: queue.SimpleQueue[Update] = queue.SimpleQueue()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="hypermol-follow", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def leave(self) -> None:
        """Look no more; the run goes on. Returns at once."""
        self._left.set()

    def _follow(self) -> None:
        last: Any = None
        while not self._left.is_set():
            update = self._look()
            said = update.look[:5]
            if said != last or update.layer is not None or update.look.rows is not None:
                self.updates.put(update)
            last = said
            if update.look.is_over:
                return
            self._left.wait(_LOOK)

    def _look(self) -> Update:
        try:
            look = self.follower.look()
            return Update(look, prepared(look, self.follower, self._steps, self.states))
        except HypermolError as problem:
            said = str(problem)
        except Exception as problem:  # a thread has nobody else to tell
            said = f"the run cannot be followed: {type(problem).__name__}: {problem}"
        return Update(Look("failed", 0.0, None, said, True), None)


def prepared(
    look: Look, follower: Follower, steps: int, states: tuple[float, ...] | None
) -> LayerData | None:
    """The layer of a new molecule, with all that showing it takes computed.

    Parameters
    ----------
    look : Look
    follower : Follower
    steps : int
        Stops of each state's slider.
    states : tuple of float or None
        On the screen.
    """
    maps = look.maps
    if maps is None:
        return None
    path = follower.folder.resolve()
    facts = follower.run.facts
    about = {
        "run": str(path),
        "particles": str(facts["particles"]),
        "recipe": str(path / "recipe.yaml"),
    }
    layer = maps_layer(maps, float(facts["pixel_size"]), path.name, about, steps)
    is_fitting = states is not None and len(states) == maps.dims
    wanted = states if is_fitting and states is not None else middle_states(maps.axes)
    stops = stops_of(maps.axes, steps)
    index = tuple(int(np.abs(s - t).argmin()) for s, t in zip(stops, wanted, strict=True))
    computed(layer[0][index])  # remembered by the layer's volumes
    return layer

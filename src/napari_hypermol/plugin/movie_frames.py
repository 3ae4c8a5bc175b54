"""Pictures of states for a movie: one a turn of the event loop, the camera as the user left it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QTimer

__all__ = ["MovieFrames"]

_LOOK = (
    "colormap", "contrast_limits", "gamma", "opacity", "blending", "rendering",
    "iso_threshold", "attenuation", "interpolation2d", "interpolation3d",
)  # fmt: skip


class MovieFrames:
    """Takes pictures of states between the stops of the sliders too.

    A layer of one map, with the look of the molecule's, stands in for it meanwhile.

    Parameters
    ----------
    viewer : napari Viewer
    layer : napari layer
        The molecule's.
    maps : HyperMaps
    states : (t, d) float ndarray
    on_frame : callable
        Told how many pictures are taken.
    on_done : callable
        Gets the pictures, or None where the layer went away.
    """

    def __init__(
        self,
        viewer: Any,
        layer: Any,
        maps: Any,
        states: NDArray[np.float64],
        on_frame: Callable[[int], None],
        on_done: Callable[[list[NDArray[np.uint8]] | None], None],
    ) -> None:
        self._viewer, self._layer, self._maps, self._states = viewer, layer, maps, states
        self._on_frame, self._on_done = on_frame, on_done
        self._frames: list[NDArray[np.uint8]] = []
        active = viewer.layers.selection.active
        self._stand_in = viewer.add_image(
            maps.volume(states[0]),
            name=f"{layer.name} (movie)",
            axis_labels=("z", "y", "x"),
            units=tuple(str(u) for u in layer.units[-3:]),
            scale=layer.scale[-3:],
            translate=layer.translate[-3:],
            metadata={"hypermol": {"kind": "movie"}},
            **{name: getattr(layer, name) for name in _LOOK},
        )
        viewer.layers.selection.active = active
        layer.visible = False
        self._timer = QTimer()
        self._timer.timeout.connect(self._on_turn)
        self._timer.start(0)

    def _on_turn(self) -> None:
        stand_in = self._stand_in
        if stand_in not in self._viewer.layers or self._layer not in self._viewer.layers:
            self.stop()
            self._on_done(None)
            return
        if not stand_in.loaded:  # sliced in another thread
            return
        self._frames.append(self._viewer.screenshot(canvas_only=True, flash=False))
        self._on_frame(len(self._frames))
        if len(self._frames) == len(self._states):
            self.stop()
            self._on_done(self._frames)
            return
        stand_in.data = self._maps.volume(self._states[len(self._frames)])

    def stop(self) -> None:
        """Put the molecule back."""
        if self._timer is None:
            return
        self._timer.stop()
        self._timer = None
        if self._stand_in in self._viewer.layers:
            self._viewer.layers.remove(self._stand_in)
        if self._layer in self._viewer.layers:
            self._layer.visible = True

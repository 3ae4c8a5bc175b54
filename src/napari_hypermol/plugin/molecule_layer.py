"""The one layer a run is shown in: made at its first report, its data swapped at later ones."""

from typing import Any

import numpy as np

from napari_hypermol.plugin.layers import LayerData
from napari_hypermol.plugin.viewing import (
    ease_rendering,
    frame_molecule,
    make_room,
    set_states,
)
from napari_hypermol.runs.state_axes import middle_states

__all__ = ["MoleculeLayer"]

_LOOK = ("contrast_limits", "iso_threshold")  # follow the molecule until the user changes them


class MoleculeLayer:
    """A layer that follows a run; call it from the main thread.

    Where the user moved the contrast or the threshold, they stay as he left them; where he removed
    the layer, it stays away until the run is done.

    Parameters
    ----------
    layer : napari layer or None
        One that shows the run already.

    Attributes
    ----------
    is_empty : bool
        Whether the layer is there before its molecule.
    """

    def __init__(self, layer: Any = None) -> None:
        self.layer = layer  # of a run that was opened from disk
        self.is_empty = False
        self._given = {} if layer is None else {name: getattr(layer, name) for name in _LOOK}

    def make_ready(self, viewer: Any, layer_data: LayerData) -> None:
        """Add the layer of a molecule that is still to come.

        It takes napari half a second to make room for a layer with new sliders. That is spent when
        the user starts the run, not while he turns a knob of another one.

        Parameters
        ----------
        viewer : napari Viewer
        layer_data : (data, attributes, type)
            From `maps_layer` of `EmptyMaps`.
        """
        data, attributes, _ = layer_data
        self._add(viewer, data, attributes)
        self.is_empty = True

    def drop_empty(self, viewer: Any) -> None:
        """Remove the layer again if no molecule came."""
        if self.is_empty and self.layer in viewer.layers:
            viewer.layers.remove(self.layer)
        self.is_empty = False

    def show(self, viewer: Any, layer_data: LayerData, is_final: bool = False) -> None:
        """Show the molecule as it is now.

        Parameters
        ----------
        viewer : napari Viewer
        layer_data : (data, attributes, type)
            From `maps_layer` or `run_layer`.
        is_final : bool
            Whether the run is over: a layer that was removed comes back.
        """
        data, attributes, _ = layer_data
        if self.is_empty and self.layer.data.shape != data.shape:
            self.drop_empty(viewer)  # the recipe turned out otherwise
            self.layer = None
        self.is_empty = False
        if self.layer is not None and self.layer in viewer.layers:
            self._swap(data, attributes)
        elif self.layer is None or is_final:
            self._add(viewer, data, attributes)

    def _swap(self, data: Any, attributes: dict[str, Any]) -> None:
        layer = self.layer
        if layer.data.shape == data.shape:
            layer.data = data
            layer.metadata = attributes["metadata"]
        for name in _LOOK:
            if np.allclose(getattr(layer, name), self._given[name]):
                self._give(name, attributes[name])

    def _add(self, viewer: Any, data: Any, attributes: dict[str, Any]) -> None:
        make_room(viewer)
        self.layer = viewer.add_image(data, **attributes)
        for name in _LOOK:
            self._give(name, attributes[name])
        axes = attributes["metadata"]["hypermol"]["axes"]
        set_states(viewer, self.layer, middle_states(axes))
        ease_rendering(self.layer)
        frame_molecule(viewer, self.layer)

    def _give(self, name: str, value: Any) -> None:
        setattr(self.layer, name, value)
        self._given[name] = getattr(self.layer, name)  # as napari rounded it

"""Painted masks: Labels layers on the grid of a map, each label a component, and their files.

A file that this viewer did not write is never written to.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray
from superqt.utils import qdebounced

from napari_hypermol.io.mrc import write_volume
from napari_hypermol.molecules.mask_making import resampled
from napari_hypermol.plugin.layers import LayerData, centred
from napari_hypermol.plugin.viewing import hypermol_of, states_shown

__all__ = [
    "Grid",
    "PaintedMasks",
    "grid_of",
    "map_layer",
    "mask_layer",
    "shown_map",
    "write_masks",
]

Labels = NDArray[np.uint8]
_PAINT_PAUSE = 400  # [ms] after a stroke before files are written


class Grid(NamedTuple):
    """The voxels of a map.

    Attributes
    ----------
    shape : (z, y, x)
    pixel_size : float
        [Å].
    place : dict
        Scale, translate, units and axis labels of its three axes, as a layer takes them.
    """

    shape: tuple[int, int, int]
    pixel_size: float
    place: dict[str, Any]

    @classmethod
    def of_box(cls, box_size: int, pixel_size: float) -> "Grid":
        """The grid of particles of this box, its centre at 0."""
        shape = (box_size,) * 3
        place = {
            "scale": (pixel_size,) * 3,
            "translate": centred(shape, pixel_size),
            "units": ("angstrom",) * 3,
            "axis_labels": ("z", "y", "x"),
        }
        return cls(shape, pixel_size, place)


def map_layer(viewer: Any) -> Any:
    """The map the user looks at: the active layer if it is one, else the topmost; None without."""
    maps = [
        layer
        for layer in viewer.layers
        if (hypermol_of(layer) or {}).get("kind") in ("states", "volume") and layer.ndim >= 3
    ]
    active = viewer.layers.selection.active
    return active if active in maps else (maps[-1] if maps else None)


def grid_of(layer: Any) -> Grid:
    """The grid of a map's last three axes, however many states come before them."""
    place = {
        "scale": tuple(float(s) for s in layer.scale[-3:]),
        "translate": tuple(float(t) for t in layer.translate[-3:]),
        "units": tuple(str(u) for u in layer.units[-3:]),
        "axis_labels": tuple(layer.axis_labels[-3:]),
    }
    z, y, x = layer.data.shape[-3:]
    return Grid((z, y, x), float(layer.scale[-1]), place)


def shown_map(viewer: Any, layer: Any) -> Callable[[], NDArray[np.float32]]:
    """The volume at the state on the screen, to be computed elsewhere: (z, y, x)."""
    states = list(states_shown(viewer, layer).values())
    at = tuple(
        int(np.clip(round((s - t) / step), 0, n - 1))
        for s, t, step, n in zip(
            states, layer.translate, layer.scale, layer.data.shape, strict=False
        )
    )
    data = layer.data[at] if at else layer.data
    return lambda: np.asarray(data, dtype=np.float32)


def mask_layer(labels: Labels, grid: Grid, name: str, facts: dict[str, Any]) -> LayerData:
    """A Labels layer of masks; `facts` goes into its metadata beside the kind."""
    metadata = {"hypermol": {"kind": "mask", "names": {}, "files": {}, "values": {}, **facts}}
    return labels, {"name": name, "metadata": metadata, **grid.place}, "labels"


def write_masks(
    labels: Labels, voxel_size: float, files: dict[int, Path], box_size: int, pixel_size: float
) -> list[int]:
    """Write the mask of every label that has a file and is painted, on the particles' grid.

    Parameters
    ----------
    labels : (z, y, x) uint8 ndarray
    voxel_size : float
        Of the labels [Å].
    files : dict of int to Path
        Replaced: give only files that may be.
    box_size : int
        Of the particles [pixels].
    pixel_size : float
        Of the particles [Å].

    Returns
    -------
    list of int
        The labels that were written.
    """
    written = []
    for label, path in files.items():
        mask = (labels == label).astype(np.float32)
        if labels.shape != (box_size,) * 3 or abs(voxel_size / pixel_size - 1) > 1e-3:
            # binary again, so that the recipe's soft edge goes around it
            mask = (resampled(mask, voxel_size, box_size, pixel_size) > 0.5).astype(np.float32)
        if mask.any():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_volume(path, mask, pixel_size, overwrite=True)
            written.append(label)
    return written


class PaintedMasks:
    """The mask layers of a viewer; call it from the main thread.

    Parameters
    ----------
    viewer : napari Viewer
    on_painted : callable
        Given the layer, a moment after the last stroke.
    """

    def __init__(self, viewer: Any, on_painted: Callable[[Any], None]) -> None:
        self._viewer = viewer
        self._on_painted = on_painted
        self._touched: list[Any] = []
        self._told = qdebounced(self._tell, timeout=_PAINT_PAUSE)

    def layers(self) -> list[Any]:
        """All of them that are still there."""
        return [x for x in self._viewer.layers if hypermol_of(x, "mask") is not None]

    def add(self, layer_data: LayerData) -> Any:
        """Add a layer, ready to be painted in 3-D."""
        labels, attributes, _ = layer_data
        layer = self._viewer.add_labels(labels, **attributes)
        layer.n_edit_dimensions = 3
        for emitter in (layer.events.paint, layer.events.labels_update, layer.events.data):
            emitter.connect(self._on_paint)
        return layer

    def paint_of(self, component: str) -> tuple[Any, int] | None:
        """The layer and the label that a component is painted with."""
        for layer in self.layers():
            for label, name in hypermol_of(layer)["names"].items():
                if name == component:
                    return layer, label
        return None

    def color(self, colors: dict[str, str]) -> None:
        """Give every label the colour of its component."""
        for layer in self.layers():
            names = hypermol_of(layer)["names"]
            table: dict[int | None, str] = {None: "#bbbbbb", 0: "#00000000"}
            table |= {label: colors[name] for label, name in names.items() if name in colors}
            layer.colormap = DirectLabelColormap(color_dict=table)

    def erase(self, component: str) -> None:
        """Take a component's paint away, and the layer with its last one."""
        if (found := self.paint_of(component)) is None:
            return
        layer, label = found
        facts = hypermol_of(layer)
        for table in (facts["names"], facts["files"], facts["values"]):
            table.pop(label, None)
        if facts["names"]:
            layer.data = np.where(layer.data == label, 0, layer.data).astype(np.uint8)
        else:
            self._viewer.layers.remove(layer)

    def let_go(self) -> None:
        """Stop listening to the layers."""
        self._told.cancel()
        for layer in self.layers():
            for emitter in (layer.events.paint, layer.events.labels_update, layer.events.data):
                emitter.disconnect(self._on_paint)
        self._viewer = None

    def _on_paint(self, event: Any) -> None:
        if event.source not in self._touched:
            self._touched.append(event.source)
        self._told()

    def flush(self) -> None:
        """Tell at once what was painted."""
        self._told.cancel()
        self._tell()

    def _tell(self) -> None:
        touched, self._touched = self._touched, []
        for layer in touched:
            if self._viewer is not None and layer in self._viewer.layers:
                self._on_painted(layer)

"""Maps shown beside the molecule: where it is uncertain, how two of its states differ."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.plugin.layers import centred
from napari_hypermol.plugin.viewing import hypermol_of

__all__ = ["DIFFERENCE_COLORMAP", "find_side_layer", "remove_side_layer", "show_side_layer"]

# less density is blue, more is red, no change cannot be seen
DIFFERENCE_COLORMAP = {
    "name": "hypermol difference",
    "colors": [[0.1, 0.35, 0.95, 1], [0.5, 0.6, 0.9, 0.25], [0.9, 0.9, 0.9, 0.0],
               [0.9, 0.55, 0.45, 0.25], [0.9, 0.15, 0.1, 1]],
    "controls": [0.0, 0.35, 0.5, 0.65, 1.0],
}  # fmt: skip


def find_side_layer(viewer: Any, kind: str) -> Any:
    """The layer of a kind, or None."""
    return next((x for x in viewer.layers if hypermol_of(x, kind) is not None), None)


def show_side_layer(
    viewer: Any,
    kind: str,
    volume: NDArray[np.float32],
    pixel_size: float,
    name: str,
    limits: tuple[float, float],
    **look: Any,
) -> Any:
    """Show a map in the layer of its kind, made when first needed.

    Parameters
    ----------
    viewer : napari Viewer
    kind : str
        By which it is known, whatever the user calls it.
    volume : (z, y, x) float32 ndarray
    pixel_size : float
        [Å]
    name : str
    limits : tuple of float
        Contrast limits.
    **look
        Of a new layer.

    Returns
    -------
    napari layer
    """
    layer = find_side_layer(viewer, kind)
    size = float(pixel_size)
    if layer is not None and layer.data.shape == volume.shape:
        layer.data = volume
        layer.contrast_limits = limits
        layer.name = name
        return layer
    remove_side_layer(viewer, kind)
    active = viewer.layers.selection.active
    layer = viewer.add_image(
        volume,
        name=name,
        axis_labels=("z", "y", "x"),
        units=("angstrom",) * 3,
        scale=(size,) * 3,
        translate=centred(volume.shape, size),
        contrast_limits=limits,
        metadata={"hypermol": {"kind": kind, "pixel_size": size}},
        **look,
    )
    if active is not None:
        viewer.layers.selection.active = active  # the molecule's controls stay at hand
    return layer


def remove_side_layer(viewer: Any, kind: str) -> None:
    """Take the layer of a kind away, if it is there."""
    layer = find_side_layer(viewer, kind)
    if layer is not None:
        viewer.layers.remove(layer)

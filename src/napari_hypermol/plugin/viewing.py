"""How our layers are shown: handedness, scale bar, camera, and which state is on the screen.

Public napari interfaces only, called from the main thread. Nothing here asks for a current viewer.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.utils.notifications import show_info
from napari.utils.theme import get_theme

from napari_hypermol.plugin.graphics import draws_in_software
from napari_hypermol.runs.state_axes import middle_states

__all__ = [
    "CHIMERAX",
    "NAPARI",
    "camera_of",
    "ease_rendering",
    "frame_molecule",
    "hypermol_of",
    "is_chimerax_handed",
    "is_dark",
    "make_room",
    "set_chimerax_handed",
    "set_states",
    "show_scale_bar",
    "states_shown",
    "toggle_handedness",
    "welcome",
]

# Where z, y and x point on the screen. In napari's own way y points down, which turns every
# right-handed helix of a map into a left-handed one; ChimeraX and IMOD have y up.
NAPARI = ("towards", "down", "right")
CHIMERAX = ("towards", "up", "right")


def camera_of(viewer: Any) -> Any:
    """The camera; napari 0.9 moved it into the scene."""
    scene = getattr(viewer, "scene", None)
    return viewer.camera if scene is None else scene.camera


def is_chimerax_handed(viewer: Any) -> bool:
    """Whether maps appear as in ChimeraX rather than mirrored."""
    return tuple(str(o) for o in camera_of(viewer).orientation) == CHIMERAX


def is_dark(viewer: Any) -> bool:
    """Whether the window's theme has a dark background."""
    red, green, blue = get_theme(str(viewer.theme)).background.as_rgb_tuple()[:3]
    return 0.3 * red + 0.59 * green + 0.11 * blue < 128  # as bright as the eye has it


def set_chimerax_handed(viewer: Any, is_wanted: bool) -> None:
    """Turn the y axis up, or down again; data are left alone."""
    camera_of(viewer).orientation = CHIMERAX if is_wanted else NAPARI


def toggle_handedness(viewer: "napari.viewer.Viewer") -> None:  # noqa: F821
    """Menu command: between the handedness of ChimeraX and napari's own."""
    set_chimerax_handed(viewer, not is_chimerax_handed(viewer))


def show_scale_bar(viewer: Any) -> None:
    """A scale bar, in Å where the layers say so."""
    canvas = getattr(viewer, "canvas", None)
    overlays = getattr(canvas, "overlays", None)  # napari 0.9; before, viewer.scale_bar
    bar = viewer.scale_bar if overlays is None else overlays.scale_bar
    bar.visible = True


def frame_molecule(viewer: Any, layer: Any) -> None:
    """Show a molecule in 3-D, filling the canvas, with a scale bar."""
    viewer.dims.ndisplay = 3
    canvas = getattr(viewer, "canvas", None)
    if layer.rendering == "mip" and hasattr(canvas, "background_color_override"):
        canvas.background_color_override = "black"  # its box would be a black shape on white
    viewer.reset_view(layers=[layer])
    show_scale_bar(viewer)


def ease_rendering(layer: Any) -> None:
    """Leave isosurfaces where the processor has to draw them, seconds a frame."""
    if layer.rendering == "iso" and draws_in_software():
        layer.rendering = "mip"
        show_info(
            "No graphics card was found, so maximum projections are shown; choose rendering: iso "
            "in the layer controls to have surfaces, at some seconds a frame."
        )


def hypermol_of(layer: Any, kind: str | None = None) -> dict[str, Any] | None:
    """What the plugin noted about a layer, if it made it; of one `kind` only, if given."""
    facts = layer.metadata.get("hypermol")
    if not isinstance(facts, dict) or (kind is not None and facts.get("kind") != kind):
        return None
    return facts


def states_shown(viewer: Any, layer: Any) -> dict[str, float]:
    """The state of every axis of a layer that the sliders stand at.

    Parameters
    ----------
    viewer : napari Viewer
    layer : napari layer
        Of kind "states".

    Returns
    -------
    dict of str to float
        tau1, tau2, ... in [0, 1]; empty where the layer is not, or no longer, in the viewer.
    """
    facts = hypermol_of(layer, "states") or {}
    axes = facts.get("axes", ())
    first = viewer.dims.ndim - layer.ndim
    if layer not in viewer.layers or first < 0:
        return {}
    point = viewer.dims.point[first : first + len(axes)]
    # `+ 0.0`: no negative zeros on the screen
    return {a.name: float(np.clip(p, 0, 1)) + 0.0 for a, p in zip(axes, point, strict=True)}


def set_states(viewer: Any, layer: Any, states: Sequence[float]) -> None:
    """Move the sliders to a state of a layer."""
    if not len(states):
        return
    first = viewer.dims.ndim - layer.ndim
    viewer.dims.set_point(list(range(first, first + len(states))), list(states))


def welcome(viewer: Any, layer: Any) -> None:
    """Show a molecule in 3-D, half way along its states; other layers of ours step aside."""
    facts = hypermol_of(layer, "states") or {}
    make_room(viewer)
    layer.visible = True
    set_states(viewer, layer, middle_states(facts.get("axes", ())))
    ease_rendering(layer)
    frame_molecule(viewer, layer)


def make_room(viewer: Any) -> None:
    """Other layers of ours step aside for a molecule that is coming.

    Two molecules in one place cannot be told apart, nor a molecule and images that lie through it.
    """
    for layer in viewer.layers:
        if (hypermol_of(layer) or {}).get("kind") in ("states", "particles"):
            layer.visible = False

"""Open a run in a viewer the way we would have it seen; the menu command asks which."""

import contextlib
from pathlib import Path
from typing import Any

from napari_hypermol.errors import HypermolError
from napari_hypermol.plugin.preferences import preferences
from napari_hypermol.plugin.viewing import (
    ease_rendering,
    frame_molecule,
    hypermol_of,
    make_room,
    set_chimerax_handed,
    set_states,
)
from napari_hypermol.runs.state_axes import middle_states
from napari_hypermol.runs.store import Run

__all__ = ["ask_for_run", "check_run", "open_run"]


def open_run(viewer: Any, path: str | Path) -> list[Any]:
    """Open a run folder in 3-D, half way along every state, with the user's handedness.

    Parameters
    ----------
    viewer : napari Viewer
    path : path
        Run folder.

    Returns
    -------
    list of napari layers
        Empty where the run holds nothing yet; the user was told so.
    """
    with contextlib.suppress(HypermolError):  # of which the reader will tell
        make_room(viewer, Run.open(path).pixel_size)
    layers = viewer.open(str(path), plugin="napari-hypermol")
    for layer in layers:
        axes = (hypermol_of(layer, "states") or {}).get("axes", ())
        set_states(viewer, layer, middle_states(axes))
        set_chimerax_handed(viewer, preferences().is_chimerax_handed)
        ease_rendering(layer)
        frame_molecule(viewer, layer)
    return list(layers)


def check_run(viewer: "napari.viewer.Viewer") -> None:  # noqa: F821
    """Menu command: whether the run on the screen can be believed."""
    from napari_hypermol.plugin.widgets.studio import open_page

    open_page(viewer, "Check")


def ask_for_run(viewer: "napari.viewer.Viewer") -> None:  # noqa: F821
    """Menu command: ask for a run folder and open it."""
    from qtpy.QtWidgets import QFileDialog

    folder = QFileDialog.getExistingDirectory(None, "Choose a run folder")
    if folder:
        open_run(viewer, folder)

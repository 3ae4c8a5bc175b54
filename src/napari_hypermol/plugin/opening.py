"""Open a run in a viewer the way we would have it seen; the menu command asks which."""

import contextlib
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error

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
from napari_hypermol.runs.run_facts import is_run_folder
from napari_hypermol.runs.state_axes import middle_states

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
    if not is_run_folder(Path(path)):
        show_error(f"{path}: is not a run folder; choose one that a run has made")
        return []
    shown = [x for x in viewer.layers if _shows(x, Path(path))]
    if shown:  # it is there: to the front with it
        make_room(viewer)
        shown[-1].visible = True
        viewer.layers.selection.active = shown[-1]
        return shown[-1:]
    with contextlib.suppress(HypermolError):  # of which the reader will tell
        make_room(viewer)
    layers = viewer.open(str(path), plugin="napari-hypermol")
    for layer in layers:
        axes = (hypermol_of(layer, "states") or {}).get("axes", ())
        set_states(viewer, layer, middle_states(axes))
        set_chimerax_handed(viewer, preferences().is_chimerax_handed)
        ease_rendering(layer)
        frame_molecule(viewer, layer)
    return list(layers)


def _shows(layer: Any, folder: Path) -> bool:
    facts = hypermol_of(layer, "states") or {}
    return bool(facts.get("run")) and Path(facts["run"]) == folder.resolve()


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

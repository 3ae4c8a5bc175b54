"""``python -m napari_hypermol.plugin.show RUN``: napari with a run and the studio."""

import sys
from pathlib import Path

import napari

from napari_hypermol.plugin.opening import open_run
from napari_hypermol.plugin.widgets.studio import open_page

__all__ = ["show"]


def show(path: Path) -> "napari.Viewer":
    """A viewer with a run in it, the studio docked; the caller starts the event loop."""
    viewer = napari.Viewer(title=path.name)
    open_page(viewer, "Run")
    open_run(viewer, path)
    return viewer


if __name__ == "__main__":
    show(Path(sys.argv[1]))
    napari.run()

"""Make the pictures of the documentation from a real run.

xvfb-run -a -s "-screen 0 1600x1000x24" python docs/make_screenshots.py [RUN]

RUN is the folder of a run of the pretzel; without it, one is simulated and reconstructed first.
"""

import sys
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
from imageio.v3 import imwrite
from qtpy.QtWidgets import QApplication

from napari_hypermol.plugin import viewing
from napari_hypermol.plugin.opening import open_run
from napari_hypermol.plugin.viewing import (
    camera_of,
    set_chimerax_handed,
    set_states,
    show_scale_bar,
)
from napari_hypermol.plugin.widgets.studio import open_page
from napari_hypermol.runs.reconstruct import Job, reconstruct
from napari_hypermol.runs.store import Run
from napari_hypermol.synthetic.simulate import Simulation, simulate

IMAGES = Path(__file__).with_name("images")
SIZE = (1440, 899)
VIEW = (0.0, 12.0, 72.0)  # degrees: nearly along y, where both arms swing up and down
KNOBS = (0.0, 0.25, 0.5, 0.75, 1.0)


def demo_run() -> Path:
    """Simulate and reconstruct the pretzel."""
    folder = Path(tempfile.mkdtemp()) / "pretzel"
    simulate(Simulation("pretzel"), folder)
    reconstruct(Job(folder / "particles.star", folder / "run", folder / "recipe.yaml"))
    return folder / "run"


def settled(seconds: float = 1.0) -> None:
    """Let Qt lay out and draw."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        QApplication.processEvents()
        time.sleep(0.02)


def window() -> napari.Viewer:
    """A viewer of the documentation's size, with the studio."""
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    open_page(viewer, "Run")
    settled()
    return viewer


def save(viewer: napari.Viewer, name: str) -> None:
    """The whole window."""
    settled()
    viewer.window.resize(SIZE[0], SIZE[1] + 1)  # the status bar lays itself out anew
    settled(3.0)
    imwrite(IMAGES / name, viewer.screenshot(canvas_only=False, flash=False)[..., :3])


def picture_of_run(path: Path) -> None:
    """The molecule with its knobs, the widget beside it."""
    viewer = window()
    (layer,) = open_run(viewer, path)
    camera_of(viewer).angles = VIEW
    camera_of(viewer).zoom *= 1.05
    set_states(viewer, layer, (0.2, 0.85))
    save(viewer, "run.png")
    viewer.close()


def picture_of_particles(path: Path) -> None:
    """What went in."""
    viewer = window()
    (layer,) = viewer.open(path, plugin="napari-hypermol")
    set_chimerax_handed(viewer, True)
    show_scale_bar(viewer)
    viewer.dims.set_current_step(0, 17)
    viewer.reset_view(layers=[layer])
    save(viewer, "particles.png")
    viewer.close()


def picture_of_knobs(path: Path) -> None:
    """One arm through its states, then the other."""
    viewer = napari.Viewer()
    viewer.window.resize(900, 760)
    (layer,) = open_run(viewer, path)
    camera_of(viewer).angles = VIEW
    camera_of(viewer).zoom *= 1.2
    viewer.canvas.overlays.scale_bar.visible = False
    rows = []
    for axis in (0, 1):
        row = []
        for state in KNOBS:
            states = [0.5, 0.5]
            states[axis] = state
            set_states(viewer, layer, states)
            settled(0.5)
            row.append(_middle(viewer.screenshot(flash=False)[..., :3]))
        rows.append(np.concatenate(row, axis=1))
    imwrite(IMAGES / "knobs.png", np.concatenate(rows, axis=0))
    viewer.close()


def _middle(image: np.ndarray) -> np.ndarray:
    """What is around the molecule, at half size."""
    height, width = (n // 2 for n in image.shape[:2])
    high, wide = min(height, 180), min(width, 250)
    cut = image[height - high : height + high, width - wide : width + wide]
    return cut.reshape(high, 2, wide, 2, 3).mean(axis=(1, 3)).astype(np.uint8)


def main() -> None:
    """Make every picture."""
    IMAGES.mkdir(exist_ok=True)
    viewing.draws_in_software = lambda: False  # for pictures, isosurfaces are worth the wait
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else demo_run()
    picture_of_run(path)
    picture_of_particles(Path(Run.open(path).facts["particles"]))
    picture_of_knobs(path)


if __name__ == "__main__":
    main()

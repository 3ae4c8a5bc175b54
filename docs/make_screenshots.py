"""Make the pictures and the short movie of the documentation from a real run.

xvfb-run -a -s "-screen 0 1920x1200x24" python docs/make_screenshots.py [RUN] [--large FOLDER]

RUN is the folder of a run of the pretzel; without it, one is simulated and reconstructed first.
--large also puts every page of the studio at 1920 x 1080, dark and light, into a folder, to be
looked at.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import napari
import numpy as np
from imageio.v3 import imwrite
from qtpy.QtWidgets import QApplication

from napari_hypermol.plugin import layers
from napari_hypermol.plugin.opening import open_run
from napari_hypermol.plugin.viewing import (
    camera_of,
    set_states,
)
from napari_hypermol.plugin.widgets.studio import open_page
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.store import Run
from napari_hypermol.synthetic.simulate import Simulation, simulate

IMAGES = Path(__file__).with_name("images")
SIZE = (1280, 799)  # one row is added to make napari lay its sliders out anew
LARGE = (1920, 1079)
PAGES_SHOWN = ("Components", "Run", "States", "Check")
FRAMES = 24  # of the movie: each arm once to and fro
VIEW = (0.0, 12.0, 72.0)  # degrees: nearly along y, where both arms swing up and down
LASSO = [(0.55, 0.55), (0.95, 0.5), (0.9, 0.95), (0.6, 0.9)]


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


def window(size: tuple[int, int] = SIZE) -> napari.Viewer:
    """A viewer of the documentation's size, with the studio."""
    viewer = napari.Viewer()
    viewer.window.resize(*size)
    open_page(viewer, "Particles")
    settled()
    return viewer


def save(viewer: napari.Viewer, path: Path, size: tuple[int, int] = SIZE) -> None:
    """The whole window."""
    settled(3.0)
    viewer.window.resize(size[0], size[1] + 1)  # sliders and status bar lay themselves out anew
    settled(3.0)
    imwrite(path, viewer.screenshot(canvas_only=False, flash=False)[..., :3])
    viewer.window.resize(*size)


def molecule(viewer: napari.Viewer, path: Path) -> Any:
    """A run, seen from where both arms swing up and down."""
    (layer,) = open_run(viewer, path)
    camera_of(viewer).angles = VIEW
    set_states(viewer, layer, (0.2, 0.85))
    return layer


def pictures_of_pages(path: Path, folder: Path, size: tuple[int, int], theme: str) -> None:
    """Every page of the studio, beside the particles or the molecule."""
    viewer = window(size)
    viewer.theme = theme
    viewer.open(Run.open(path).facts["particles"], plugin="napari-hypermol")
    settled(3.0)
    open_page(viewer, "Particles").pages["Particles"].look.low_pass.setValue(20.0)
    save(viewer, folder / "studio-particles.png", size)
    viewer.close()
    viewer = window(size)
    viewer.theme = theme
    layer = molecule(viewer, path)
    settled(5.0)
    for title in PAGES_SHOWN:
        page = open_page(viewer, title).pages[title]
        if title == "Components":  # its outlines are seen in slices
            viewer.dims.ndisplay = 2
            viewer.reset_view(layers=[layer])
            page.list.choose("arm_a")
        if title == "States":
            viewer.dims.ndisplay = 3
            page.panel.landscape.outlined.emit(LASSO, "replace", True)
        save(viewer, folder / f"studio-{title.lower()}.png", size)
    viewer.close()


def _middle(image: np.ndarray) -> np.ndarray:
    """What is around the molecule, at half size."""
    height, width = (n // 2 for n in image.shape[:2])
    high, wide = min(height, 180), min(width, 250)
    cut = image[height - high : height + high, width - wide : width + wide]
    return cut.reshape(high, 2, wide, 2, 3).mean(axis=(1, 3)).astype(np.uint8)


def movie_of_knobs(path: Path) -> None:
    """One arm to and fro, then the other."""
    viewer = napari.Viewer()
    viewer.window.resize(900, 760)
    layer = molecule(viewer, path)
    camera_of(viewer).zoom *= 1.2
    frames = []
    for axis in (0, 1):
        for turn in np.arange(FRAMES) / FRAMES:
            states = [0.5, 0.5]
            states[axis] = 0.5 + 0.5 * np.sin(2 * np.pi * turn)
            set_states(viewer, layer, states)
            settled(0.5)
            frames.append(_middle(viewer.screenshot(flash=False)[..., :3]))
    imwrite(IMAGES / "knobs.gif", frames, duration=80, loop=0)
    viewer.close()


def main() -> None:
    """Make every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--large", type=Path)
    given = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    layers.RENDERING = "mip"  # isosurfaces take seconds a frame where there is no graphics card
    path = given.run or demo_run()
    pictures_of_pages(path, IMAGES, SIZE, "dark")
    movie_of_knobs(path)
    if given.large:
        for theme in ("dark", "light"):
            folder = given.large / theme
            folder.mkdir(parents=True, exist_ok=True)
            pictures_of_pages(path, folder, LARGE, theme)


if __name__ == "__main__":
    main()

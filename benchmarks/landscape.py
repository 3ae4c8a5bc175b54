"""Select and redraw 300,000 particles on the States page: milliseconds in the real widget.

python benchmarks/landscape.py [particles]   (without a display: xvfb-run -a python ...)

Synthetic states in two dimensions on the run of a small simulation. Selecting is everything from a
lasso of 200 corners to the count and the highlight on the screen; redrawing is from a change of
axes or colours to the picture. Both are painted: `QWidget.grab` of the page is in the time.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
import yaml

from napari_hypermol.plugin.widgets.studio import open_page
from napari_hypermol.runs.browsing import Browsed
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.occupancy import Occupancy
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.store import Run
from napari_hypermol.synthetic.simulate import Simulation, simulate

ROUNDS = 15


def small_run(folder: Path) -> Run:
    """A pretzel of two states: its maps are not measured."""
    simulate(Simulation("pretzel", n=60, box_size=24, pixel_size=4.0, snr=1.0), folder)
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    recipe["schedule"] = [{"resolution": 24.0, "degree": 1, "sweeps": 1}]
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    job = Job(folder / "particles.star", folder / "run", folder / "recipe.yaml")
    return reconstruct(job)


def synthetic(run: Run, n: int) -> Browsed:
    """Two populated ends and a way between them, for either state."""
    rng = np.random.default_rng(0)
    states = np.where(rng.random((n, 2)) < 0.7, rng.beta(2, 9, (n, 2)), rng.random((n, 2)))
    even = [Occupancy(axis, np.linspace(0, 1, 32), np.full(32, 1 / 32)) for axis in run.maps.axes]
    return Browsed(run, run.maps.axes, states, np.full((n, 2), 0.05), even, None)


def lasso(number: int) -> list[tuple[float, float]]:
    """A wavy outline drawn by hand, another one each time."""
    turn = np.linspace(0, 2 * np.pi, 200)
    radius = 0.3 + 0.05 * np.sin((3 + number % 5) * turn)
    return list(zip(0.4 + radius * np.cos(turn), 0.4 + radius * np.sin(turn), strict=True))


def report(name: str, action: Callable[[int], None], page) -> None:
    """Median and slowest of many rounds, painting included; and what of it is the processor's."""
    times = []
    for number in range(ROUNDS + 1):
        began = time.perf_counter(), time.process_time()
        action(number)
        page.grab()
        times.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    # the first one warms up
    (wall, work), slowest = 1000 * np.median(times[1:], axis=0), 1000 * max(times[1:])[0]
    print(f"{name:34} median {wall:6.1f} ms ({work:6.1f} of processor), slowest {slowest:6.1f} ms")


def main(n: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        run = small_run(Path(folder) / "data")
        viewer = napari.Viewer()
        page = open_page(viewer, "States").pages["States"]
        browser = page.browser
        page.session.run = run
        while browser.background.is_busy:
            napari.qt.get_qapp().processEvents()
        browser.browsed = synthetic(run, n)
        browser.read.emit()
        panel = page.panel
        print(f"{n:,} particles")
        report("painting the page alone", lambda number: None, page)

        def select(number: int) -> None:
            panel.landscape.outlined.emit(lasso(number), "replace", True)

        report("lasso: select, count, highlight", select, page)
        page.session.selection = None

        def turn_log(number: int) -> None:
            panel.log.setChecked(number % 2 == 0)

        report("redraw two axes", turn_log, page)

        def swap(number: int) -> None:
            panel.x_axis.setCurrentIndex(number % 2)

        panel.y_axis.setCurrentIndex(0)
        report("redraw one axis, the other one", swap, page)
        report("range: select, count, highlight", lambda number: panel.landscape.outlined.emit(
            [(0.1,), (0.3 + 0.02 * number,)], "replace", True), page)  # fmt: skip
        viewer.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300_000)

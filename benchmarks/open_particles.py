"""Open 100,000 particles in the window: seconds to the layer, and the longest that it stood still.

python benchmarks/open_particles.py [n]       (needs a display; xvfb-run will do)

The file is that of `open_million`: 25 columns of RELION 3.1, sparse stacks of 1000 images of
128 px. The Particles page reads it in a worker. A timer of 5 ms runs meanwhile; the longest time
between two of its beats is how long the window did not answer.
"""

import sys
import tempfile
import time
from pathlib import Path

import napari
from open_million import generate
from qtpy.QtCore import QTimer

from napari_hypermol.plugin.widgets.studio import open_page

PATIENCE = 60.0  # [s]
ROWS_LOOKED_AT = 20


class Beats:
    """The longest time between two beats of a timer."""

    def __init__(self):
        self.worst, self.last = 0.0, time.perf_counter()
        self.timer = QTimer()
        self.timer.timeout.connect(self.beat)
        self.timer.start(5)

    def beat(self):
        """One beat."""
        now = time.perf_counter()
        self.worst, self.last = max(self.worst, now - self.last), now

    def reset(self):
        """Begin anew."""
        self.worst, self.last = 0.0, time.perf_counter()


def wait(app, is_done):
    start = time.perf_counter()
    while not is_done() and time.perf_counter() - start < PATIENCE:
        app.processEvents()
    return time.perf_counter() - start


def settle(app, seconds=1.0):
    start = time.perf_counter()
    wait(app, lambda: time.perf_counter() - start > seconds)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    viewer = napari.Viewer()
    app = napari.qt.get_qapp()
    page = open_page(viewer, "Particles").pages["Particles"]
    settle(app)
    beats = Beats()
    for name, count in (("a small file, to have all loaded", 2000), (f"{n:,} particles", n)):
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder), count)
            path = str(Path(folder) / "particles.star")
            layers = len(viewer.layers)
            beats.reset()
            page.path.text = path
            seconds = wait(app, lambda: len(viewer.layers) > layers)  # noqa: B023
            beats.beat()
            print(f"{name}: layer after {seconds:.2f} s, longest gap {1e3 * beats.worst:.0f} ms")
            settle(app)
            beats.reset()
            for row in range(0, count, count // ROWS_LOOKED_AT):
                viewer.dims.set_current_step(0, row)
                app.processEvents()
            beats.beat()
            print(f"  {ROWS_LOOKED_AT} jumps of the slider, longest {1e3 * beats.worst:.0f} ms")
            start = time.perf_counter()
            page.table.particles.sort(8)
            print(f"  sorted by defocus in {1e3 * (time.perf_counter() - start):.0f} ms")
    viewer.close()


if __name__ == "__main__":
    main()

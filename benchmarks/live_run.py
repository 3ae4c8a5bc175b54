"""A live run as its user feels it: first picture, stalls of the window, stop on closing.

xvfb-run -a -s "-screen 0 1920x1200x24" python benchmarks/live_run.py [--n 4000] [--watch 20]

Starts a run of the simulated pretzel from the Run page, as the button does, and prints

- seconds from Start to the first picture of the molecule on the screen,
- the longest gap between ticks of a timer of 10 ms while the run is at work, with what the main
  thread did in it, in 3-D and in slices; beside that of a window in which the same layer is only
  redrawn in 3-D, which is what drawing takes where there is no graphics card,
- seconds from closing the window until the run's process is gone, its last snapshot intact.

Numba's compiled code is cached by a first, short run. The load of the machine is printed as well:
other work makes all three larger.
"""

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import napari
import numpy as np
import yaml
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_hypermol.plugin.widgets import run as run_page
from napari_hypermol.plugin.widgets.studio import open_page
from napari_hypermol.runs.status import process_is_there, read_status
from napari_hypermol.runs.store import Run
from napari_hypermol.synthetic.simulate import Simulation, simulate


class Ticks:
    """A timer of 10 ms, its longest gap, and what was called in the main thread meanwhile."""

    def __init__(self) -> None:
        self.last, self.busy = time.perf_counter(), time.thread_time()
        self.gaps: list[tuple[float, float, str]] = []
        self.notes: list[str] = []
        self.timer = QTimer()
        self.timer.timeout.connect(self._tick)

    def _tick(self) -> None:
        now, busy = time.perf_counter(), time.thread_time()
        self.gaps.append((now - self.last, busy - self.busy, ", ".join(self.notes)))
        self.last, self.busy = now, busy
        self.notes.clear()

    def start(self) -> None:
        """Begin anew."""
        self.gaps.clear()
        self.last, self.busy = time.perf_counter(), time.thread_time()
        self.timer.start(10)

    def watch(self, owner: Any, name: str) -> None:
        """Note every call of a function, and how long it took."""
        function = getattr(owner, name)

        def noted(*arguments: Any, **more: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*arguments, **more)
            finally:
                self.notes.append(f"{name} {1000 * (time.thread_time() - began):.0f}")

        setattr(owner, name, noted)

    def told(self) -> str:
        """The longest gaps: in all, what the main thread computed, and in which calls [ms]."""
        worst = sorted(self.gaps, reverse=True)[:4]
        return "".join(
            f"\n  {1000 * gap:.0f} ms, busy {1000 * busy:.0f} ({what or 'not ours'})"
            for gap, busy, what in worst
        )


def until(condition: Any, seconds: float = 120.0) -> float:
    """Run the event loop until something is true; seconds it took."""
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > seconds:
            raise TimeoutError
        QApplication.processEvents()
        time.sleep(0.001)
    return time.perf_counter() - began


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    until(lambda: time.perf_counter() > end, seconds + 60)


def gone_at(pid: int) -> float:
    """When a process is there no more."""
    while process_is_there(pid, time.time()):
        time.sleep(0.005)
    return time.perf_counter()


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=4000)
    parser.add_argument("--watch", type=float, default=20.0, help="seconds to watch the window")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    particles = simulate(Simulation("pretzel", n=options.n), folder / "data")
    draft = yaml.safe_load((folder / "data" / "recipe.yaml").read_text(encoding="utf-8"))
    run_page.ask_about_run = lambda parent, name: "stop"

    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    page = open_page(viewer, "Run").pages["Run"]
    viewer.open(particles, plugin="napari-hypermol")
    page.session.load(draft, folder / "data")
    spin(2)

    ticks = Ticks()
    ticks.watch(run_page.RunPage, "_show_status")
    ticks.watch(run_page.Traces, "show_sweeps")
    ticks.watch(run_page.MoleculeLayer, "show")
    ticks.watch(run_page.RunPage, "_take")

    page.out.text = str(folder / "warm")  # numba's cache, the disk's
    page.box.start.click()
    until(lambda: not page._molecule.is_empty)
    page.box.stop.click()
    until(lambda: page._live is None)
    viewer.layers.pop()
    spin(1)

    out = folder / "run"
    page.out.text = str(out)
    before = load()
    clicked = time.perf_counter()
    page.box.start.click()
    print(f"the click itself: {time.perf_counter() - clicked:.2f} s")
    ticks.start()
    until(lambda: not page._molecule.is_empty)
    QApplication.processEvents()
    viewer.screenshot(flash=False)  # drawn, not only asked for
    print(f"first picture: {time.perf_counter() - clicked:.1f} s ({before})")
    print(f"longest gaps until then: {ticks.told()}")

    until(lambda: bool(Run.open(out).snapshots()))
    for ndisplay, view in ((3, "3-D"), (2, "slices")):
        viewer.dims.ndisplay = ndisplay
        spin(1)
        ticks.start()
        spin(options.watch)
        print(
            f"longest gaps in {options.watch:.0f} s of the run, {view}: {ticks.told()} ({load()})"
        )
        gaps = 1000 * np.array([gap for gap, *_ in ticks.gaps])
        print(f"gaps above 100 ms: {int((gaps > 100).sum())} of {len(gaps)}")
    viewer.dims.ndisplay = 3

    layer = page._molecule.layer
    page.box.pause.click()
    until(lambda: page._phase == "paused")
    ticks.start()
    end = time.perf_counter() + 3
    while time.perf_counter() < end:
        layer.refresh()
        spin(0.3)
    print(f"longest gaps when the layer is only redrawn: {ticks.told()}")
    page.box.pause.click()
    until(lambda: page._phase == "running")

    pid = page._launch.pid
    position = Run.open(out).snapshots()[-1]
    closing = time.perf_counter()
    # from a thread: after closing, napari is busy with taking its window apart
    watching = ThreadPoolExecutor(1).submit(gone_at, pid)
    page.window().close()  # as the cross in its corner does
    closed = time.perf_counter() - closing
    gone = watching.result() - closing
    assert Run.open(out).snapshots()[-1] >= position
    assert Run.open(out).maps.volume([0.5, 0.5]).any()
    assert read_status(out).phase == "stopped"
    print(f"closing: window {closed:.2f} s, process gone after {gone:.2f} s ({load()})")


if __name__ == "__main__":
    main()

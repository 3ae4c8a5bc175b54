"""Runs small enough for a test: simulated stacks, short recipes."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from napari_hypermol.runs.job import Job
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.store import Run
from napari_hypermol.synthetic.simulate import Simulation, simulate

PRETZEL = Simulation("pretzel", n=300, box_size=32, pixel_size=6.0, snr=1.0, shift_std=1.0, seed=3)
TINY = PRETZEL._replace(n=60, box_size=24, pixel_size=8.0)
EDGE = 192.0  # of both boxes [Å]

# Two stages and eight sweeps instead of thirteen at two band limits.
BRIEF = [
    {"resolution": 24, "degree": 0, "sweeps": 1},
    {"resolution": 24, "degree": 1, "sweeps": 4},
]

# A state of every kind: a circle, three classes, a position; balls within a box of 192 Å.
MIXED = {
    "ring": {
        "support": {"ball": {"center": [-30, 0, 0], "radius": 40}},
        "state": {"basis": "fourier", "degree": 1},
    },
    "lobe": {
        "support": {"ball": {"center": [30, 20, 0], "radius": 40}},
        "state": {"basis": "classes", "classes": 3},
    },
    "lid": {
        "support": {"ball": {"center": [0, -30, 20], "radius": 40}},
        "trajectory": {"turn": {"degree": 1}},
    },
}


class SmallRun(NamedTuple):
    """A finished run and the folder of the simulation it was made from."""

    run: Run
    data: Path


def simulated(folder: Path, plan: Simulation = TINY, **changes: Any) -> Path:
    """Simulate into `folder`, replace parts of the recipe; returns the folder."""
    simulate(plan, folder)
    path = folder / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return folder


def recovered(data: Path, out: Path, **more: Any) -> SmallRun:
    """Run the recipe of a simulation's folder."""
    return SmallRun(
        reconstruct(Job(data / "particles.star", out, data / "recipe.yaml", **more)), data
    )

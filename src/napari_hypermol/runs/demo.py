"""The demo: a molecule nobody has to supply, from particles to a picture a person understands."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.runs.report import montage, projection
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.truth import Truth

__all__ = ["demo_picture"]

_STEPS = 6


def demo_picture(run: Run, truth: Truth, result: dict[str, Any], path: Path) -> None:
    """Particles, the true molecule and the recovered one along every state, as one PNG.

    Parameters
    ----------
    run : Run
    truth : Truth
        With its maps.
    result : dict
        From `score`.
    path : Path
    """
    images = run.read_particles().particles.images[:_STEPS].compute()
    smooth = [_smoothed(image) for image in images]
    rows = [("particles", [s - s.min() for s in smooth])]
    steps = np.linspace(0.05, 0.95, _STEPS)
    for axis, (component, entry) in enumerate(zip(truth.moving, result["maps"], strict=True)):
        true, found = [], []
        index = int(result["states"][axis]["found"].removeprefix("hypermolState")) - 1
        for step in steps:
            nearest = int(np.abs(component.states - step).argmin())
            rest = [
                c.volumes[len(c.volumes) // 2] for c in truth.components or [] if c is not component
            ]
            true.append(projection(sum(rest, component.volumes[nearest])))
            state = [0.5] * run.maps.dims
            state[index] = float(np.interp(step, entry["true_states"], entry["found_states"]))
            found.append(projection(run.maps.volume(state)))
        name = component.name.replace("_", " ")
        rows += [(f"{name},\ntruth", true), (f"{name},\nrecovered", found)]
    figure = montage(rows, [""] * _STEPS)
    figure.savefig(path, dpi=110)


def _smoothed(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """As it is, but clipped: noise has no outliers worth showing."""
    low, high = np.percentile(image, [1, 99])
    return np.clip(image, low, high)

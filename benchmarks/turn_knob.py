"""Turn a knob at 128^3: milliseconds from the slider to the new state's map.

python benchmarks/turn_knob.py [box] [clam]   (without a display: xvfb-run -a python ...)

A body and two arms that share coefficients, cosine degree 5, random coefficients: what it costs
does not depend on the numbers. With `clam`, a lid that moves as a whole on its base instead.
Measures the map alone (`HyperMaps.volume`), then the whole way in napari with its asynchronous
slicing off: `viewer.dims.set_point` returns when the layer has its slice. Drawing is not in it; it
is the graphics card's.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np

from napari_hypermol.plugin.layers import maps_layer
from napari_hypermol.plugin.viewing import set_states
from napari_hypermol.runs.from_recipe import composite_of
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.recipe_text import recipe_from
from napari_hypermol.synthetic.recipes import components_of

TURNS = 20


def pretzel(box: int) -> HyperMaps:
    """The pretzel's supports, filled with noise."""
    unit = box / 64
    state = {"basis": "cosine", "dims": 1, "degree": 5}
    arm = {"ball": {"center": [14.5 * unit, 1.5 * unit, 0.5 * unit], "radius": 12.5 * unit}}
    components = {
        "body": {"support": {"ball": {"radius": 21 * unit}}},
        "arm_a": {"support": arm, "state": state},
        "arm_b": {"share": "arm_a", "placed": {"axis": [0, 0, 1], "angle": 180}, "state": {}},
    }
    return filled(components, box)


def clam(box: int) -> HyperMaps:
    """The clam's supports and trajectory, filled with noise."""
    return filled(components_of("clam", box / 64), box)


def filled(components: dict[str, Any], box: int) -> HyperMaps:
    """A molecule of these components with random coefficients, voxels of 1 Å."""
    recipe = recipe_from({"components": components})
    linear = composite_of(recipe, Path(), box, 1.0).discretise(0.45 * box, 5)
    rng = np.random.default_rng(0)
    return HyperMaps(linear, rng.standard_normal(linear.n_coefficients, dtype=np.float32))


def milliseconds(action, dims: int) -> np.ndarray:
    """How long each of many calls takes, one stop of a slider after the other."""
    times = []
    for stop in range(1, TURNS + 1):
        state = (stop / TURNS, *[0.35] * (dims - 1))
        began = time.perf_counter()
        action(state)
        times.append(1000 * (time.perf_counter() - began))
    return np.array(times)


def report(name: str, times: np.ndarray) -> None:
    """A line for the change note."""
    print(f"{name:34} median {np.median(times):6.1f} ms, slowest {times.max():6.1f} ms")


def main(box: int, molecule: Callable[[int], HyperMaps]) -> None:
    """Measure and print."""
    maps = molecule(box)
    began = time.perf_counter()
    maps.volume([0.5] * maps.dims)
    print(f"first map (places the components)  {time.perf_counter() - began:.2f} s")
    began = time.perf_counter()
    limits = maps.contrast_limits
    print(f"contrast limits over all states    {time.perf_counter() - began:.2f} s")
    report("HyperMaps.volume", milliseconds(maps.volume, maps.dims))
    viewer = napari.Viewer(show=False)
    data, attributes, _ = maps_layer(maps, 1.0, "molecule", {})
    layer = viewer.add_image(data, **attributes | {"contrast_limits": limits, "rendering": "mip"})
    viewer.dims.ndisplay = 3

    set_states(viewer, layer, [0.35] * maps.dims)

    def turn(state: tuple[float, ...]) -> None:
        viewer.dims.set_point(0, state[0])
        assert layer.loaded

    report("viewer.dims.set_point, new state", milliseconds(turn, maps.dims))
    report("viewer.dims.set_point, again", milliseconds(turn, maps.dims))
    viewer.close()


if __name__ == "__main__":
    is_clam = "clam" in sys.argv
    sizes = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    main(sizes[0] if sizes else 128, clam if is_clam else pretzel)

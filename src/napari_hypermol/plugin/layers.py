"""Particles, volumes and runs as napari layer tuples; plain functions, no viewer and no Qt.

Space is in Å with the box centre (voxel n // 2) at 0, states are in [0, 1] along axes of their own
that come first. Every layer carries ``metadata["hypermol"]``, by which the rest of the plugin knows
it whatever the user calls it.
"""

import os
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.io.mrc import Volume, open_stack
from napari_hypermol.io.mrc_header import read_header
from napari_hypermol.io.particle_file import ParticleFile
from napari_hypermol.io.stack import computed
from napari_hypermol.plugin.lazy_states import (
    STATE_STEPS,
    RecentVolumes,
    StateMaps,
    lazy_states,
    stops_of,
)
from napari_hypermol.runs.store import Run

__all__ = [
    "COLORMAP",
    "ISO_FRACTION",
    "LayerData",
    "centred",
    "image_limits",
    "lay_along_box",
    "maps_layer",
    "particles_layer",
    "run_layer",
    "stack_layer",
    "volume_layer",
]

LayerData = tuple[Any, dict[str, Any], str]

# Dark to light through one hue: reads as grey levels in a slice, and gives an isosurface at a
# quarter of the range a colour of its own instead of a dark grey.
COLORMAP = {
    "name": "hypermol",
    "colors": [[0, 0, 0, 1], [0.24, 0.50, 0.60, 1], [0.78, 0.90, 0.92, 1], [1, 1, 1, 1]],
    "controls": [0.0, 0.25, 0.6, 1.0],
}
RENDERING = "iso"
ISO_FRACTION = 0.25  # of the highest density, as in the ChimeraX scripts of `runs.series`
_SAMPLED = 24  # images looked at for contrast limits: a tenth of a second, and steady to a few %
_STACK_CHUNK = 16 * 2**20  # bytes of a stack read at once
_UNKNOWN = "pixel"  # unit of a file that does not say how large its pixels are


def centred(shape: tuple[int, ...], pixel_size: float) -> tuple[float, ...]:
    """Where the first voxel lies when voxel n // 2 is at 0 [Å]."""
    return tuple(-(n // 2) * pixel_size for n in shape)


def image_limits(images: Any) -> tuple[float, float]:
    """Contrast limits from a few images at the start, in the middle and at the end."""
    n, few = len(images), _SAMPLED // 3
    starts = sorted({0, max(n // 2 - few, 0), max(n - few, 0)})
    some = np.concatenate([computed(images[s : s + few]).reshape(-1) for s in starts])
    low, high = np.percentile(some, [0.5, 99.5])
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)


def lay_along_box(attributes: dict[str, Any], n: int, length: float) -> dict[str, Any]:
    """Place of a particle layer, which may share a viewer with a molecule, a mask or a ball.

    napari lines layers up by their last axes, so particles come to lie along z. Spread over the
    length of the box, instead of one unit each, they leave the z slider and the camera alone; in
    the same unit, they leave the scale bar its Å.

    Parameters
    ----------
    attributes : dict
        With the scale and translate of the layer, (particle, y, x).
    n : int
        Number of particles.
    length : float
        Edge of the box [Å].

    Returns
    -------
    dict
        New scale, translate and units.
    """
    step = length / n
    return {
        "scale": (step, *(float(s) for s in attributes["scale"][1:])),
        "translate": (-step * (n // 2), *(float(t) for t in attributes["translate"][1:])),
        "units": ("angstrom",) * 3,
    }


def particles_layer(file: ParticleFile) -> LayerData:
    """All particles of a STAR or .cs file as one lazy layer.

    Parameters
    ----------
    file : ParticleFile

    Returns
    -------
    layer : (data, attributes, "image")
        Data (n, y, x), row i is particle i of the file. ``metadata["hypermol"]`` holds the file, so
        that it need not be read again, its path and its particle table.
    """
    particles = file.particles
    size, (n, box_size) = float(particles.pixel_size), particles.images.shape[:2]
    place = {
        "scale": (1.0, size, size),
        "translate": (0.0, *centred(particles.images.shape[1:], size)),
    }
    attributes = {
        "name": file.path.stem,
        "axis_labels": ("particle", "y", "x"),
        **lay_along_box(place, n, box_size * size),
        "contrast_limits": image_limits(particles.images),
        "colormap": "gray",
        "interpolation2d": "linear",
        "metadata": {
            "hypermol": {
                "kind": "particles",
                "particles": str(file.path.resolve()),
                "pixel_size": size,
                "file": file,
                "table": file.table,
            }
        },
    }
    return particles.images, attributes, "image"


def stack_layer(path: str | os.PathLike[str]) -> LayerData:
    """The images of an MRC stack as a lazy layer, (n, y, x)."""
    path = Path(path)
    header = read_header(path)
    stored = open_stack(path)
    rows = max(1, _STACK_CHUNK // stored[0].nbytes)
    images = da.from_array(stored, chunks=(rows, -1, -1), name=False).astype(np.float32)
    size = header.pixel_size or 1.0
    unit = "angstrom" if header.pixel_size else _UNKNOWN
    attributes = {
        "name": _stem(path),
        "axis_labels": ("image", "y", "x"),
        "units": ("dimensionless", unit, unit),
        "scale": (1.0, size, size),
        "translate": (0.0, *centred(stored.shape[1:], size)),
        "contrast_limits": image_limits(stored),
        "colormap": "gray",
        "interpolation2d": "linear",
        "metadata": {"hypermol": {"kind": "stack", "path": str(path.resolve())}},
    }
    return images, attributes, "image"


def volume_layer(volume: Volume, path: str | os.PathLike[str]) -> LayerData:
    """A map read from an MRC file.

    Parameters
    ----------
    volume : Volume
    path : path
        For the name.

    Returns
    -------
    layer : (data, attributes, "image")

    Notes
    -----
    A file with an origin is put there, so that maps of one deposition overlay. One without, as
    RELION writes them, has its centre at 0, where our own maps have it.
    """
    path = Path(path)
    size = volume.pixel_size or 1.0
    is_placed = any(volume.origin)
    corner = volume.origin[::-1] if is_placed else centred(volume.values.shape, size)
    unit = "angstrom" if volume.pixel_size else _UNKNOWN
    highest = float(volume.values.max())
    lowest = float(volume.values.min())
    limits = (0.0, highest) if highest > 0 else (lowest, max(highest, lowest + 1.0))
    attributes = {
        "name": _stem(path),
        "axis_labels": ("z", "y", "x"),
        "units": (unit,) * 3,
        "scale": (size,) * 3,
        "translate": tuple(float(c) for c in corner),
        "contrast_limits": limits,
        "iso_threshold": _usual_threshold(volume.values, limits),
        "rendering": RENDERING,
        "colormap": COLORMAP,
        "interpolation2d": "linear",
        "metadata": {"hypermol": {"kind": "volume", "path": str(path.resolve())}},
    }
    return volume.values, attributes, "image"


def _usual_threshold(values: NDArray[np.float32], limits: tuple[float, float]) -> float:
    """Three standard deviations above the mean, where surfaces of maps are usually looked at."""
    span = limits[1] - limits[0]
    usual = float(values.mean() + 3 * values.std())
    return float(np.clip(usual, limits[0] + 0.05 * span, limits[0] + 0.7 * span))


def maps_layer(
    maps: StateMaps,
    pixel_size: float,
    name: str,
    facts: dict[str, Any],
    steps: int = STATE_STEPS,
) -> LayerData:
    """A hypermolecule as one lazy layer whose first axes are its states.

    Parameters
    ----------
    maps : StateMaps
    pixel_size : float
        Edge of a voxel [Å].
    name : str
    facts : dict
        Goes into ``metadata["hypermol"]``, beside the axes.
    steps : int
        Stops of the slider of a range; see `stops_of`.

    Returns
    -------
    layer : (data, attributes, "image")
        Data (tau1, ..., tau_d, z, y, x); world coordinates of the state axes are the states.

    Notes
    -----
    Nothing but the contrast limits is computed here: napari cannot know them from one state.
    """
    dims, size, axes = maps.dims, float(pixel_size), maps.axes
    stops = stops_of(axes, steps)
    limits = maps.contrast_limits
    attributes = {
        "name": name,
        "axis_labels": (*(axis.label for axis in axes), "z", "y", "x"),
        "units": ("dimensionless",) * dims + ("angstrom",) * 3,
        "scale": (*(float(s[1] - s[0]) for s in stops), *(size,) * 3),
        "translate": (*(float(s[0]) for s in stops), *centred((maps.box_size,) * 3, size)),
        "contrast_limits": limits,
        "iso_threshold": ISO_FRACTION * limits[1],
        "rendering": RENDERING,
        "colormap": COLORMAP,
        "interpolation2d": "linear",
        "multiscale": False,
        "metadata": {
            "hypermol": {
                "kind": "states",
                "axes": axes,
                "pixel_size": size,
                **facts,
            }
        },
    }
    return lazy_states(RecentVolumes(maps, stops)), attributes, "image"


def run_layer(run: Run, steps: int = STATE_STEPS) -> LayerData:
    """The hypermolecule of a run folder, at its latest snapshot.

    Parameters
    ----------
    run : Run
    steps : int
        Stops of the slider of a range.

    Returns
    -------
    layer : (data, attributes, "image")

    Raises
    ------
    RunFolderError
        If the run holds no snapshot yet.
    """
    path = run.path.resolve()
    facts = {
        "run": str(path),
        "particles": str(run.facts["particles"]),
        "recipe": str(path / "recipe.yaml"),
    }
    return maps_layer(run.maps, run.pixel_size, path.name, facts, steps)


def _stem(path: Path) -> str:
    """A file's name without its endings: map.mrc.gz -> map."""
    name = path.name
    for ending in (".gz", ".bz2", ".mrcs", ".mrc", ".map"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name or path.name

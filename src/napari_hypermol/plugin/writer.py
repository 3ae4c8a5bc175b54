"""Maps out of napari: a volume as one MRC file, a layer with states as a series for ChimeraX.

The file the user named may be replaced: napari's dialog has asked, and so does ``layer.save`` in a
script behave for every format. The further files of a series were never named, so they are never
overwritten.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import VolumeFileError
from napari_hypermol.io.mrc import write_volume
from napari_hypermol.plugin.layers import centred
from napari_hypermol.runs.series import write_series
from napari_hypermol.runs.state_axes import StateAxis

__all__ = ["write_image"]


class _LayerMaps:
    """A layer's data with the interface of `HyperMaps` that a series needs."""

    def __init__(self, data: Any, limits: tuple[float, float]) -> None:
        self._data = data
        self.contrast_limits = limits

    def volume(self, stops: Any) -> NDArray[np.float32]:
        """The volume at one stop of every slider."""
        return np.asarray(self._data[tuple(int(stop) for stop in stops)], dtype=np.float32)


def write_image(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an image layer of three dimensions or more.

    Parameters
    ----------
    path : str
        Ending .mrc or .map; a series adds the name of its axis: ``map_tau1_00.mrc``.
    data : (..., z, y, x) array_like
    attributes : dict
        The layer's; its scale is the pixel size [Å].

    Returns
    -------
    list of str
        Every file written, ChimeraX scripts included.

    Raises
    ------
    VolumeFileError
        If the layer has fewer than three dimensions or no cubic voxels.
    OutputExistsError
        If a file of a series is there already.

    Notes
    -----
    A layer of several state axes becomes one series along each, the others half way, as
    ``hypermol volumes`` writes them; not every combination.
    """
    target = Path(path)
    data = data[0] if attributes.get("multiscale") else data
    if data.ndim < 3:
        raise VolumeFileError(
            f"{target}: the layer has {data.ndim} dimensions, expected a volume (z, y, x) or "
            "states of one; choose another format"
        )
    pixel_size = _pixel_size(target, attributes, data.ndim)
    if data.ndim > 3:
        return _write_states(target, data, attributes, pixel_size)
    origin = _origin(attributes, data.shape, pixel_size)
    write_volume(target, np.asarray(data), pixel_size, overwrite=True, origin=origin)
    return [str(target)]


def _pixel_size(path: Path, attributes: dict[str, Any], ndim: int) -> float:
    edges = np.abs(np.asarray(attributes.get("scale", np.ones(ndim)), dtype=float)[-3:])
    if not np.allclose(edges, edges[0], rtol=0.01):
        raise VolumeFileError(
            f"{path}: the layer's voxels measure {', '.join(f'{e:g}' for e in edges)}, expected "
            "cubes; rescale the layer first"
        )
    return float(edges[0])


def _origin(
    attributes: dict[str, Any], shape: tuple[int, ...], pixel_size: float
) -> tuple[float, float, float]:
    """Corner (x, y, z) [Å]; zero for a map centred at 0, the counterpart of `volume_layer`."""
    translate = np.asarray(attributes.get("translate", np.zeros(3)), dtype=float)[-3:]
    if np.allclose(translate, centred(shape, pixel_size)):
        return (0.0, 0.0, 0.0)
    z, y, x = translate.tolist()
    return (x, y, z)


def _write_states(
    target: Path, data: Any, attributes: dict[str, Any], pixel_size: float
) -> list[str]:
    """One series along each state axis, the others half way."""
    counts = data.shape[:-3]
    limits = tuple(float(v) for v in attributes.get("contrast_limits") or (0.0, 1.0))
    maps = _LayerMaps(data, limits)
    written = []
    for index, axis in enumerate(_axes(attributes, len(counts))):
        stops = np.tile([n // 2 for n in counts], (counts[index], 1))
        stops[:, index] = np.arange(counts[index])
        stem = f"{target.stem}_{axis.name}"
        paths = write_series(maps, stops.tolist(), pixel_size, target.parent, stem, kind=axis.kind)
        written += [*paths, target.parent / f"{stem}.cxc"]
    return [str(path) for path in written]


def _axes(attributes: dict[str, Any], dims: int) -> list[StateAxis]:
    """The state axes of a layer; another plugin's are ranges by the names of their labels."""
    facts = (attributes.get("metadata") or {}).get("hypermol")
    axes = facts.get("axes", ()) if isinstance(facts, dict) else ()
    if len(axes) == dims:
        return list(axes)
    names = [str(label) for label in attributes.get("axis_labels") or ()][:dims]
    names = names if len(names) == dims else [f"axis{i + 1}" for i in range(dims)]
    return [StateAxis(name, "") for name in names]

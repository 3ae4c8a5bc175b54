"""The sums over samples of `pose_information` on a CUDA device, for CuPy arrays.

pose_information.cu does the work; here its launch is planned. `pose_information` calls this; nobody
else needs to.
"""

from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module, device_function, ready
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.errors import ShapeError
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.posterior.likelihood_cuda import wanted_tiles
from napari_hypermol.posterior.slices_cuda import (
    THREADS,
    longest_stretch,
    sliced_scene,
    slices_source,
    slicing_bytes,
)

__all__ = ["device_source", "information", "is_possible"]

_TILE = 4  # edge of the part of the information that one thread adds up
_LONGEST = 128  # samples sliced at once; longer stretches leave room for fewer blocks
_VIEWS = 7


@cache
def device_source() -> str:
    """The CUDA C++ code with everything it is told."""
    own = resources.files(__package__).joinpath("pose_information.cu").read_text("utf-8")
    return slices_source(_TILE) + own


def _shared_bytes(n_placed: int, n_columns: int, n_all: int, stretch: int) -> int:
    """Shared memory of one block of threads, as pose_information.cu parts it."""
    rows = sum(-(-n // _TILE) * _TILE + 2 for n in (n_columns, n_all))
    sums = 4 * (_TILE + _TILE**2) * (THREADS // 2)
    return slicing_bytes(n_placed, n_columns, stretch) + max(
        8 * rows * stretch + 4 * 9 * _VIEWS, sums
    )


def _stretch(n_placed: int, n_columns: int, n_states: int, n_samples: int) -> int:
    """Samples sliced at once; 0 where a block of threads has no room for this many sums."""
    n_all = 6 + n_states
    if len(_tiles(n_all)) > THREADS:
        return 0
    longest = min(_LONGEST, -(-n_samples // 8) * 8)
    return longest_stretch(
        lambda length: _shared_bytes(n_placed, n_columns, n_all, length), longest
    )


def _tiles(n_all: int) -> NDArray[np.int32]:
    return wanted_tiles(np.ones((n_all, n_all), dtype=np.bool_), _TILE)


def is_possible(n_placed: int, n_columns: int, n_states: int) -> bool:
    """Whether a device takes that many columns and state coordinates."""
    return _stretch(n_placed, n_columns, n_states, THREADS) > 0


def information(
    images: WhitenedImages,
    contrasts: Any,
    functions: Any,
    slopes: Any,
    turns: Any,
    per_turn: float,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
) -> tuple[Any, Any]:
    """Slope of every image's log likelihood over pose, contrast and states, and its information.

    Parameters
    ----------
    images : WhitenedImages
        Of CuPy arrays.
    contrasts : (n,) float array
    functions : (n, q) float array
    slopes : (n, d, q) float array
        These three of either library.
    turns : (3, 2, 3, 3) float ndarray
        About each axis, there and back.
    per_turn : float
        One over the angle between the two.
    grids : FourierGrids
        Its values a CuPy array.
    placements : Placements
    samples : FourierSamples

    Returns
    -------
    gradient : (n, 6 + d) float32 CuPy array
        Over three turns, two shifts, contrast and states.
    information : (n, 6 + d, 6 + d) float32 CuPy array

    Raises
    ------
    ShapeError
        If there are too many state functions for a block of threads; see `is_possible`.
    """
    xp, n = array_module(images.data), len(images.weights)
    scene = sliced_scene(xp, grids, placements, samples)
    n_states = slopes.shape[1]
    n_all = 6 + n_states
    stretch = _stretch(scene.n_placed, scene.n_columns, n_states, scene.n_samples)
    if stretch == 0:
        raise ShapeError(
            f"{scene.n_columns} state functions are too many for poses on the GPU; use --device cpu"
        )
    gradient = xp.empty((n, n_all), dtype=np.float32)
    products = xp.empty((n, n_all, n_all), dtype=np.float32)
    if n == 0:
        return gradient, products
    shared, tiles = _shared_bytes(scene.n_placed, scene.n_columns, n_all, stretch), _tiles(n_all)
    args = (
        *scene.args(ready(xp, images.rotations), stretch),
        ready(xp, images.data), ready(xp, images.weights),
        ready(xp, contrasts), ready(xp, functions), ready(xp, slopes), np.int32(n_states),
        ready(xp, turns), np.float32(per_turn), ready(xp, tiles, np.int32), np.int32(len(tiles)),
        gradient, products,
    )  # fmt: skip
    function = device_function(device_source(), "pose_information", shared)
    function((n,), (THREADS,), args, shared_mem=shared)
    return gradient, products

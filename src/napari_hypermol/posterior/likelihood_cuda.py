"""`likelihood` on a CUDA device: the same four functions for CuPy arrays.

likelihood.cu does the work. Here its launches are planned: how many samples a block of threads
slices at once, which tiles of G a thread has, what is packed how. Nothing but arrays of the
caller's device goes in and comes out; placements, samples and the layout of the grids, which are
small, come from main memory as everywhere. `likelihood` calls this; nobody else needs to.
"""

from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module, as_numpy, device_function, ready
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.errors import ShapeError
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.posterior.slices_cuda import (
    THREADS,
    SlicedScene,
    longest_stretch,
    sliced_scene,
    slices_source,
    slicing_bytes,
)

if TYPE_CHECKING:
    from napari_hypermol.posterior.likelihood import WhitenedImages

__all__ = [
    "Launch",
    "device_source",
    "explained_power",
    "image_adjoint",
    "normal_operator",
    "overlaps",
    "plan",
    "tile_size",
    "wanted_tiles",
]

Float32 = NDArray[np.float32]

# Samples of one block of threads: the same for any number of particles, so that a particle's
# sums do not depend on its chunk. All of box 64, a seventh of box 256.
_RANGE = 8192
_PARTIAL_SUMS = 2**28  # [bytes] of sums over ranges of samples at once
# [bytes] of Fourier grids that adjoints are added to: copies of small grids part the blocks that
# would add to the same places, above all to the Fourier origin; all together stay in L2.
_COPIES = 2**24
_MAX_COPIES = 8
_FILES = ("additions", "likelihood")


class Launch(NamedTuple):
    """How a device function is started.

    Attributes
    ----------
    n_ranges : int
        Blocks of threads that share the samples of one particle.
    stretch : int
        Samples sliced at once.
    shared_bytes : int
        Shared memory of a block.
    """

    n_ranges: int
    stretch: int
    shared_bytes: int


# ---- code ------------------------------------------------------------------------------------


@cache
def device_source(tile: int) -> str:
    """The CUDA C++ code with everything it is told; `tile` as `tile_size` gives it."""
    here = resources.files(__package__)
    additions, own = (here.joinpath(f"{n}.cu").read_text("utf-8") for n in _FILES)
    return additions + slices_source(tile) + own


def _start(name: str, tile: int, grid: tuple[int, ...], launch: Launch, args: Any) -> None:
    function: Callable[..., None] = device_function(device_source(tile), name, launch.shared_bytes)
    function(grid, (THREADS,), args, shared_mem=launch.shared_bytes)


# ---- plans -----------------------------------------------------------------------------------


def tile_size(n_columns: int) -> int:
    """Edge of the tile of G that one thread has: 4, or 8 where the tiles outnumber the threads."""
    n = -(-n_columns // 4)
    return 4 if n * (n + 1) // 2 <= THREADS else 8


def wanted_tiles(pairs: NDArray[np.bool_], tile: int) -> NDArray[np.int32]:
    """The tiles on and below the diagonal of G with a wanted entry, and all diagonal ones.

    Parameters
    ----------
    pairs : (q, q) bool ndarray
        Symmetric.
    tile : int

    Returns
    -------
    (t, 2) int32 ndarray
        Row and column of each tile; b comes with the diagonal ones.
    """
    n = -(-len(pairs) // tile)
    padded = np.zeros((n * tile, n * tile), dtype=np.bool_)
    padded[: len(pairs), : len(pairs)] = pairs
    wanted = padded.reshape(n, tile, n, tile).any(axis=(1, 3)) | np.eye(n, dtype=np.bool_)
    return np.argwhere(np.tril(wanted)).astype(np.int32)


def shared_bytes(
    name: str, n_placed: int, n_columns: int, n_shells: int, tile: int, stretch: int
) -> int:
    """Shared memory of one block of threads of a function, as likelihood.cu parts it."""
    slices = stretch * 8 * (-(-n_columns // tile) * tile + 2)
    if name == "image_adjoint":
        slices = 0
    elif name == "overlaps":
        slices = max(slices, 4 * (tile + tile * tile) * (THREADS // 2))
    elif name == "explained_power":
        slices += 8 * (-(-n_shells // 2) * 2) + 8 * stretch + 4 * 3 * THREADS
    return slicing_bytes(n_placed, n_columns, stretch) + slices


def plan(
    name: str, n_samples: int, n_placed: int, n_columns: int, n_shells: int = 0, tile: int = 4
) -> Launch:
    """The launch of one of the four functions for particles of `n_samples` samples.

    Raises
    ------
    ShapeError
        If not even eight samples of that many columns fit into a block's shared memory.
    """
    n_ranges = -(-n_samples // _RANGE)
    longest = min(THREADS, -(-n_samples // n_ranges // 8) * 8)

    def needed(stretch: int) -> int:
        return shared_bytes(name, n_placed, n_columns, n_shells, tile, stretch)

    stretch = longest_stretch(needed, longest)
    if stretch == 0:
        raise ShapeError(
            f"{n_placed} placed components with {n_columns} state functions together are too many "
            "for the GPU; use --device cpu or fewer"
        )
    return Launch(n_ranges, stretch, needed(stretch))


def _n_copies(n_bytes: int, n: int) -> int:
    """Copies of the Fourier grids, `n_bytes` each, that adjoints of n particles are added to."""
    return max(1, min(_MAX_COPIES, _COPIES // max(n_bytes, 1), n))


def _batches(n: int, bytes_each: int) -> Iterator[slice]:
    """Particles a few at a time, so that their partial sums stay small."""
    length = max(1, _PARTIAL_SUMS // max(bytes_each, 1))
    for start in range(0, n, length):
        yield slice(start, min(start + length, n))


# ---- the four functions ----------------------------------------------------------------------


def overlaps(
    images: "WhitenedImages",
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
    pairs: NDArray[np.bool_] | None = None,
) -> tuple[Any, Any]:
    """The overlaps b and G of every particle; see `likelihood.overlaps`.

    Parameters
    ----------
    images : WhitenedImages
        Of CuPy arrays.
    grids : FourierGrids
        Its values a CuPy array.
    placements : Placements
    samples : FourierSamples
    pairs : (q, q) bool array or None
        Entries of G that are wanted, symmetric; the others are left zero. None: all.

    Returns
    -------
    b : (n, q) float32 CuPy array
    G : (n, q, q) float32 CuPy array
        Symmetric.
    """
    scene = sliced_scene(array_module(images.data), grids, placements, samples)
    xp, n, n_q = scene.xp, len(images.weights), scene.n_columns
    wanted = np.ones((n_q, n_q), dtype=np.bool_) if pairs is None else as_numpy(pairs)
    tile = tile_size(n_q)
    tiles = wanted_tiles(wanted, tile)
    n_passes = -(-len(tiles) // THREADS)
    launch = plan("overlaps", scene.n_samples, scene.n_placed, n_q, tile=tile)
    data, weights = ready(xp, images.data), ready(xp, images.weights)
    rotations = ready(xp, images.rotations)
    b = xp.empty((n, n_q), dtype=np.float32)
    g = xp.zeros((n, n_q, n_q), dtype=np.float32)  # tiles that are not wanted are not written
    last = (
        ready(xp, tiles, np.int32), np.int32(len(tiles)), np.int32(-(-len(tiles) // n_passes)),
        ready(xp, wanted, np.uint8),
    )  # fmt: skip
    is_whole = launch.n_ranges == 1  # then sums are not partial, and written where they belong
    for rows in _batches(n, 0 if is_whole else 4 * launch.n_ranges * n_q * (n_q + 1)):
        grid = (rows.stop - rows.start, launch.n_ranges, n_passes)
        b_parts = b[rows][None] if is_whole else xp.zeros((grid[1], grid[0], n_q), np.float32)
        g_parts = g[rows][None] if is_whole else xp.zeros((grid[1], grid[0], n_q, n_q), np.float32)
        first = scene.args(rotations[rows], launch.stretch)
        args = (*first, data[rows], weights[rows], *last, b_parts, g_parts)
        _start("overlaps", tile, grid, launch, args)
        if not is_whole:
            b[rows], g[rows] = b_parts.sum(axis=0), g_parts.sum(axis=0)
    return b, g


def _adjoint(
    name: str, images: "WhitenedImages", inputs: tuple[Any, Any], scene: SlicedScene, tile: int
) -> Any:
    """Runs `image_adjoint` or `normal_operator`, which have the same arguments but `inputs`."""
    xp, n, n_values = scene.xp, len(images.weights), len(scene.values)
    total = -(-n_values // 4) * 4  # every copy begins at a multiple of 16 bytes
    launch = plan(name, scene.n_samples, scene.n_placed, scene.n_columns, tile=tile)
    n_copies = _n_copies(4 * total, n)
    targets = xp.zeros((n_copies, total), dtype=np.float32)
    if n == 0:
        return targets[0, :n_values]
    args = (
        *scene.args(ready(xp, images.rotations), launch.stretch), *inputs, targets,
        np.int32(n_copies), np.int64(total),
    )  # fmt: skip
    _start(name, tile, (n, launch.n_ranges), launch, args)
    return (targets[0] if n_copies == 1 else targets.sum(axis=0))[:n_values]


def image_adjoint(
    images: "WhitenedImages",
    first_moments: Any,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
) -> Any:
    """Right-hand side of the coefficients' normal equations; see `likelihood.image_adjoint`.

    Parameters
    ----------
    images : WhitenedImages
        Of CuPy arrays.
    first_moments : (n, q) float32 CuPy array
        E[a c].

    Returns
    -------
    (total,) float32 CuPy array
        Adjoint slices of D, laid out as ``grids.values``.
    """
    scene = sliced_scene(array_module(images.data), grids, placements, samples)
    inputs = ready(scene.xp, images.data), ready(scene.xp, first_moments)
    return _adjoint("image_adjoint", images, inputs, scene, tile_size(scene.n_columns))


def normal_operator(
    images: "WhitenedImages",
    second_moments: Any,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
) -> Any:
    """The normal operator of the coefficients on ``grids``; see `likelihood.normal_operator`.

    Parameters
    ----------
    images : WhitenedImages
        Of CuPy arrays.
    second_moments : (n, q, q) float32 CuPy array
        E[a^2 c c^T].

    Returns
    -------
    (total,) float32 CuPy array
        Laid out as ``grids.values``.
    """
    scene = sliced_scene(array_module(images.data), grids, placements, samples)
    inputs = ready(scene.xp, images.weights), ready(scene.xp, second_moments)
    return _adjoint("normal_operator", images, inputs, scene, tile_size(scene.n_columns))


def explained_power(
    images: "WhitenedImages",
    first_moments: Any,
    second_moments: Any,
    noise: Any,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
) -> Any:
    """How much of each image's power the model explains; see `likelihood.explained_power`.

    Parameters
    ----------
    images : WhitenedImages
        Of CuPy arrays.
    first_moments, second_moments : (n, q) and (n, q, q) float32 CuPy array
    noise : (groups, shells) float32 array
        The spectra the images were whitened with.

    Returns
    -------
    (n, shells) float64 CuPy array
    """
    scene = sliced_scene(array_module(images.data), grids, placements, samples)
    xp, n, n_shells, n_q = scene.xp, len(images.weights), noise.shape[1], scene.n_columns
    tile = tile_size(n_q)
    launch = plan("explained_power", scene.n_samples, scene.n_placed, n_q, n_shells, tile)
    parts = xp.zeros((launch.n_ranges, n, n_shells), dtype=np.float64)
    if n == 0:
        return parts.sum(axis=0)
    args = (
        *scene.args(ready(xp, images.rotations), launch.stretch),
        ready(xp, images.data), ready(xp, images.weights),
        ready(xp, first_moments), ready(xp, second_moments),
        ready(xp, images.is_premultiplied, np.uint8), ready(xp, images.groups, np.int32),
        ready(xp, noise), ready(xp, samples.shells, np.int32), ready(xp, samples.weights),
        np.int32(n_shells), parts,
    )  # fmt: skip
    _start("explained_power", tile, (n, launch.n_ranges), launch, args)
    return parts.sum(axis=0)

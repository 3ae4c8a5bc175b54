"""`pose_metropolis` on a CUDA device: the same steps of the same proposals, for CuPy arrays.

pose_metropolis.cu does the work; here its launch is planned. `pose_metropolis` calls this; nobody
else needs to. Not here: which particles a device has, see `runs.device_images`.
"""

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module, device_function, ready
from napari_hypermol.errors import ShapeError
from napari_hypermol.posterior.collapsed import CollapsedModel, PosePrior
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.posterior.slices_cuda import (
    THREADS,
    longest_stretch,
    sliced_scene,
    slices_source,
    slicing_bytes,
)
from napari_hypermol.posterior.states import FAR_TAIL

if TYPE_CHECKING:
    from napari_hypermol.samplers.pose_metropolis import PoseGuide, PoseProposals

__all__ = ["DeviceSteps", "device_source", "is_possible", "pose_metropolis", "product_tiles"]

_TILE = 4  # edge of the part of G that one thread adds up
_WALK_BYTES = 216
_LONGEST = 128  # samples sliced at once; longer stretches leave room for fewer blocks


class DeviceSteps(NamedTuple):
    """What the steps leave; n particles.

    Attributes
    ----------
    rotations : (n, 3, 3) float32 CuPy array
    shifts : (n, 2) float64 CuPy array
        [pixels].
    data : (n, 2, k) float32 CuPy array
    accepted, density, mean_turn : (n,) float64 CuPy array
        As `pose_metropolis.PoseInfo` has them.
    """

    rotations: Any
    shifts: Any
    data: Any
    accepted: Any
    density: Any
    mean_turn: Any


@cache
def device_source(wider: float) -> str:
    """The CUDA C++ code with everything it is told."""
    told = {"WALK_BYTES": _WALK_BYTES, "FAR_TAIL": repr(FAR_TAIL), "WIDER": repr(wider)}
    definitions = "".join(f"#define {name} {value}\n" for name, value in told.items())
    own = resources.files(__package__).joinpath("pose_metropolis.cu").read_text("utf-8")
    return slices_source(_TILE) + definitions + own


def product_tiles(n_columns: int, n_shifts: int) -> NDArray[np.int32]:
    """Tiles of the products of slices with one another, and of shifted data with slices.

    Parameters
    ----------
    n_columns, n_shifts : int
        Columns of the slices, and of data beside them.

    Returns
    -------
    (t, 2) int32 ndarray
        Row and column of each tile: of G those on and below the diagonal, then all of b.
    """
    n, m = -(-n_columns // _TILE), -(-n_shifts // _TILE)
    gram = [(p, q) for p in range(n) for q in range(p + 1)]
    return np.array(gram + [(n + p, q) for p in range(m) for q in range(n)], dtype=np.int32)


def _shared_bytes(n_placed: int, n_columns: int, n_nodes: int, n_shifts: int, stretch: int) -> int:
    """Shared memory of one block of threads, as pose_metropolis.cu parts it."""
    doubles = 3 * n_nodes + 2 * THREADS + 2 * n_shifts
    fixed = _WALK_BYTES + 8 * doubles + 4 * (n_columns + n_shifts) * n_columns
    row = -(-n_columns // _TILE) * _TILE + -(-n_shifts // _TILE) * _TILE + 2
    sums = max(8 * row * stretch, 4 * _TILE**2 * (THREADS // 2))
    return slicing_bytes(n_placed, n_columns, stretch) + -(-fixed // 16) * 16 + sums


def _stretch(n_placed: int, n_columns: int, n_nodes: int, n_shifts: int, n_samples: int) -> int:
    """Samples sliced at once; 0 where a block of threads has no room for this many sums."""
    if len(product_tiles(n_columns, n_shifts)) > THREADS or n_shifts > THREADS:
        return 0
    longest = min(_LONGEST, -(-n_samples // 8) * 8)
    return longest_stretch(
        lambda stretch: _shared_bytes(n_placed, n_columns, n_nodes, n_shifts, stretch), longest
    )


def is_possible(n_placed: int, n_columns: int, n_nodes: int, n_shifts: int) -> bool:
    """Whether a device takes that many columns, joint states and shifts."""
    return _stretch(n_placed, n_columns, n_nodes, n_shifts, THREADS) > 0


def pose_metropolis(
    images: WhitenedImages,
    rotations: Any,
    shifts: Any,
    data: Any,
    prior: PosePrior,
    model: CollapsedModel,
    proposals: "PoseProposals",
    guide: "PoseGuide",
    wider: float,
) -> DeviceSteps:
    """Metropolis steps of every particle's rotation, each with an exact draw of its shift.

    Parameters
    ----------
    images : WhitenedImages
        Of CuPy arrays; its weights are used.
    rotations, shifts, data : CuPy array
        Of the chain; they stay as they are.
    prior : PosePrior
    model : CollapsedModel
        Its grids' values and nodes on the device.
    proposals : PoseProposals
    guide : PoseGuide
        All three of CuPy arrays.
    wider : float
        How much wider than the guide leaps are.

    Raises
    ------
    ShapeError
        If there are too many state functions for a block of threads; see `is_possible`.
    """
    xp, n = array_module(images.weights), len(rotations)
    scene = sliced_scene(xp, model.grids, model.placements, model.samples)
    n_nodes, n_shifts = model.nodes.shape[1], proposals.patches.shape[2]
    sizes = scene.n_placed, scene.n_columns, n_nodes, n_shifts
    stretch = _stretch(*sizes, scene.n_samples)
    if stretch == 0:
        raise ShapeError(
            f"{scene.n_columns} state functions are too many for poses on the GPU; use --device cpu"
        )
    tiles = product_tiles(scene.n_columns, n_shifts)
    out = DeviceSteps(
        xp.array(ready(xp, rotations)), xp.array(ready(xp, shifts, np.float64)),
        xp.array(ready(xp, data)), *(xp.zeros(n) for _ in range(3)),
    )  # fmt: skip
    if n == 0:
        return out
    shared = _shared_bytes(*sizes, stretch)
    step = model.nodes[0].size if len(model.nodes) > 1 else 0
    args = (
        scene.values, scene.placed, scene.kx, scene.ky,
        *(np.int32(size) for size in (scene.n_placed, scene.n_columns, scene.n_samples)),
        np.float64(1 / scene.box_size), np.int32(stretch),
        out.data, ready(xp, images.weights), out.rotations, out.shifts,
        ready(xp, prior.rotations), np.float64(prior.rotation_precision),
        ready(xp, prior.shifts, np.float64), np.float64(prior.shift_precision),
        ready(xp, model.nodes), np.int64(step), ready(xp, model.log_prior, np.float64),
        np.int32(n_nodes), np.float64(model.contrast_std), np.float64(model.temperature),
        ready(xp, guide.centres), ready(xp, guide.roots), ready(xp, guide.levers),
        ready(xp, proposals.turns), ready(xp, proposals.is_leap, np.uint8),
        ready(xp, proposals.patches, np.float64), ready(xp, proposals.uniforms, np.float64),
        np.int32(proposals.turns.shape[1]), np.int32(proposals.patches.shape[1]),
        np.int32(n_shifts), ready(xp, tiles, np.int32), np.int32(len(tiles)),
        out.accepted, out.density, out.mean_turn,
    )  # fmt: skip
    function = device_function(device_source(wider), "pose_metropolis", shared)
    function((n,), (THREADS,), args, shared_mem=shared)
    return out

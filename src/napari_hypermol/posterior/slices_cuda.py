"""Slices on a CUDA device: what the launches of all functions that look at images have in common.

slices.cu does the work. Here is its code with everything it is told, how placed components are
packed for it, how much shared memory it takes. Not here: any function; see `likelihood_cuda`.
"""

from collections.abc import Callable
from functools import cache
from importlib import resources
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import SHARED_MEMORY, most_shared_memory, ready
from napari_hypermol.coordinates.gridding import KERNEL_POLYNOMIALS
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.errors import ShapeError
from napari_hypermol.imaging.projector import Placements, check_band_limit

__all__ = [
    "THREADS",
    "SlicedScene",
    "longest_stretch",
    "packed_placements",
    "sliced_scene",
    "slices_source",
    "slicing_bytes",
]

THREADS = 256
_ENOUGH = 32  # samples: a warp of threads has one each

_VIEW_BYTES, _TAPS_BYTES = 48, 56
_PLACED = np.dtype(
    [
        ("origin", "i8"), ("x_step", "i4"), ("y_step", "i4"), ("z_step", "i4"),
        ("n_functions", "i4"), ("start", "i4"), ("width", "i4"), ("rotation", "f4", 9),
        ("centre", "f4", 3), ("scale", "f4"),
    ],
    align=True,
)  # fmt: skip


@cache
def slices_source(tile: int) -> str:
    """The CUDA C++ code with everything it is told; `tile` is the edge of a thread's part of G."""
    left, middle = (
        ", ".join(f"{float(np.float32(c))!r}f" for c in taps) for taps in KERNEL_POLYNOMIALS
    )
    told = {
        "THREADS": THREADS,
        "TILE": tile,
        "LEFT_TAP": left,
        "MIDDLE_TAP": middle,
        "PLACED_BYTES": _PLACED.itemsize,
        "VIEW_BYTES": _VIEW_BYTES,
        "TAPS_BYTES": _TAPS_BYTES,
    }
    definitions = "".join(f"#define {name} {value}\n" for name, value in told.items())
    return definitions + resources.files(__package__).joinpath("slices.cu").read_text("utf-8")


def slicing_bytes(n_placed: int, n_columns: int, stretch: int) -> int:
    """Shared memory of a block of threads, as slices.cu parts it, without what functions add."""
    fixed = n_placed * _VIEW_BYTES + 4 * (-(-n_columns // 4) * 4)
    return fixed + stretch * (4 + 8 + _TAPS_BYTES)


def longest_stretch(needed: Callable[[int], int], longest: int) -> int:
    """Samples that a block slices at once, a multiple of 8; 0 where not even eight fit.

    Parameters
    ----------
    needed : callable
        Shared memory for so many [bytes].
    longest : int
        At most.
    """
    # four blocks of 48 KiB fit on a multiprocessor of compute capability 9
    most = most_shared_memory()
    for room in (SHARED_MEMORY, most):
        for stretch in range(longest, 0, -8):
            is_enough = stretch >= min(_ENOUGH, longest) or room == most
            if is_enough and needed(stretch) <= room:
                return stretch
    return 0


def packed_placements(grids: FourierGrids, placements: Placements) -> NDArray[np.void]:
    """What slices.cu needs to know of every placed component.

    Parameters
    ----------
    grids : FourierGrids
        Only its layout is used; the values begin at a multiple of 16 bytes.
    placements : Placements

    Returns
    -------
    (m,) structured ndarray

    Raises
    ------
    ShapeError
        If steps are too large for the device's arithmetic.
    """
    packed = np.zeros(len(placements.grids), dtype=_PLACED)
    s = placements.grids
    count = grids.n_functions[s]
    if (2 * count * grids.sizes[s, 1] * grids.sizes[s, 2]).max() >= 2**30:
        raise ShapeError("a plane of a Fourier grid has 2^30 numbers or more; use --device cpu")
    packed["x_step"] = x_step = 2 * count
    packed["y_step"] = y_step = grids.sizes[s, 2] * x_step
    packed["z_step"] = z_step = grids.sizes[s, 1] * y_step
    packed["origin"] = grids.offsets[s] + (grids.origins[s] - 1) * (y_step + z_step)
    packed["n_functions"], packed["start"] = count, placements.starts
    is_wide = (count % 2 == 0) & (grids.offsets[s] % 4 == 0)
    packed["width"] = np.where(is_wide, 2, 1)
    packed["rotation"] = placements.rotations.reshape(-1, 9)
    packed["centre"], packed["scale"] = placements.centres, grids.scales[s]
    return packed


class SlicedScene(NamedTuple):
    """Grids, placements and samples on the device; n_columns of all placements together."""

    xp: ModuleType
    values: Any
    placed: Any
    kx: Any
    ky: Any
    n_placed: int
    n_columns: int
    n_samples: int
    box_size: int

    def args(self, rotations: Any, stretch: int) -> tuple[Any, ...]:
        """The arguments that functions of likelihood.cu begin with."""
        sizes = (np.int32(size) for size in (self.n_placed, self.n_columns, self.n_samples))
        return (
            self.values, self.placed, rotations, self.kx, self.ky,
            *sizes, np.float64(1 / self.box_size), np.int32(stretch),
        )  # fmt: skip


def sliced_scene(
    xp: ModuleType, grids: FourierGrids, placements: Placements, samples: FourierSamples
) -> SlicedScene:
    """Grids, placements and samples as the device's functions want them, of the library `xp`."""
    check_band_limit(grids, samples)
    values = ready(xp, grids.values)
    if values.data.ptr % 16 != 0:  # a part of another array
        values = values.copy()
    packed = packed_placements(grids, placements)
    return SlicedScene(
        xp=xp,
        values=values,
        placed=xp.asarray(packed.view(np.uint8)),
        kx=ready(xp, samples.kx),
        ky=ready(xp, samples.ky),
        n_placed=len(packed),
        n_columns=int(grids.n_functions[placements.grids].sum()),
        n_samples=len(samples.kx),
        box_size=int(samples.box_size),
    )

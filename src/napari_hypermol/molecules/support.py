"""Where a component may be non-zero: a ball or a mask, with soft edges, Section 3.5 of the paper.

Supports live in the component's own frame, lengths in voxels of the box, origin at the box centre;
`runs.recipe` converts from Å.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_hypermol.coordinates.fourier import fast_even_size
from napari_hypermol.coordinates.grids import voxel_positions
from napari_hypermol.errors import MaskError, ShapeError
from napari_hypermol.molecules.mask_making import soft_mask
from napari_hypermol.protocols import Support

__all__ = ["Ball", "Mask", "Trimmed"]

Float = NDArray[np.floating]


def _raised_cosine(depth: Float) -> NDArray[np.float32]:
    """1 at depth 0, 0 from depth 1 on."""
    return np.where(depth < 1, 0.5 + 0.5 * np.cos(np.pi * depth), 0.0).astype(np.float32)


@dataclass(frozen=True)
class Ball:
    """1 inside a radius, falling to 0 along a raised cosine outside it.

    Parameters
    ----------
    position : (3,) tuple of float
        (x, y, z) of the centre from the box centre [voxels].
    radius : float
        [voxels].
    soft_edge : float
        Width of the cosine [voxels].
    """

    position: tuple[float, float, float]
    radius: float
    soft_edge: float = 2.0

    def centre(self) -> NDArray[np.int64]:
        """The voxel nearest to the ball's centre."""
        return np.asarray(np.rint(self.position), dtype=np.int64)

    def edge(self) -> int:
        """Diameter and soft edge, one voxel to spare on each side."""
        offset = float(np.abs(np.array(self.position) - self.centre()).max())
        return fast_even_size(2 * (self.radius + self.soft_edge + offset) + 2)

    def volume(self, size: int, spacing: float) -> float:
        """Of the ball [voxels]; the grid does not matter."""
        del size, spacing
        return float(4 / 3 * np.pi * (self.radius + self.soft_edge / 2) ** 3)

    def values(self, positions: Float, spacing: float) -> NDArray[np.float32]:
        """Raised cosine of the distance; never steeper than the voxels can show."""
        distance = np.linalg.norm(positions - np.array(self.position), axis=-1)
        width = max(self.soft_edge, spacing)
        depth = np.clip((distance - self.radius) / width, 0.0, 1.0)
        return _raised_cosine(depth)


@dataclass(frozen=True, eq=False)
class Mask:
    """A painted or computed mask on the voxels of the box.

    Parameters
    ----------
    array : (z, y, x) float32 ndarray
        In [0, 1], on the box grid.
    soft_edge : float
        Width of the edge added around binary masks [voxels]; soft masks are taken as they are.
    """

    array: NDArray[np.float32]
    soft_edge: float = 2.0

    @cached_property
    def _soft(self) -> NDArray[np.float32]:
        is_binary = bool(np.isin(np.unique(self.array), (0.0, 1.0)).all())
        # An empty mask has no distance to grow an edge from; `_bounds` refuses it.
        if not is_binary or self.soft_edge <= 0 or not self.array.any():
            return self.array
        return soft_mask(self.array > 0.5, 0.0, self.soft_edge)

    def _bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        where = np.argwhere(self._soft > 0)
        if not len(where):
            raise MaskError("mask: it is zero everywhere; paint the region that moves")
        zyx = np.stack([where.min(axis=0), where.max(axis=0)]) - self.array.shape[0] // 2
        return zyx[0, ::-1], zyx[1, ::-1]

    def centre(self) -> NDArray[np.int64]:
        """Middle of the mask's bounding box."""
        low, high = self._bounds()
        return (low + high) // 2

    def edge(self) -> int:
        """Bounding cube, one voxel to spare on each side."""
        low, high = self._bounds()
        return fast_even_size(int((high - low).max()) + 4)

    def volume(self, size: int, spacing: float) -> float:
        """Sum over the mask [voxels]."""
        positions = voxel_positions(size) * spacing + self.centre()
        return float(self.values(positions, spacing).sum(dtype=np.float64) * spacing**3)

    def values(self, positions: Float, spacing: float) -> NDArray[np.float32]:
        """Linear interpolation, smoothed to the spacing first."""
        return _interpolated(self._soft, positions, spacing)


@dataclass(frozen=True, eq=False)
class Trimmed:
    """A support cut down to where density was found; its cube stays.

    Parameters
    ----------
    whole : Support
    cut : (n, n, n) uint8 ndarray
        What is let through, 255 being all, on voxels of the box; n is the whole's edge, and
        ``n // 2`` its centre.
    """

    whole: Support
    cut: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.cut.shape != (self.edge(),) * 3:
            raise ShapeError(f"cut of shape {self.cut.shape}, expected cubes of {self.edge()}")

    def centre(self) -> NDArray[np.int64]:
        """The whole's."""
        return self.whole.centre()

    def edge(self) -> int:
        """The whole's."""
        return self.whole.edge()

    def volume(self, size: int, spacing: float) -> float:
        """Sum over its values [voxels]."""
        positions = voxel_positions(size) * spacing + self.centre()
        return float(self.values(positions, spacing).sum(dtype=np.float64) * spacing**3)

    def values(self, positions: Float, spacing: float) -> NDArray[np.float32]:
        """Those of the whole, times the cut's, which is interpolated as a mask is."""
        cut = self.cut.astype(np.float32) / np.float32(255)
        through = _interpolated(cut, positions - self.centre(), spacing)
        values = self.whole.values(positions, spacing) * through
        return np.where(values > _LEAST, values, 0).astype(np.float32)


_LEAST = 0.02  # less is nothing


def _interpolated(
    values: NDArray[np.float32], positions: Float, spacing: float
) -> NDArray[np.float32]:
    """Values on voxels about the origin, linearly between them, smoothed to a spacing first."""
    if spacing > 1:  # a coarse voxel sees the mean of the fine ones it covers
        values = ndimage.gaussian_filter(values, 0.35 * spacing)
    index = np.moveaxis(positions[..., ::-1] + values.shape[0] // 2, -1, 0)
    found = ndimage.map_coordinates(values, index, order=1, mode="constant")
    return np.where(found > _LEAST, np.clip(found, 0, 1), 0).astype(np.float32)

"""The rotation that brings one map onto another, and whether only its mirror image fits.

A search over all rotations at low resolution, HEALPix axes times in-plane angles, then a descent
from the best few. Maps are centred on their mass first. Correlations are Pearson's, inside a ball.
"""

from typing import Any, Literal, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from napari_hypermol.coordinates.fourier import resample_volume
from napari_hypermol.coordinates.grids import voxel_positions
from napari_hypermol.coordinates.rotations import rotation_grid
from napari_hypermol.errors import ShapeError
from napari_hypermol.loops import compiled, inlined

__all__ = ["Alignment", "align_hands", "align_volumes", "mirror_symmetry"]

Float64 = NDArray[np.float64]
Order = Literal[1, 3]  # of the splines between voxels

_COARSE = 12  # voxels across for the search: features of a sixth of the box, 15 degrees apart
_FINE = 24  # and for the descent
_LOOKED_AT = 4 * _FINE  # and before the blur, which leaves 3e-9 of finer detail
_OVERSAMPLED = 2  # finer voxels under the interpolation than under the sum
_ORDER = 2  # of the grid of rotations, 15 degrees apart
_STARTS = 8  # local optima looked at more closely
_MIRROR = np.diag([-1.0, 1.0, 1.0])


class Alignment(NamedTuple):
    """How one map lies on another: reference(r) ~ moving(M R^-1 r), M = diag(-1, 1, 1) or 1.

    Attributes
    ----------
    rotation : (3, 3) float64 ndarray
        R, about the centres of mass.
    correlation : float
        Pearson's, at low resolution.
    is_mirrored : bool
        Whether `moving` was mirrored first, x to -x.
    """

    rotation: Float64
    correlation: float
    is_mirrored: bool


def align_volumes(
    reference: NDArray[np.floating], moving: NDArray[np.floating], allow_mirror: bool = True
) -> Alignment:
    """The rotation of `moving` that fits `reference` best.

    Parameters
    ----------
    reference, moving : (n, n, n) float ndarray
        Centred on their mass before they are rotated.
    allow_mirror : bool
        Whether to try the mirror image of `moving` as well.

    Returns
    -------
    Alignment
    """
    same, mirrored = align_hands(reference, moving)
    return mirrored if allow_mirror and mirrored.correlation > same.correlation else same


def mirror_symmetry(volume: NDArray[np.floating]) -> float:
    """Correlation of a map (n, n, n) with its own mirror image, best turned."""
    return align_hands(volume, volume)[1].correlation


def align_hands(
    reference: NDArray[np.floating], moving: NDArray[np.floating]
) -> tuple[Alignment, Alignment]:
    """The best alignment of `moving`, and the best one of its mirror image."""
    if reference.shape != moving.shape or len(set(reference.shape)) != 1:
        raise ShapeError(
            f"maps of shapes {reference.shape} and {moving.shape}; expected equal cubes"
        )
    first = _Map(reference)
    second = first if moving is reference else _Map(moving)
    coarse = _Pair(first, second, _COARSE, order=1)
    fine = _Pair(first, second, _FINE, order=3)
    grid = rotation_grid(_ORDER)
    turned = coarse.turned(grid)
    found = []
    for is_mirrored in (False, True):
        scores = turned @ coarse.target(is_mirrored)
        starts = [Rotation.from_matrix(grid[i]) for i in _separate(grid, scores)]
        better = [coarse.descend(start, is_mirrored) for start in starts]
        start = max(better, key=lambda pair: pair[1])[0]
        best, correlation = fine.descend(start, is_mirrored)
        found.append(Alignment(best.as_matrix(), correlation, is_mirrored))
    return found[0], found[1]


def _separate(grid: Float64, scores: Float64) -> list[int]:
    """The best few grid rotations, no two of them neighbours."""
    chosen: list[int] = []
    for index in np.argsort(-scores)[: 50 * _STARTS]:
        # trace = 1 + 2 cos(angle): at least 25 degrees apart
        traces = np.einsum("cij,ij->c", grid[chosen], grid[index])
        if not len(chosen) or traces.max() < 1 + 2 * np.cos(np.radians(25)):
            chosen.append(int(index))
        if len(chosen) == _STARTS:
            break
    return chosen


@inlined()
def _turned_once(values: Any, points: Any, at: Any, centre: Any, scale: Any, out: Any) -> None:
    size = values.shape[0]
    low, part = np.empty(3, dtype=np.int64), np.empty(3)
    for i in range(points.shape[0]):
        is_inside = True
        for axis in range(3):
            value = size // 2 + scale * (
                at[axis, 0] * points[i, 0] + at[axis, 1] * points[i, 1]
                + at[axis, 2] * points[i, 2] + centre[axis]
            )  # fmt: skip
            is_inside &= 0 <= value <= size - 1
            low[axis] = min(max(int(value), 0), size - 2)
            part[axis] = value - low[axis]
        total = 0.0
        if is_inside:
            for z in range(2):
                for y in range(2):
                    line = values[low[2] + z, low[1] + y]
                    weight = (part[2] if z else 1 - part[2]) * (part[1] if y else 1 - part[1])
                    total += weight * ((1 - part[0]) * line[low[0]] + part[0] * line[low[0] + 1])
        out[i] = total


@compiled(parallel=True)
def _turned(values: Any, points: Any, rotations: Any, centre: Any, scale: Any, out: Any) -> None:
    """A map at R r + centre, linear between its voxels and zero beyond them, as `_interpolated`."""
    for r in numba.prange(rotations.shape[0]):
        _turned_once(values, points, rotations[r], centre, scale, out[r])


@compiled()
def _turned_here(
    values: Any, points: Any, rotation: Any, centre: Any, scale: Any, out: Any
) -> None:
    """`_turned` for one rotation, which is done before other threads have woken up."""
    _turned_once(values, points, rotation, centre, scale, out)


class _Map:
    """A map (n, n, n) as the search and the descent look at it."""

    def __init__(self, volume: NDArray[np.floating]) -> None:
        # the origin of an odd box is one voxel lower than of the next even
        even = np.pad(volume, (len(volume) % 2, 0))
        self.size = len(even)
        self._centre = _centre_of_mass(even)
        self._volume = np.asarray(resample_volume(even, min(_LOOKED_AT, self.size)), np.float64)

    def centre(self, size: int) -> Float64:
        """Of mass, (x, y, z) from the origin, in voxels of which `size` make the box."""
        return self._centre * size / self.size

    def blurred(self, size: int) -> Float64:
        """Without details finer than `size` voxels show, on voxels finer by `_OVERSAMPLED`."""
        width = 0.5 * len(self._volume) / size
        blurred = ndimage.gaussian_filter(self._volume, width, mode="constant")
        return np.asarray(resample_volume(resample_volume(blurred, size), size * _OVERSAMPLED))


class _Pair:
    """Two maps at one resolution: the reference to be turned, the other one at fixed points."""

    def __init__(self, reference: _Map, moving: _Map, size: int, order: Order) -> None:
        size = min(size, reference.size)
        self._order = order
        self._scale = _OVERSAMPLED
        fine = reference.blurred(size)
        filtered = ndimage.spline_filter(fine, order) if order == 3 else fine
        self._coefficients = np.ascontiguousarray(filtered, dtype=np.float64)
        self._centre = reference.centre(size)
        positions = voxel_positions(size)
        inside = np.linalg.norm(positions, axis=-1) <= size / 2 - 1
        self._points = np.ascontiguousarray(positions[inside], dtype=np.float64)
        other = fine if moving is reference else moving.blurred(size)
        own = moving.centre(size)
        self._targets = []
        for mirror in (np.eye(3), _MIRROR):
            values = _interpolated(other, self._points @ mirror + own, self._scale, 3)
            values = values - values.mean()
            self._targets.append(values / max(float(np.linalg.norm(values)), 1e-30))

    def target(self, is_mirrored: bool) -> Float64:
        """`moving` at the points, mirrored or not, centred, of norm 1."""
        return np.asarray(self._targets[int(is_mirrored)])

    def turned(self, rotations: Float64) -> Float64:
        """reference(R r), which is to look like moving(r), for many R; of norm 1, (r, points)."""
        out = np.empty((len(rotations), len(self._points)))
        if self._order == 1:
            many, about = np.ascontiguousarray(rotations), (self._centre, self._scale)
            if len(many) == 1:
                _turned_here(self._coefficients, self._points, many[0], *about, out[0])
            else:
                _turned(self._coefficients, self._points, many, *about, out)
        else:
            for row, rotation in zip(out, rotations, strict=True):
                at = self._points @ rotation.T + self._centre
                row[:] = _interpolated(self._coefficients, at, self._scale, 3, is_filtered=True)
        out -= out.mean(axis=1, keepdims=True)
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-30)
        return out

    def descend(self, start: Rotation, is_mirrored: bool) -> tuple[Rotation, float]:
        """The nearest local optimum and its correlation."""
        target = self.target(is_mirrored)

        def badness(vector: Float64) -> float:
            turn = Rotation.from_rotvec(vector) * start
            return -float(self.turned(turn.as_matrix()[None])[0] @ target)

        simplex = np.concatenate([np.zeros((1, 3)), 0.1 * np.eye(3)])  # steps of 6 degrees
        options: Any = {"initial_simplex": simplex, "xatol": 2e-3, "fatol": 1e-6, "maxfev": 150}
        found = minimize(badness, np.zeros(3), method="Nelder-Mead", options=options)
        return Rotation.from_rotvec(found.x) * start, -float(found.fun)


def _centre_of_mass(volume: NDArray[np.floating]) -> Float64:
    """Of what is denser than a fifth of the maximum, (x, y, z) from the origin [voxels]."""
    dense = np.where(volume > 0.2 * volume.max(), volume, 0.0)
    planes = [dense.sum(axis=axes, dtype=np.float64) for axes in ((0, 1), (0, 2), (1, 2))]
    total = float(planes[0].sum())
    if total <= 0:
        return np.zeros(3)
    return np.array(planes) @ (np.arange(len(volume)) - len(volume) // 2) / total


def _interpolated(
    values: Float64, at: Float64, scale: int, order: Order, is_filtered: bool = False
) -> Float64:
    """A map at points (x, y, z), given in voxels `scale` times as large as its own."""
    index = at[:, ::-1].T * scale + len(values) // 2
    prefilter = not is_filtered
    return np.asarray(
        ndimage.map_coordinates(values, index, np.float64, order=order, prefilter=prefilter)
    )

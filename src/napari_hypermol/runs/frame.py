"""Which way a map found from nothing has to be turned to fit a composite's parts.

Supports are given in a frame of their own. A search ends in any frame and either hand. What tells
them apart is where the molecule moves: a first generic run, one ball with a state, shows how much
every voxel varies, and the composite's frame is the one in which its moving supports hold most of
that variance and all its supports most of the molecule.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.product import ProductBasis
from napari_hypermol.coordinates.fourier import resample_volume
from napari_hypermol.coordinates.grids import voxel_positions
from napari_hypermol.coordinates.rotations import rotation_grid
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.protocols import StateBasis
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.pose_step import Poses

__all__ = ["Frame", "best_frame", "generic_of", "in_frame_of", "needs_frame", "varying"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_SIZE = 24  # voxels across: parts are known to a few voxels
_ORDER = 2  # rotations tried, 15 degrees apart
_STARTS, _ROUNDS = 6, 60  # of the best, each bettered by random turns
_MIRROR = np.diag([1.0, 1.0, -1.0])


class Frame(NamedTuple):
    """r_composite = G M r_found, M = diag(1, 1, -1) or 1.

    Attributes
    ----------
    rotation : (3, 3) float64 ndarray
        G.
    is_mirrored : bool
    score : float
        Share of the variance inside the moving supports, less 1 where the frame says nothing.
    other_hand : float
        The best score of the other hand.
    """

    rotation: Float64
    is_mirrored: bool
    score: float
    other_hand: float


def needs_frame(composite: Composite) -> bool:
    """Whether the composite tells one frame from another: it has parts, or is off the middle."""
    first = composite.components[0]
    return len(composite.components) > 1 or bool(np.any(first.support.centre()))


def generic_of(composite: Composite) -> Composite:
    """One ball around the box with as many state coordinates as the composite moves in, up to 2."""
    moving = sum(c.dims for c in composite.components)
    one = CosineBasis(1)
    basis: StateBasis = one if moving < 2 else ProductBasis(one, one, 1)
    ball = Ball((0.0, 0.0, 0.0), 0.45 * composite.box_size)
    return Composite([Component("whole", ball, basis)], composite.box_size)


def varying(maps: HyperMaps) -> tuple[Float32, Float32]:
    """Mean density and variance over states of a molecule; both (z, y, x)."""
    molecule = maps.molecule
    (placed,) = molecule.placed_volumes(maps.theta)
    volumes = placed.volumes
    box = molecule.box_size
    full = np.zeros((len(volumes), box, box, box), dtype=np.float32)
    corner = getattr(placed, "corner", (0, 0, 0))
    z, y, x = (slice(c, c + n) for c, n in zip(corner, volumes.shape[1:], strict=True))
    full[:, z, y, x] = volumes
    return full[0], np.asarray((full[1:] ** 2).sum(axis=0))


def _support_values(composite: Composite, is_moving: bool, size: int) -> Float32:
    """The union of (moving) supports, each where it is placed, on `size` voxels across the box."""
    spacing = composite.box_size / size
    positions = voxel_positions(size) * spacing
    total = np.zeros((size, size, size), dtype=np.float32)
    owners = {c.name: c for c in composite.components}
    for component in composite.components:
        owner = component if component.shares is None else owners[component.shares]
        if is_moving and not component.dims:
            continue
        # P^-1 (r - s) for rows is (r - s) P
        own = (positions - component.shift) @ component.rotation
        total = np.maximum(total, owner.support.values(own, spacing))
    return total


def best_frame(
    mean: Float32, variance: Float32, composite: Composite, rng: np.random.Generator
) -> Frame:
    """The frame of a composite in a map that was found from nothing.

    Parameters
    ----------
    mean, variance : (n, n, n) float32 ndarray
        As `varying` gives them.
    composite : Composite
    rng : Generator

    Returns
    -------
    Frame
    """
    size = min(_SIZE, composite.box_size)
    moving = _support_values(composite, True, size)
    everything = _support_values(composite, False, size)
    positions = voxel_positions(size)
    inside = np.linalg.norm(positions, axis=-1) < size / 2 - 1
    points = positions[inside]
    weights = []
    for volume in (variance, mean**2):
        small = np.maximum(resample_volume(volume, size), 0)[inside]
        weights.append(small / max(float(small.sum()), 1e-30))
    share = float((moving * inside).sum() / inside.sum())

    def score(rotation: Float64, mirror: Float64) -> float:
        at = (points @ mirror @ rotation.T)[:, ::-1].T + size // 2
        held = ndimage.map_coordinates(moving, at, order=1, mode="constant")
        whole = ndimage.map_coordinates(everything, at, order=1, mode="constant")
        return float(weights[0] @ held - share + weights[1] @ whole - 1)

    grid = rotation_grid(_ORDER)
    found = []
    for mirror in (np.eye(3), _MIRROR):
        scores = np.array([score(rotation, mirror) for rotation in grid])
        best = (-np.inf, np.eye(3))
        for index in np.argsort(-scores)[:_STARTS]:
            value, rotation = scores[index], grid[index]
            for trial in range(_ROUNDS):
                width = 0.15 * 0.5 ** (trial * 4 / _ROUNDS)  # from 9 degrees down to half of one
                turn = Rotation.from_rotvec(rng.normal(scale=width, size=3)).as_matrix()
                other = score(turn @ rotation, mirror)
                if other > value:
                    value, rotation = other, turn @ rotation
            if value > best[0]:
                best = (float(value), np.asarray(rotation))
        found.append(best)
    is_mirrored = found[1][0] > found[0][0]
    (value, rotation), other_hand = found[int(is_mirrored)], found[int(not is_mirrored)]
    return Frame(rotation, is_mirrored, value, other_hand[0])


def in_frame_of(poses: Poses, frame: Frame) -> Poses:
    """The same poses for a molecule that was turned, and mirrored, into another frame.

    A molecule M V, M = diag(1, 1, -1), has the same projections under M R M.
    """
    rotations = np.asarray(poses.rotations, dtype=np.float64)
    if frame.is_mirrored:
        rotations = _MIRROR @ rotations @ _MIRROR
    return poses._replace(rotations=(rotations @ frame.rotation.T).astype(np.float32))

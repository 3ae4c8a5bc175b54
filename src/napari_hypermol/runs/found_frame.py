"""True maps where the found molecule has them, and which of its components a symmetry exchanges.

Not here: how the found frame is known (`pose_scores`).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from napari_hypermol.runs.pose_scores import PoseScores
from napari_hypermol.runs.truth import TrueHinge, Truth

__all__ = ["exchanged", "in_frame", "truth_in_frame"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def in_frame(volume: NDArray[np.floating], frame: Float64, offset: Float64) -> Float32:
    """V(C^T (r - o)), the map whose points r have gone to C r + o; by cubic splines.

    Parameters
    ----------
    volume : (n, n, n) float ndarray
    frame : (3, 3) float64 ndarray
        C, a rotation or a rotation and a reflection, about the origin, index ``n // 2``.
    offset : (3,) float64 ndarray
        o, (x, y, z) [voxels].

    Returns
    -------
    (n, n, n) float32 ndarray
        Zero where the map is not known.
    """
    middle = len(volume) // 2
    backward = frame.T[::-1, ::-1]  # of indices, z first
    start = middle - backward @ (middle + offset[::-1])
    moved = ndimage.affine_transform(np.asarray(volume, dtype=np.float32), backward, start, order=3)
    return np.asarray(moved, dtype=np.float32)


def truth_in_frame(truth: Truth, poses: PoseScores, pixel_size: float) -> Truth:
    """The true molecule as the run has it: maps and hinge turned, mirrored if need be, and moved.

    Parameters
    ----------
    truth : Truth
    poses : PoseScores
    pixel_size : float
        [Å].
    """
    frame, offset = poses.frame, poses.offset
    components = truth.components and [
        replace(c, volumes=np.stack([in_frame(v, frame, offset) for v in c.volumes]))
        for c in truth.components
    ]
    hinge = truth.hinge
    if hinge is not None:
        axis, pivot = frame @ hinge.axis, frame @ hinge.pivot + offset * pixel_size
        hinge = TrueHinge(hinge.component, tuple(axis.tolist()), tuple(pivot.tolist()))
    return replace(truth, components=components, hinge=hinge)


def exchanged(truth: Truth, operations: Float64) -> NDArray[np.int64]:
    """Which true state stands in which place after each rotation of the molecule's symmetry.

    A particle at the pose R S of the found molecule, R the true pose, shows component a where
    another one is, c: the one that looks like V_a(S r). So the found state of c is the true one
    of a.

    Parameters
    ----------
    truth : Truth
        With its maps.
    operations : (g, 3, 3) float64 ndarray
        S.

    Returns
    -------
    (g, d) int64 ndarray
        Column of the true states for every place c.
    """
    moving = [component.volumes.mean(axis=0) for component in truth.moving]
    orders = np.tile(np.arange(len(moving)), (len(operations), 1))
    for order, operation in zip(orders, operations, strict=True):
        if len(moving) < 2 or np.allclose(operation, np.eye(3)):
            continue
        turned = np.stack([in_frame(v, operation.T, np.zeros(3)).ravel() for v in moving])
        still = np.stack([v.ravel() for v in moving])
        likeness = np.corrcoef(turned, still)[: len(moving), len(moving) :]
        a, c = linear_sum_assignment(likeness, maximize=True)
        order[c] = a
    return orders

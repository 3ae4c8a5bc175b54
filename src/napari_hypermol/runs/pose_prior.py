"""What is known of the poses before the images are looked at: they are near the file's."""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.rotations import angles_between
from napari_hypermol.particles import Particles
from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.runs.pose_step import Poses, PoseSettings

__all__ = ["FIRST_ROTATION_STD", "learned", "pose_prior"]

FIRST_ROTATION_STD = float(np.radians(8.0))  # [rad] of one that is learned: rather too wide
_SHIFT_STD = 0.05  # of the box, where the recipe says nothing
_MEDIAN_LENGTH = 1.5382  # of a vector of three standard normal numbers
_UNMOVED = 1e-4  # [rad]


def pose_prior(particles: Particles, rows: NDArray[np.int64], settings: PoseSettings) -> PosePrior:
    """Priors of rotations and shifts about those of the file, or about none."""
    n, box = len(rows), int(particles.images.shape[1])
    std = settings.shift_std or _SHIFT_STD * box * particles.pixel_size
    about = np.zeros((n, 2)) if settings.shift == "search" else particles.shifts[rows]
    rotations, precision = np.tile(np.eye(3, dtype=np.float32), (n, 1, 1)), 0.0
    if settings.rotation_std and particles.rotations is not None:
        rotations = np.asarray(particles.rotations[rows], dtype=np.float32)
        precision = settings.rotation_std**-2
    return PosePrior(
        rotations,
        float(precision),
        np.asarray(about / particles.pixel_size, dtype=np.float64),
        float((particles.pixel_size / std) ** 2),
    )


def learned(prior: PosePrior, poses: Poses) -> PosePrior:
    """The prior whose rotations are about as far from the file's as those found so far.

    Its standard deviation is the most likely one given draws of the rotations, or means and
    spreads of them: a maximisation step. From the median angle, so that particles which went far
    astray, or were far off in the file, do not widen it for the others.
    """
    if not prior.rotation_precision:
        return prior
    away = angles_between(prior.rotations, poses.rotations)
    median = float(np.median(np.sqrt(away**2 + poses.rotation_std**2)))
    if median < _UNMOVED:  # nothing has been found out yet
        return prior
    return prior._replace(rotation_precision=(_MEDIAN_LENGTH / median) ** 2)

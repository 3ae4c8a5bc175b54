"""Infinitesimal rigid motions of a density: the tangent volumes of a trajectory.

A twist (omega, v) moves the point x by omega x (x - c) + v, c the middle of the cube; the density
then changes by -(omega x (x - c) + v).grad V.
"""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.fourier import radius_index, volume_gradient, volume_to_half_space
from napari_hypermol.coordinates.grids import voxel_positions

__all__ = ["shell_products", "tangent_volumes", "twist_about"]

Float64 = NDArray[np.float64]


def tangent_volumes(cubes: NDArray[np.floating], spacing: float) -> Float64:
    """Change of densities per unit of each twist component.

    Parameters
    ----------
    cubes : (q, n, n, n) float ndarray
        n even.
    spacing : float
        Of the cube's voxels [voxels of the box].

    Returns
    -------
    (q, 6, n, n, n) float64 ndarray
        By omega_x, omega_y, omega_z [1/rad], v_x, v_y, v_z [1/voxel of the box].
    """
    slopes = volume_gradient(cubes.astype(np.float64)) / spacing  # (q, 3, n, n, n), x y z
    positions = np.moveaxis(voxel_positions(cubes.shape[-1]), -1, 0) * spacing
    # (e_a x r).grad = (r x grad)_a
    turned = np.stack(
        [
            positions[1] * slopes[:, 2] - positions[2] * slopes[:, 1],
            positions[2] * slopes[:, 0] - positions[0] * slopes[:, 2],
            positions[0] * slopes[:, 1] - positions[1] * slopes[:, 0],
        ],
        axis=1,
    )
    return -np.concatenate([turned, slopes], axis=1)


def twist_about(twists: Float64, centre: Float64) -> Float64:
    """Twists about the frame's origin as twists about `centre`: v + omega x c; (..., 6, p)."""
    moved = twists.copy()
    turned = np.moveaxis(twists[..., :3, :], -2, -1)
    moved[..., 3:, :] += np.moveaxis(np.cross(turned, centre), -1, -2)
    return np.asarray(moved)


def shell_products(volumes: Float64, n_shells: int) -> Float64:
    """Inner products of volumes, shell by shell of their Fourier transforms.

    Parameters
    ----------
    volumes : (j, n, n, n) float64 ndarray
    n_shells : int
        Radial bins; what lies beyond belongs to the last one.

    Returns
    -------
    (n_shells, j, j) float64 ndarray
        Sums over shells are the inner products over voxels.
    """
    size = volumes.shape[-1]
    half = volume_to_half_space(volumes) / size**1.5
    shells = np.minimum(radius_index(size), n_shells - 1).ravel()
    multiplicity = np.full(half.shape[1:], 2.0)
    multiplicity[..., 0] = multiplicity[..., -1] = 1.0
    out = np.empty((n_shells, len(volumes), len(volumes)))
    for i in range(len(volumes)):
        for j in range(i + 1):
            products = (half[i].conj() * half[j]).real * multiplicity
            out[:, i, j] = out[:, j, i] = np.bincount(shells, products.ravel(), n_shells)
    return out

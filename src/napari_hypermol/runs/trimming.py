"""Supports cut down to where density was found, before a stage begins.

A loose ball is right to begin with, but most of it is empty, and there the moving functions can
only fit noise. Where density may still appear is left: around what was found, as far as the
resolution lets it blur.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_hypermol.coordinates.fourier import resample_volume
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.molecules.mask_making import pieces, resampled, soft_mask
from napari_hypermol.runs.snapshot import Snapshot

__all__ = ["trimmed"]

_PARTICLES = 48  # whose states are looked at
_SHARE = 0.1  # of them that have density at a place: it is kept
_LEVEL = 0.1  # of the highest density; below is solvent, or blur
_PEAK = 0.999  # quantile that is taken for the highest
_NOISE = 0.99  # quantile of what reaches below zero: noise reaches as far above, molecules do not
_MOST_LEVEL = 0.5  # of the highest; where noise reaches that, nothing stands out
_SMOOTH = 0.5  # [coarse voxels]: noise has no neighbours
_LEAST_PIECE = 0.5  # of a cube as large as the resolution: smaller pieces are noise
_AROUND, _LEAST_AROUND = 0.35, 2.0  # dilation in units of the resolution, and at least [voxels]
_EDGE = 3.0  # [voxels]
_MOST_VOXELS = 64  # along an edge: finer maps say no more about where there is something


def trimmed(composite: Composite, snapshot: Snapshot) -> Composite:
    """The composite, its supports cut down where components ask for it.

    Parameters
    ----------
    composite : Composite
        As the recipe has it.
    snapshot : Snapshot
        Its molecule says where there is density.
    """
    molecule, cuts = snapshot.molecule, []
    resolution = molecule.box_size / snapshot.stage.max_radius
    for s in range(len(molecule.bases)):
        users = [m for m, owner in enumerate(molecule.owners) if owner == s]
        is_wanted = composite.components[users[0]].is_trimmed
        cuts.append(_cut(molecule, snapshot, s, users, resolution) if is_wanted else None)
    return composite.trimmed(cuts)


def _cut(
    molecule: LinearMolecule, snapshot: Snapshot, s: int, users: list[int], resolution: float
) -> NDArray[np.uint8] | None:
    """What is left of one set's support; None if nothing stands out."""
    basis, part = molecule.bases[s], molecule.split(snapshot.estimate.theta)[s]
    size = min(basis.size, _MOST_VOXELS)
    cubes = resample_volume(np.asarray(basis.evaluate(part), dtype=np.float32), size)
    densities = np.tensordot(_functions(molecule, snapshot, users), cubes, 1)
    low, density = (
        ndimage.gaussian_filter(limit, _SMOOTH)
        for limit in np.quantile(densities, (_SHARE, 1 - _SHARE), axis=0).astype(np.float32)
    )
    peak = float(np.quantile(density, _PEAK))
    level = max(_LEVEL * peak, float(np.quantile(-low, _NOISE)))
    if level <= 0 or level > _MOST_LEVEL * peak:
        return None
    fine = resampled(density, basis.edge / size, basis.edge, 1.0)
    inside = pieces(fine > level, _LEAST_PIECE * resolution**3) > 0
    if not inside.any():
        return None
    left = soft_mask(inside, max(_LEAST_AROUND, _AROUND * resolution), _EDGE)
    return np.rint(255 * left).astype(np.uint8)


def _functions(
    molecule: LinearMolecule, snapshot: Snapshot, users: list[int]
) -> NDArray[np.float32]:
    """State functions of some particles, in every place that uses the set; (rows, q)."""
    states = snapshot.posterior.state_mean
    rows = np.unique(np.linspace(0, len(states) - 1, _PARTICLES).astype(np.int64))
    found = []
    for m in users:
        start = sum(len(molecule.kinds(k)) for k in range(m))
        own = states[rows, start : start + len(molecule.kinds(m))]
        found.append(molecule.state_bases[m].evaluate(molecule.split_state(m, own)[1]))
    return np.concatenate(found).astype(np.float32)

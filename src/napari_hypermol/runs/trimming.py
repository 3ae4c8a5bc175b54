"""Supports cut down to where density was found, before a stage begins.

A loose ball is right to begin with, but most of it is empty, and there the moving functions can
only fit noise. Where density may still appear is left: around what was found, as far as the
resolution lets it blur.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_hypermol.coordinates.fourier import resample_volume
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.molecules.mask_making import pieces, resampled, soft_mask
from napari_hypermol.runs.snapshot import Snapshot
from napari_hypermol.runs.state_axes import state_axes

__all__ = ["cut_arrays", "cuts_among", "trimmed"]

_PARTICLES = 192  # whose states are looked at
# Of them, and of those of one class, that have density at a place: it is kept. What a tenth of all
# particles have is then hardly ever missed among so few.
_SHARE, _SHARE_OF_CLASS = 0.06, 0.25
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
    share = min(_SHARE, *(_SHARE_OF_CLASS / _n_classes(molecule, m) for m in users))
    functions = _functions(molecule, snapshot, users)
    limits = [  # plane by plane, since all densities together are large
        np.quantile(np.tensordot(functions, cubes[:, z], 1), (share, 1 - share), axis=0)
        for z in range(size)
    ]
    low, density = (
        ndimage.gaussian_filter(limit, _SMOOTH)
        for limit in np.array(limits, dtype=np.float32).swapaxes(0, 1)
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
    n = max(1, _PARTICLES // len(users))
    rows = np.unique(np.linspace(0, len(states) - 1, n).astype(np.int64))
    found = []
    for m in users:
        start = sum(len(molecule.kinds(k)) for k in range(m))
        own = states[rows, start : start + len(molecule.kinds(m))]
        found.append(molecule.state_bases[m].evaluate(molecule.split_state(m, own)[1]))
    return np.concatenate(found).astype(np.float32)


def _n_classes(molecule: LinearMolecule, m: int) -> int:
    """Shapes that a component jumps between; 1 for one that moves."""
    name = molecule.components[m].name
    return max([1, *(axis.n_classes for axis in state_axes(molecule) if axis.component == name)])


def cut_arrays(molecule: LinearMolecule) -> tuple[int, dict[str, NDArray[np.uint8]]]:
    """What is left of a molecule's supports, for the disk: how many sets there are, and arrays."""
    cuts = molecule.cuts
    found = {f"cut_{s}": cut for s, cut in enumerate(cuts) if cut is not None}
    return (len(cuts) if found else 0), found


def cuts_among(n_cuts: int, arrays: Mapping[str, Any]) -> list[NDArray[np.uint8] | None]:
    """Of every coefficient set, from the disk; empty where nothing was trimmed."""
    return [arrays.get(f"cut_{s}") for s in range(n_cuts)]

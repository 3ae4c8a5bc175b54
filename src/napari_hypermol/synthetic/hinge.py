"""A protein-like molecule: two globular domains of many pseudo-atoms, one turning about a hinge."""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.component import rotation_about
from napari_hypermol.synthetic.gaussians import GaussianComponent, GaussianMolecule
from napari_hypermol.synthetic.globule import globule

__all__ = ["hinge"]

# Units of a 64-voxel box throughout.
_ATOMS = 300  # in each domain
_WIDTH = 1.25
_CENTRES = np.array([[-7.5, 0.0, -2.0], [9.0, 0.0, 3.0]])
_RADII = (8.5, 7.0)
_PIVOT = np.array([1.5, 0.0, 0.0])
_AXIS = (0.2, 1.0, 0.1)
_TURN = np.radians(20.0)  # the second domain turns from -20 to +20 degrees


def hinge(box_size: int) -> GaussianMolecule:
    """The hinge, scaled to a box; the same chain every time.

    Parameters
    ----------
    box_size : int
        [voxels]; the hinge spans about 60 % of it.

    Returns
    -------
    GaussianMolecule
        One component with one state.
    """
    scale = box_size / 64
    rng = np.random.default_rng(2020)  # part of the molecule's definition
    fixed = globule(rng, _RADII[0], _ATOMS) + _CENTRES[0]
    moving = globule(rng, _RADII[1], _ATOMS) + _CENTRES[1]

    def centres(states: NDArray[np.float64]) -> NDArray[np.float64]:
        turns = np.stack([rotation_about(_AXIS, _TURN * (2 * t - 1)) for t in states])
        turned = np.einsum("nij,gj->ngi", turns, moving - _PIVOT) + _PIVOT
        still = np.broadcast_to(fixed, (len(states), *fixed.shape))
        return scale * np.concatenate([still, turned], axis=1)

    ones = np.ones(2 * _ATOMS)
    component = GaussianComponent("hinge", centres, ones, scale * _WIDTH * ones, True)
    return GaussianMolecule((component,))

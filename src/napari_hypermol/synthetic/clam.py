"""The "clam": two rigid bodies, of which the second, the lid, turns about a hinge at the rim."""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.component import rotation_about
from napari_hypermol.synthetic.gaussians import GaussianComponent, GaussianMolecule, Hinge
from napari_hypermol.synthetic.globule import globule

__all__ = ["BASE_BALL", "LID_BALL", "clam"]

# Units of a 64-voxel box throughout; z is up, the hinge is at the left.
_ATOMS = (350, 250)  # of base and lid
_WIDTH = 1.25
_CENTRES = np.array([[-1.0, 1.0, -8.5], [0.5, -0.5, 10.0]])  # the lid half open
_RADII = (8.5, 7.0)
_PIVOT = (-9.0, 0.0, 1.0)
_AXIS = np.array([0.15, -1.0, 0.1]) / np.linalg.norm([0.15, -1.0, 0.1])
_TURN = 25.0  # [degrees] the lid turns from -25, nearly closed, to +25, wide open
# Loose balls about the base and about the lid half open: centre and radius.
BASE_BALL = ((-1.0, 1.0, -8.5), 12.5)
LID_BALL = ((0.5, -0.5, 10.0), 11.0)


def clam(box_size: int) -> GaussianMolecule:
    """The clam, scaled to a box; the same chains every time.

    Parameters
    ----------
    box_size : int
        [voxels]; the clam spans about 65 % of it.

    Returns
    -------
    GaussianMolecule
        ``base`` (rigid) and ``lid``, whose state is its turn about the recorded hinge.
    """
    scale = box_size / 64
    rng = np.random.default_rng(2021)  # part of the molecule's definition
    base = globule(rng, _RADII[0], _ATOMS[0]) + _CENTRES[0]
    lid = globule(rng, _RADII[1], _ATOMS[1]) + _CENTRES[1]
    axis = (float(_AXIS[0]), float(_AXIS[1]), float(_AXIS[2]))

    def still(states: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.broadcast_to(scale * base, (len(states), *base.shape))

    def turned(states: NDArray[np.float64]) -> NDArray[np.float64]:
        angles = np.radians(_TURN) * (2 * states - 1)
        turns = np.stack([rotation_about(axis, angle) for angle in angles])
        return np.asarray(scale * (np.einsum("nij,gj->ngi", turns, lid - _PIVOT) + _PIVOT))

    components = tuple(
        GaussianComponent(name, centres, np.ones(n), np.full(n, scale * _WIDTH), has_state)
        for name, centres, n, has_state in (
            ("base", still, _ATOMS[0], False), ("lid", turned, _ATOMS[1], True),
        )
    )  # fmt: skip
    pivot = (scale * _PIVOT[0], scale * _PIVOT[1], scale * _PIVOT[2])
    return GaussianMolecule(components, Hinge("lid", axis, pivot, (-_TURN, _TURN)))

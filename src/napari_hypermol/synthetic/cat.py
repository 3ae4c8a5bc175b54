"""The paper's "cat" (Section 3.1.1): one piece whose head turns; one state, no rigid part named."""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.component import rotation_about
from napari_hypermol.synthetic.gaussians import GaussianComponent, GaussianMolecule

__all__ = ["cat"]

# Body, legs and tail, in units of a 64-voxel box: x, y, z, width, amplitude. z is up.
_BODY = np.array(
    [
        [-7.0, 0.0, -5.0, 3.4, 1.0],
        [-1.5, 0.0, -5.5, 3.2, 1.0],
        [4.0, 0.0, -4.0, 3.0, 1.0],
        [5.0, 3.0, -12.0, 1.8, 1.0],
        [5.0, -3.0, -12.0, 1.8, 1.0],
        [-8.0, 3.5, -12.0, 2.0, 1.0],
        [-8.0, -3.5, -12.0, 2.0, 1.0],
        [-13.0, 0.5, -2.0, 1.6, 0.9],
        [-15.5, 1.5, 2.0, 1.6, 0.9],
        [-15.0, 3.0, 6.0, 1.6, 0.9],
        [6.0, 0.0, 1.0, 2.4, 1.0],
    ]
)
# Skull, muzzle, ears: relative to the neck, looking along +x.
_HEAD = np.array(
    [
        [1.5, 0.0, 4.5, 3.0, 1.1],
        [6.5, 0.0, 3.0, 2.0, 1.1],
        [9.0, 0.0, 2.0, 1.5, 1.0],
        [-0.5, 3.2, 9.0, 1.5, 1.1],
        [-0.5, -3.2, 9.0, 1.5, 1.1],
    ]
)
_NECK = np.array([6.0, 0.0, 3.0])
_TURN = np.radians(65.0)  # the head looks from -65 to +65 degrees


def cat(box_size: int) -> GaussianMolecule:
    """The cat, scaled to a box.

    Parameters
    ----------
    box_size : int
        [voxels]; the cat spans about 60 % of it.

    Returns
    -------
    GaussianMolecule
        One component, whose state turns the head about the vertical axis.
    """
    scale = box_size / 64

    def centres(states: NDArray[np.float64]) -> NDArray[np.float64]:
        turns = np.stack([rotation_about((0, 0, 1), _TURN * (2 * t - 1)) for t in states])
        head = np.einsum("nij,gj->ngi", turns, _HEAD[:, :3]) + _NECK
        body = np.broadcast_to(_BODY[:, :3], (len(states), *_BODY[:, :3].shape))
        return scale * np.concatenate([body, head], axis=1)

    gaussians = np.concatenate([_BODY, _HEAD])
    component = GaussianComponent("cat", centres, gaussians[:, 4], scale * gaussians[:, 3], True)
    return GaussianMolecule((component,))

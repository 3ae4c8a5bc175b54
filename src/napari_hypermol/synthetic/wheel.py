"""The "wheel": a hub and a lopsided rotor that turns all the way round; one periodic state."""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.component import rotation_about
from napari_hypermol.synthetic.gaussians import GaussianComponent, GaussianMolecule

__all__ = ["wheel"]

# Hub in units of a 64-voxel box: x, y, z, width, amplitude. Lopsided, so that poses have a meaning.
_HUB = np.array(
    [
        [0.0, 0.0, -4.0, 3.2, 1.0],
        [6.0, 1.0, -7.0, 2.8, 1.0],
        [11.0, 3.0, -8.0, 2.2, 1.0],
        [-5.0, 4.0, -9.0, 2.6, 1.0],
        [-9.0, 7.5, -10.5, 2.0, 0.9],
        [-2.0, -7.0, -8.0, 2.6, 1.0],
        [-3.0, -12.0, -9.5, 1.8, 1.0],
        [1.0, 1.0, -13.0, 2.8, 1.0],
        [4.0, -2.0, -17.0, 2.0, 1.0],
    ]
)
# Rotor about its own axis along +z, at state 0: no turn maps it onto itself.
_ROTOR = np.array(
    [
        [0.0, 0.0, 6.5, 2.6, 1.0],
        [4.5, 0.0, 7.5, 2.8, 1.0],
        [9.0, 0.5, 9.0, 3.2, 1.2],
        [7.5, 5.0, 10.5, 2.4, 1.0],
        [-4.0, 3.0, 7.5, 2.4, 1.0],
        [-1.5, -5.5, 9.0, 2.6, 0.9],
        [0.0, 0.5, 12.5, 2.4, 1.0],
    ]
)
_TILT = (((1, 0.4, 0)), np.radians(12.0))  # of the rotor's axis against z


def wheel(box_size: int) -> GaussianMolecule:
    """The wheel, scaled to a box.

    Parameters
    ----------
    box_size : int
        [voxels]; the wheel spans about 60 % of it.

    Returns
    -------
    GaussianMolecule
        One component whose state is a full turn of the rotor: 0 and 1 are the same.
    """
    scale = box_size / 64
    tilt = rotation_about(*_TILT)

    def centres(states: NDArray[np.float64]) -> NDArray[np.float64]:
        turns = np.stack([tilt @ rotation_about((0, 0, 1), 2 * np.pi * t) for t in states])
        rotor = np.einsum("nij,gj->ngi", turns, _ROTOR[:, :3])
        hub = np.broadcast_to(_HUB[:, :3], (len(states), *_HUB[:, :3].shape))
        return scale * np.concatenate([hub, rotor], axis=1)

    gaussians = np.concatenate([_HUB, _ROTOR])
    component = GaussianComponent(
        "wheel", centres, gaussians[:, 4], scale * gaussians[:, 3], has_state=True, kind="circle"
    )
    return GaussianMolecule((component,))

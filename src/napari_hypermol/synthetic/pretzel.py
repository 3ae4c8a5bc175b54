"""The paper's "pretzel" (Section 3.1.2): a rigid base and two independent, identical arms."""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.component import rotation_about
from napari_hypermol.synthetic.gaussians import GaussianComponent, GaussianMolecule

__all__ = ["ARM_BALL", "pretzel"]

# Base in units of a 64-voxel box: x, y, z, width, amplitude. Nearly two-fold about z, not quite.
_BASE = np.array(
    [
        [0.0, 0.0, 0.0, 3.0, 0.8],
        [4.5, 4.0, 1.0, 2.4, 1.0],
        [-4.5, -4.0, 1.0, 2.4, 1.0],
        [0.0, 8.0, -3.0, 2.4, 1.0],
        [0.0, -8.0, -3.0, 2.4, 1.0],
        [-4.0, 5.0, -7.5, 2.2, 1.0],
        [4.0, -5.0, -7.5, 2.2, 1.0],
        [0.0, 0.0, -11.5, 2.6, 1.0],
        [2.5, 2.0, 7.0, 2.0, 1.0],
        [-1.5, 3.0, 11.0, 1.8, 0.9],
    ]
)
# One arm stretched along +x from its shoulder: distances, widths and amplitudes of its beads.
_BEADS = np.array([[2.5, 2.3, 1.0], [6.0, 2.1, 1.0], [9.5, 2.0, 1.0], [12.5, 2.2, 1.1]])
_SHOULDER = np.array([7.0, 1.5, 0.0])
_SWING = np.radians(55.0)  # the arm swings through twice this angle, bending as it goes
_SWING_AXIS = (0.35, -1.0, 0.25)
# A loose ball around one arm's whole range, units of a 64-voxel box: centre and radius.
ARM_BALL = ((14.5, 1.5, 0.5), 12.5)


def _arm_centres(states: NDArray[np.float64]) -> NDArray[np.float64]:
    """Beads of one arm; the outer ones lag behind, so the motion is not a rigid turn."""
    lag = np.array([1.0, 0.95, 0.85, 0.75])
    places = np.empty((len(states), len(_BEADS), 3))
    for i, state in enumerate(states):
        for j, distance in enumerate(_BEADS[:, 0]):
            turn = rotation_about(_SWING_AXIS, _SWING * lag[j] * (2 * state - 1))
            places[i, j] = _SHOULDER + turn @ np.array([distance, 0.0, 0.0])
    return places


def pretzel(box_size: int) -> GaussianMolecule:
    """The pretzel, scaled to a box.

    Parameters
    ----------
    box_size : int
        [voxels]; the pretzel spans about 65 % of it.

    Returns
    -------
    GaussianMolecule
        ``body`` (rigid), ``arm_a`` and ``arm_b`` = arm_a turned by 180 degrees about z, each arm
        with its own state. Turned by 180 degrees about z, with the arms' states exchanged, all but
        the top of the body is the same again.
    """
    scale = box_size / 64
    half_turn = rotation_about((0, 0, 1), np.pi)

    def base(states: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.broadcast_to(scale * _BASE[:, :3], (len(states), *_BASE[:, :3].shape))

    def arm_a(states: NDArray[np.float64]) -> NDArray[np.float64]:
        return scale * _arm_centres(states)

    def arm_b(states: NDArray[np.float64]) -> NDArray[np.float64]:
        return arm_a(states) @ half_turn.T

    widths, amplitudes = scale * _BEADS[:, 1], _BEADS[:, 2]
    return GaussianMolecule(
        (
            GaussianComponent("body", base, _BASE[:, 4], scale * _BASE[:, 3], False),
            GaussianComponent("arm_a", arm_a, amplitudes, widths, True),
            GaussianComponent("arm_b", arm_b, amplitudes, widths, True),
        ),
        symmetry="C2",
    )

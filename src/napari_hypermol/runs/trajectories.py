"""How components move as a whole, as a person reads it: Å and degrees, in the molecule's frame."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.molecules.trajectory import RigidTrajectory

__all__ = ["learned_trajectories", "trajectory_sentences"]

Float64 = NDArray[np.float64]
_ALONG = 101  # states looked at for the ends of a turn, which need not be those of the range


def learned_trajectories(molecule: LinearMolecule, pixel_size: float) -> dict[str, dict[str, Any]]:
    """Parameters of every trajectory, by the name of the component that moves.

    Parameters
    ----------
    molecule : LinearMolecule
    pixel_size : float
        [Å]

    Returns
    -------
    dict
        Of a turn: ``axis``, a unit vector; ``pivot``, the point of the axis nearest to the
        component's centre [Å from the box centre]; ``range``, the smallest and the largest angle
        [degrees]. Of a translation: ``translation``, one vector [Å] for each of ``exponents``, the
        powers of 2 tau - 1 of every state coordinate. ``is_learned``: False where the recipe gave
        all of it. Vectors are (x, y, z).
    """
    out = {}
    for m, component in enumerate(molecule.components):
        trajectory = molecule.trajectory(m)
        if trajectory is not None:
            centre = molecule.centres[molecule.owners[m]]
            place = (component.rotation, component.shift)
            out[component.name] = _parameters(trajectory, centre, place, pixel_size)
    return out


def _parameters(
    trajectory: RigidTrajectory, centre: Float64, place: tuple[Float64, Float64], pixel_size: float
) -> dict[str, Any]:
    """Of one component whose own frame is placed at r = P x + s, (P, s) = `place`."""
    rotation, shift = place
    out: dict[str, Any] = {"is_learned": trajectory.is_learned}
    if (turn := trajectory.turn) is not None:
        nearest = turn.pivot + turn.axis * (turn.axis @ (centre - turn.pivot))
        x = np.linspace(-1, 1, _ALONG)[:, None]
        angles = np.degrees(x ** np.arange(1, len(turn.angles) + 1) @ turn.angles)
        out["axis"] = (rotation @ turn.axis).tolist()
        out["pivot"] = ((rotation @ nearest + shift) * pixel_size).tolist()
        out["range"] = [float(angles.min()), float(angles.max())]
    if (translation := trajectory.translation) is not None:
        out["translation"] = (translation.vectors @ rotation.T * pixel_size).tolist()
        out["exponents"] = translation.exponents.tolist()
    return out


def trajectory_sentences(trajectories: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What `learned_trajectories` says, one line for each component."""
    lines = []
    for name, found in trajectories.items():
        how = "learned" if found["is_learned"] else "given by the recipe"
        parts = []
        if "axis" in found:
            low, high = found["range"]
            parts.append(
                f"turns by {high - low:.1f}° about the axis ({_triple(found['axis'], 2)}) through "
                f"the point ({_triple(found['pivot'], 1)}) Å"
            )
        if "translation" in found:
            parts.append(_moves(found))
        lines.append(f"{name} {' and '.join(parts)} ({how})")
    return lines


def _moves(found: Mapping[str, Any]) -> str:
    """How far a translation goes from end to end of every state coordinate, the other half way."""
    vectors, exponents = np.array(found["translation"]), np.array(found["exponents"])
    legs = []
    for axis in range(exponents.shape[1]):
        alone = np.delete(exponents, axis, axis=1).sum(axis=1) == 0
        odd = alone & (exponents[:, axis] % 2 == 1)  # even powers are the same at both ends
        leg = 2 * vectors[odd].sum(axis=0)
        legs.append(f"by {np.linalg.norm(leg):.1f} Å, ({_triple(leg, 1)}), from end to end")
    return "moves " + " and ".join(legs)


def _triple(vector: Any, digits: int) -> str:
    """Without negative zeros."""
    return ", ".join(f"{round(float(v), digits) + 0.0:.{digits}f}" for v in vector)

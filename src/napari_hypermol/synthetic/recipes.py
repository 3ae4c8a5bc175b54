"""The recipe a scientist would write for each simulated molecule: balls, states, sharing."""

from typing import Any

from napari_hypermol.synthetic.clam import BASE_BALL, LID_BALL
from napari_hypermol.synthetic.classes import POPULATIONS
from napari_hypermol.synthetic.pretzel import ARM_BALL

__all__ = ["components_of", "whole_of"]

_WHOLE = ((0.0, 0.0, 0.0), 26.0)
_WIDE = ((0.0, 0.0, 0.0), 30.0)
_BODY = ((0.0, 0.0, 0.0), 21.0)
_RANGE = {"basis": "cosine", "dims": 1, "degree": 5}


def whole_of(dims: int, unit: float) -> dict[str, Any]:
    """One ball around a molecule with `dims` states, whatever parts it has; 2 states at most."""
    centre, radius = _WHOLE
    ball = {"center": list(centre), "radius": round(radius * unit, 3)}
    state = {"basis": "cosine", "dims": min(dims, 2), "degree": 3}
    return {"whole": {"support": {"ball": ball}, "state": state}}


def components_of(molecule: str, unit: float) -> dict[str, Any]:
    """The ``components`` of a molecule's recipe.

    Parameters
    ----------
    molecule : str
        Of `simulate.MOLECULES`; or ``molecule``, a rigid one from a map.
    unit : float
        Length of one voxel of a 64-voxel box [Å].
    """

    def ball(place: tuple[tuple[float, float, float], float]) -> dict[str, Any]:
        centre, radius = place
        rounded = [round(float(c) * unit, 3) for c in centre]
        return {"ball": {"center": rounded, "radius": round(radius * unit, 3)}}

    if molecule == "pretzel":
        placed = {"axis": [0, 0, 1], "angle": 180}
        return {
            "body": {"support": ball(_BODY)},
            "arm_a": {"support": ball(ARM_BALL), "state": dict(_RANGE)},
            "arm_b": {"share": "arm_a", "placed": placed, "state": {}},
        }
    if molecule == "clam":
        turn = {"turn": {"degree": 1}}
        return {
            "base": {"support": ball(BASE_BALL)},
            "lid": {"support": ball(LID_BALL), "trajectory": turn},
        }
    if molecule == "molecule":
        return {molecule: {"support": ball(_WIDE)}}
    state = {
        "wheel": {"basis": "fourier", "degree": 4},
        "classes": {"basis": "classes", "classes": len(POPULATIONS)},
    }.get(molecule, dict(_RANGE))
    return {molecule: {"support": ball(_WHOLE), "state": state}}

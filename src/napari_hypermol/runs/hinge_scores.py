"""How far a recovered hinge is from the true one."""

from collections.abc import Sequence

import numpy as np

__all__ = ["hinge_errors"]


def hinge_errors(
    axis: Sequence[float],
    pivot: Sequence[float],
    true_axis: Sequence[float],
    true_pivot: Sequence[float],
) -> tuple[float, float]:
    """Errors of a line about which something turns.

    The direction of an axis has no sign, and a pivot is defined only up to sliding along its axis.
    So the error of the pivot is that of the line where it matters: at the point of the recovered
    line nearest to the true pivot, the distance from the true line.

    Parameters
    ----------
    axis, true_axis : (x, y, z)
        Of any length but zero.
    pivot, true_pivot : (x, y, z)
        Points of the lines, in one unit.

    Returns
    -------
    angle : float
        Between the axes, 0 to 90 [degrees].
    distance : float
        In the unit of the pivots.
    """
    found, true = (np.asarray(a, dtype=np.float64) / np.linalg.norm(a) for a in (axis, true_axis))
    # from sine and cosine: the arc cosine alone loses small angles to rounding
    angle = np.degrees(np.arctan2(np.linalg.norm(np.cross(found, true)), abs(found @ true)))
    start = np.asarray(pivot, dtype=np.float64) - np.asarray(true_pivot, dtype=np.float64)
    nearest = start - (start @ found) * found
    distance = np.linalg.norm(nearest - (nearest @ true) * true)
    return float(angle), float(distance)

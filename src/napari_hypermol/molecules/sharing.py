"""Which components use the same coefficients ("weight sharing", Remark 5), and point groups."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import RecipeError
from napari_hypermol.molecules.component import Component, rotation_about

__all__ = ["coefficient_owners", "point_group"]


def coefficient_owners(components: Sequence[Component]) -> NDArray[np.int64]:
    """Index of the coefficient set every component uses.

    Parameters
    ----------
    components : sequence of Component

    Returns
    -------
    owners : (m,) int64 ndarray
        Coefficient sets are numbered in the order of the components that own them.

    Raises
    ------
    RecipeError
        If a component shares with one that is missing or that itself shares.
    """
    own = [c.name for c in components if c.shares is None]
    for component in components:
        if component.shares is not None and component.shares not in own:
            raise RecipeError(
                f"component {component.name}: shares with {component.shares!r}, which is not a "
                f"component with coefficients of its own; those are {', '.join(own) or 'none'}"
            )
    return np.array([own.index(c.shares or c.name) for c in components], dtype=np.int64)


def point_group(name: str) -> NDArray[np.float64]:
    """Rotations of a cyclic or dihedral group; RELION's axes.

    Parameters
    ----------
    name : str
        ``Cn``: n-fold about z; ``Dn``: a two-fold axis along x besides.

    Returns
    -------
    (order, 3, 3) float64 ndarray
        The identity first.
    """
    order = int(name[1:])
    turns = [rotation_about((0, 0, 1), 2 * np.pi * i / order) for i in range(order)]
    if name[0] == "D":
        half_turn = rotation_about((1, 0, 0), np.pi)
        turns += [turn @ half_turn for turn in turns]
    return np.array(turns)

"""Where a recipe's components may have density, on the voxels of the box, to be looked at."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import voxel_positions
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite

__all__ = ["SupportMap", "support_map", "support_maps"]


class SupportMap(NamedTuple):
    """The support of one component, or of its copy under a symmetry.

    Attributes
    ----------
    component : str
        Its name in the recipe.
    values : (z, y, x) float32 ndarray
        1 inside, falling to 0 along the soft edge.
    """

    component: str
    values: NDArray[np.float32]


def support_map(
    component: Component, box_size: int, size: int | None = None
) -> NDArray[np.float32]:
    """The support of a component where it is placed.

    Parameters
    ----------
    component : Component
    box_size : int
        [voxels].
    size : int or None
        Samples along an edge of the box; None: its voxels.

    Returns
    -------
    (z, y, x) float32 ndarray
        Sample ``size // 2`` is the box centre.
    """
    spacing = 1.0 if size is None else box_size / size
    positions = voxel_positions(size or box_size) * spacing - component.shift
    own = positions @ component.rotation  # rows times P: P^-1 applied to columns
    return np.asarray(component.support.values(own, spacing), dtype=np.float32)


def support_maps(
    composite: Composite, names: list[str], size: int | None = None
) -> list[SupportMap]:
    """Supports of all components of a recipe that has these names; `size` as in `support_map`."""
    found = []
    for component in composite.components:
        # copies under a symmetry are called arm_1, arm_2, ...
        whole = component.name if component.name in names else component.name.rpartition("_")[0]
        values = support_map(component, composite.box_size, size)
        found.append(SupportMap(whole, values))
    return found

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


def support_map(component: Component, box_size: int) -> NDArray[np.float32]:
    """The support of a component where it is placed, on the box; (z, y, x) float32."""
    positions = voxel_positions(box_size) - component.shift
    own = positions @ component.rotation  # rows times P: P^-1 applied to columns
    return np.asarray(component.support.values(own, 1.0), dtype=np.float32)


def support_maps(composite: Composite, names: list[str]) -> list[SupportMap]:
    """Supports of all components of a recipe that has these names."""
    found = []
    for component in composite.components:
        # copies under a symmetry are called arm_1, arm_2, ...
        whole = component.name if component.name in names else component.name.rpartition("_")[0]
        found.append(SupportMap(whole, support_map(component, composite.box_size)))
    return found

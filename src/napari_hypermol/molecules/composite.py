"""A hypermolecule of several components, Eq. (25): what moves, and how, at any band limit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.gpswf import GpswfBasis
from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.coordinates.fourier import fast_even_size
from napari_hypermol.coordinates.grids import voxel_positions
from napari_hypermol.errors import MaskError
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.molecules.sharing import coefficient_owners
from napari_hypermol.molecules.support import Ball, Trimmed
from napari_hypermol.protocols import SpatialBasis

__all__ = ["Composite"]


@dataclass(frozen=True, eq=False)
class Composite:
    """Components in a box.

    Parameters
    ----------
    components : sequence of Component
    box_size : int
        Edge of the particle images [pixels].
    """

    components: Sequence[Component]
    box_size: int

    @property
    def dims(self) -> int:
        """State coordinates of all components together."""
        return sum(c.dims for c in self.components)

    def trimmed(self, cuts: Sequence[NDArray[np.uint8] | None]) -> "Composite":
        """The same with supports cut down.

        Parameters
        ----------
        cuts : sequence of (n, n, n) uint8 ndarray or None
            As `Trimmed` has them, of every coefficient set; None leaves its support whole.
        """
        owners = coefficient_owners(self.components)
        components = []
        for component, owner in zip(self.components, owners, strict=True):
            cut = cuts[owner]
            if cut is not None:
                component = replace(component, support=Trimmed(component.support, cut))
            components.append(component)
        return Composite(tuple(components), self.box_size)

    def discretise(self, max_radius: float, max_degree: int | None = None) -> "LinearMolecule":
        """The hypermolecule at a band limit in space and in the state.

        Parameters
        ----------
        max_radius : float
            [cycles per box edge].
        max_degree : int or None
            Caps the degree of every state basis.

        Returns
        -------
        LinearMolecule
        """
        owners = coefficient_owners(self.components)
        is_still = max_degree is not None and max_degree < 1
        states, bases, centres, trajectories = [], [], [], []
        for component in self.components:
            shape = component.state_basis
            states.append(shape if max_degree is None else shape.capped(max_degree))
            if component.shares is None:
                bases.append(_spatial_basis(component, self.box_size, max_radius))
                centres.append(component.support.centre())
                trajectories.append(None if is_still else component.trajectory)
            _check_inside(component, self.box_size)
        return LinearMolecule(
            components=tuple(self.components),
            owners=owners,
            bases=tuple(bases),
            centres=np.array(centres, dtype=np.float64),
            state_bases=tuple(states),
            box_size=self.box_size,
            trajectories=tuple(trajectories),
        )


def _check_inside(component: Component, box_size: int) -> None:
    """Refuse a component that was placed outside the box altogether."""
    centre = component.rotation @ component.support.centre() + component.shift
    if np.abs(centre).max() - component.support.edge() / 2 > box_size / 2:
        raise MaskError(
            f"component {component.name}: its support misses the box once placed; centres, axes "
            "and shifts are taken from the middle of the box"
        )


def _spatial_basis(component: Component, box_size: int, max_radius: float) -> SpatialBasis:
    """The component's support, in functions just fine enough for the band limit."""
    support = component.support
    edge = support.edge()
    # Nyquist of the coarse voxels at the band limit, and two voxels so that the mask's edge fits.
    size = min(fast_even_size(2 * max_radius * edge / box_size + 2), edge)
    if component.spatial == "gpswf":
        if not isinstance(support, Ball):
            raise MaskError(
                f"component {component.name}: basis gpswf needs a ball; masks go with basis voxel"
            )
        radius = support.radius
        limit = min(max_radius, size * box_size / (2 * edge))
        return GpswfBasis(radius, limit, box_size, edge, size)
    spacing = edge / size
    positions = voxel_positions(size) * spacing + component.support.centre()
    mask = component.support.values(positions, spacing)
    mask = mask * (np.abs(positions).max(axis=-1) <= box_size // 2)
    if not (mask > 0).any():
        raise MaskError(
            f"component {component.name}: its support misses the box; centres are in Å from the "
            "middle of the box"
        )
    return VoxelBasis(mask.astype(np.float32), edge, box_size)

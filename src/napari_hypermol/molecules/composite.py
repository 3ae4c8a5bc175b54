"""A hypermolecule of several components, Eq. (25), and its discretisation at one band limit.

`Composite` says what moves; `LinearMolecule` is the linear door the algorithms use: coefficients to
Fourier grids and back, placements, state functions. Neither knows about images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.coordinates.fourier import fast_even_size, resample_volume
from napari_hypermol.coordinates.grids import FourierGrids, voxel_positions
from napari_hypermol.errors import MaskError
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.sharing import coefficient_owners

__all__ = ["Composite", "LinearMolecule", "PlacedVolumes"]

Float32 = NDArray[np.float32]


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
        states, bases, centres = [], [], []
        for component in self.components:
            degree = component.state_basis.degree
            cap = degree if max_degree is None else min(degree, max_degree)
            states.append(CosineBasis(component.dims if cap else 0, cap))
            if component.shares is None:
                bases.append(_voxel_basis(component, self.box_size, max_radius))
                centres.append(component.support.centre())
        return LinearMolecule(
            components=tuple(self.components),
            owners=owners,
            bases=tuple(bases),
            centres=np.array(centres, dtype=np.float32),
            state_bases=tuple(states),
            box_size=self.box_size,
        )


def _voxel_basis(component: Component, box_size: int, max_radius: float) -> VoxelBasis:
    """The component's support on voxels just fine enough for the band limit."""
    edge = component.support.edge()
    # Nyquist of the coarse voxels at the band limit, and two voxels so that the mask's edge fits.
    size = min(fast_even_size(2 * max_radius * edge / box_size + 2), edge)
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


class PlacedVolumes(NamedTuple):
    """Coefficient volumes of one placed component on the voxels of the box.

    Attributes
    ----------
    volumes : (q, z, y, x) float32 ndarray
        The part inside the box.
    corner : (3,) tuple of int
        Index (z, y, x) of its first voxel in the box.
    """

    volumes: Float32
    corner: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class LinearMolecule:
    """A composite at one band limit: linear in its coefficients theta.

    `theta` is one flat float32 vector; `split` shows it as one (q, k) array per coefficient set.
    """

    components: tuple[Component, ...]
    owners: NDArray[np.int64]
    bases: tuple[VoxelBasis, ...]
    centres: Float32
    state_bases: tuple[CosineBasis, ...]
    box_size: int

    # ---- sizes -------------------------------------------------------------------------------

    @cached_property
    def n_functions(self) -> tuple[int, ...]:
        """State functions of every placed component."""
        return tuple(basis.n_functions for basis in self.state_bases)

    @cached_property
    def columns(self) -> tuple[slice, ...]:
        """Columns of every placed component among all q."""
        ends = np.cumsum(self.n_functions)
        return tuple(slice(int(e - n), int(e)) for e, n in zip(ends, self.n_functions, strict=True))

    @cached_property
    def set_shapes(self) -> tuple[tuple[int, int], ...]:
        """(q, k) of every coefficient set."""
        return tuple(
            (self.n_functions[self._first_user(s)], basis.n_coefficients)
            for s, basis in enumerate(self.bases)
        )

    def _first_user(self, s: int) -> int:
        return int(np.flatnonzero(self.owners == s)[0])

    @property
    def n_coefficients(self) -> int:
        """Length of theta."""
        return sum(q * k for q, k in self.set_shapes)

    def zeros(self) -> Float32:
        """Theta of the empty molecule."""
        return np.zeros(self.n_coefficients, dtype=np.float32)

    def split(self, theta: Float32) -> list[Float32]:
        """Theta as one (q, k) view per coefficient set."""
        ends = np.cumsum([q * k for q, k in self.set_shapes])
        return [
            theta[end - q * k : end].reshape(q, k)
            for end, (q, k) in zip(ends, self.set_shapes, strict=True)
        ]

    # ---- the linear door ---------------------------------------------------------------------

    @cached_property
    def _layout(self) -> FourierGrids:
        shapes = np.array([basis.grid_shape for basis in self.bases], dtype=np.int64)
        counts = np.array([q for q, _ in self.set_shapes], dtype=np.int64)
        lengths = 2 * counts * shapes.prod(axis=1)
        return FourierGrids(
            values=np.zeros(int(lengths.sum()), dtype=np.float32),
            offsets=np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64),
            sizes=shapes,
            origins=np.array([basis.grid_origin for basis in self.bases], dtype=np.int64),
            n_functions=counts,
            scales=np.array([basis.grid_scale for basis in self.bases], dtype=np.float32),
        )

    @property
    def empty_grids(self) -> FourierGrids:
        """The layout of the Fourier grids, values zero."""
        return self._layout

    def grids(self, theta: Float32) -> FourierGrids:
        """Fourier grids of all coefficient sets."""
        pieces = [
            basis.fourier_grid(part).view(np.float32).reshape(-1)
            for basis, part in zip(self.bases, self.split(theta), strict=True)
        ]
        return self._layout._replace(values=np.concatenate(pieces))

    def grids_adjoint(self, values: Float32) -> Float32:
        """Adjoint of `grids`: (total,) grid values -> theta."""
        pieces, start = [], 0
        for basis, (count, _) in zip(self.bases, self.set_shapes, strict=True):
            length = 2 * count * int(np.prod(basis.grid_shape))
            stored = values[start : start + length].view(np.complex64)
            pieces.append(basis.fourier_grid_adjoint(stored.reshape(*basis.grid_shape, count)))
            start += length
        return np.concatenate([piece.ravel() for piece in pieces])

    @cached_property
    def placement_arrays(self) -> tuple[NDArray[np.int64], Float32, Float32, NDArray[np.int64]]:
        """grids, rotations, centres and starts of every placed component (imaging.Placements)."""
        return (
            self.owners,
            np.array([c.rotation for c in self.components], dtype=np.float32),
            np.ascontiguousarray(self.centres[self.owners]),
            np.array([c.start for c in self.columns], dtype=np.int64),
        )

    # ---- maps --------------------------------------------------------------------------------

    def placed_volumes(self, theta: Float32) -> list[PlacedVolumes]:
        """Coefficient volumes of every placed component on the voxels of the box."""
        parts = self.split(theta)
        placed = []
        for component, owner in zip(self.components, self.owners, strict=True):
            basis, centre = self.bases[owner], self.centres[owner]
            if np.allclose(component.rotation, np.eye(3)):
                cubes = basis.evaluate_full(parts[owner])
                placed.append(_clip_to_box(cubes, centre, self.box_size))
            else:
                cubes = resample_volume(basis.evaluate(parts[owner]), 2 * basis.edge)
                placed.append(_rotate_into_box(cubes, centre, component.rotation, self.box_size))
        return placed

    def transfer(self, theta: Float32, coarser: "LinearMolecule") -> Float32:
        """Coefficients of another discretisation of the same composite, on this one.

        State functions that `coarser` does not have start at zero.
        """
        pieces = []
        for s, (basis, old) in enumerate(zip(self.bases, coarser.bases, strict=True)):
            cubes = resample_volume(old.evaluate(coarser.split(theta)[s]), basis.size)
            new = np.zeros(self.set_shapes[s], dtype=np.float32)
            user = self._first_user(s)
            old_states, new_states = coarser.state_bases[user], self.state_bases[user]
            if old_states.dims == new_states.dims:
                rows = old_states.nested_in(new_states)
            else:  # a component that was held rigid gets its states: the mean is function 0
                rows = np.zeros(1, dtype=np.int64)
            new[rows] = basis.expand(cubes)
            pieces.append(new.ravel())
        return np.concatenate(pieces)


def _clip_to_box(cubes: Float32, centre: Float32, box_size: int) -> PlacedVolumes:
    """The part of centred cubes that lies inside the box."""
    edge = cubes.shape[-1]
    first = box_size // 2 - edge // 2 + np.rint(centre[::-1]).astype(int)
    low = np.maximum(first, 0)
    high = np.minimum(first + edge, box_size)
    inner = tuple(slice(a, b) for a, b in zip(low - first, high - first, strict=True))
    corner = (int(low[0]), int(low[1]), int(low[2]))
    volumes = np.ascontiguousarray(cubes[(slice(None), *inner)], dtype=np.float32)
    return PlacedVolumes(volumes, corner)


def _rotate_into_box(
    cubes: Float32, centre: Float32, rotation: NDArray[np.float64], box_size: int
) -> PlacedVolumes:
    """V(P^-1 r) on the voxels of the box, from cubes sampled twice as finely as the box."""
    fine = cubes.shape[-1]
    edge = fine // 2
    new_centre = rotation @ centre.astype(np.float64)
    reach = int(np.ceil(edge * np.sqrt(3) / 2)) + 1  # a rotated cube's corners
    low = np.maximum(np.rint(new_centre).astype(int) - reach, -(box_size // 2))
    high = np.minimum(np.rint(new_centre).astype(int) + reach + 1, (box_size + 1) // 2)
    x, y, z = (np.arange(a, b) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(z, y, x, indexing="ij")[::-1], axis=-1).astype(np.float64)
    own = (grid @ rotation - centre) * 2 + fine // 2  # P^-1 r for rows is r P
    index = np.moveaxis(own[..., ::-1], -1, 0)
    volumes = [ndimage.map_coordinates(c, index, order=3, mode="constant") for c in cubes]
    half = box_size // 2
    corner = (int(low[2]) + half, int(low[1]) + half, int(low[0]) + half)
    return PlacedVolumes(np.array(volumes, dtype=np.float32), corner)

"""The linear door to a hypermolecule: what a composite is at one band limit.

Coefficients to Fourier grids and back, placements, state functions, maps. The algorithms use
nothing else of a molecule; nothing here knows about images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_hypermol.backend import array_module
from napari_hypermol.bases.state_algebra import embedding
from napari_hypermol.coordinates.cache_lines import offsets_of, one_after_other
from napari_hypermol.coordinates.fourier import resample_volume
from napari_hypermol.coordinates.grids import FourierGrids
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.support import Trimmed
from napari_hypermol.molecules.trajectory import RigidTrajectory
from napari_hypermol.protocols import SpatialBasis, StateBasis, StateKind

__all__ = [
    "LinearMolecule",
    "MovingVolumes",
    "PlacedVolumes",
    "grid_layout",
    "grid_values",
    "separate_grids",
]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
# Positions by the number of a trajectory's states. Each has slices of its own, so they are few; 24
# are 4 % of the range apart, about what a single image can tell.
_POSITIONS = {1: 24, 2: 8}
_SHAPES_BESIDE_POSITIONS = 12


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


class MovingVolumes(NamedTuple):
    """Coefficient volumes of a component that moves as a whole, in its own frame.

    Attributes
    ----------
    volumes : (q, z, y, x) float32 ndarray
        Sampled twice as finely as the box.
    centre : (3,) float64 ndarray
        Of the cube in the component's own frame, (x, y, z) [voxels of the box].
    """

    volumes: Float32
    centre: Float64


@dataclass(frozen=True, eq=False)
class LinearMolecule:
    """A composite at one band limit: linear in its coefficients theta.

    `theta` is one flat float32 vector; `split` shows it as one (q, k) array per coefficient set.
    """

    components: tuple[Component, ...]
    owners: NDArray[np.int64]
    bases: tuple[SpatialBasis, ...]
    centres: Float64
    state_bases: tuple[StateBasis, ...]
    box_size: int
    trajectories: tuple[RigidTrajectory | None, ...]

    # ---- states ------------------------------------------------------------------------------

    def trajectory(self, m: int) -> RigidTrajectory | None:
        """How placed component `m` moves as a whole; its owner's."""
        return self.trajectories[int(self.owners[m])]

    def with_trajectories(
        self, trajectories: tuple[RigidTrajectory | None, ...]
    ) -> "LinearMolecule":
        """The same molecule with other trajectories where it has any."""
        new = zip(self.trajectories, trajectories, strict=True)
        return replace(
            self, trajectories=tuple(None if old is None else t or old for old, t in new)
        )

    def kinds(self, m: int) -> tuple[StateKind, ...]:
        """What the state coordinates of component `m` are at this band limit; () while still."""
        component, trajectory = self.components[m], self.trajectory(m)
        if trajectory is None:
            return self.state_bases[m].kinds
        if component.is_tied:
            return trajectory.kinds
        return (*trajectory.kinds, *self.state_bases[m].kinds)

    def split_state(self, m: int, states: Float64) -> tuple[Float64, Float64]:
        """The position's and the shape's part of the states (n, d) of component `m`."""
        trajectory = self.trajectory(m)
        if trajectory is None:
            return states[:, :0], states
        if self.components[m].is_tied:
            return states, states[:, : self.state_bases[m].dims]
        return states[:, : trajectory.dims], states[:, trajectory.dims :]

    def positions(self, m: int) -> Float64:
        """Position states at which component `m` is placed, each with slices of its own; (t, d)."""
        trajectory = self.trajectory(m)
        if trajectory is None:
            return np.zeros((1, 0))
        axis = (np.arange(n := _POSITIONS[trajectory.dims]) + 0.5) / n
        grid = np.meshgrid(*[axis] * trajectory.dims, indexing="ij")
        return np.stack(grid, axis=-1).reshape(-1, trajectory.dims)

    def table(self, m: int, n_states: int) -> tuple[Float64, Float64]:
        """States at which the posterior of component `m` is tabulated, and its functions there.

        Returns
        -------
        states : (t, d) float64 ndarray
        functions : (t, columns) float64 ndarray
        """
        shape = self.state_bases[m]
        if self.trajectory(m) is None:
            states = shape.table(n_states)
            return states, shape.evaluate(states)
        positions = self.positions(m)
        n_positions, n_shape = len(positions), shape.n_functions
        if self.components[m].is_tied:
            states, at = positions, np.arange(n_positions)
            values = shape.evaluate(positions[:, : shape.dims])
        else:
            shapes = shape.table(_SHAPES_BESIDE_POSITIONS)
            at = np.repeat(np.arange(n_positions), len(shapes))
            values = np.tile(shape.evaluate(shapes), (n_positions, 1))
            states = np.concatenate([positions[at], np.tile(shapes, (n_positions, 1))], axis=1)
        functions = np.zeros((len(states), n_positions, n_shape))
        functions[np.arange(len(states)), at] = values
        return states, functions.reshape(len(states), -1)

    # ---- sizes -------------------------------------------------------------------------------

    @cached_property
    def n_functions(self) -> tuple[int, ...]:
        """Columns of every component: state functions, once for every position."""
        return tuple(
            len(self.positions(m)) * basis.n_functions for m, basis in enumerate(self.state_bases)
        )

    @cached_property
    def columns(self) -> tuple[slice, ...]:
        """Columns of every component among all q."""
        ends = np.cumsum(self.n_functions)
        return tuple(slice(int(e - n), int(e)) for e, n in zip(ends, self.n_functions, strict=True))

    @cached_property
    def placement_columns(self) -> tuple[tuple[int, slice], ...]:
        """Coefficient set and columns of every placement: one a component and position."""
        out = []
        for m, columns in enumerate(self.columns):
            width = self.state_bases[m].n_functions
            starts = range(columns.start, columns.stop, width)
            out += [(int(self.owners[m]), slice(start, start + width)) for start in starts]
        return tuple(out)

    @cached_property
    def pairs(self) -> NDArray[np.bool_]:
        """Which columns can be non-zero together; two positions of a component cannot; (q, q)."""
        n = sum(self.n_functions)
        allowed = np.ones((n, n), dtype=np.bool_)
        for m, columns in enumerate(self.columns):
            width = self.state_bases[m].n_functions
            position = np.arange(self.n_functions[m]) // width
            allowed[columns, columns] = position[:, None] == position
        return allowed

    @cached_property
    def set_shapes(self) -> tuple[tuple[int, int], ...]:
        """(q, k) of every coefficient set."""
        return tuple(
            (self.state_bases[self._first_user(s)].n_functions, basis.n_coefficients)
            for s, basis in enumerate(self.bases)
        )

    def _first_user(self, s: int) -> int:
        return int(np.flatnonzero(self.owners == s)[0])

    @property
    def n_coefficients(self) -> int:
        """Length of theta."""
        return sum(q * k for q, k in self.set_shapes)

    @property
    def cuts(self) -> list[NDArray[np.uint8] | None]:
        """What of every coefficient set's support is left, where it was trimmed."""
        supports = [self.components[self._first_user(s)].support for s in range(len(self.bases))]
        return [s.cut if isinstance(s, Trimmed) else None for s in supports]

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
    def is_portable(self) -> bool:
        """Whether `grids`, `grids_adjoint` and all else that a solve calls work on a device."""
        shapes = zip(self.bases, self.set_shapes, strict=True)
        return all(basis.is_portable(q) for basis, (q, _) in shapes)

    @cached_property
    def _layout(self) -> FourierGrids:
        return grid_layout(self.bases, [q for q, _ in self.set_shapes])

    @property
    def empty_grids(self) -> FourierGrids:
        """The layout of the Fourier grids, values zero."""
        return self._layout

    def grids(self, theta: Float32) -> FourierGrids:
        """Fourier grids of all coefficient sets, where theta is."""
        return self._layout._replace(values=grid_values(self.bases, self.split(theta)))

    def grids_adjoint(self, values: Float32) -> Float32:
        """Adjoint of `grids`: (total,) grid values -> theta, where they are."""
        pieces = [
            basis.fourier_grid_adjoint(stored).ravel()
            for basis, stored in zip(self.bases, separate_grids(self._layout, values), strict=True)
        ]
        return array_module(values).concatenate(pieces)  # type: ignore[no-any-return]

    @cached_property
    def placement_arrays(self) -> tuple[NDArray[np.int64], Float32, Float32, NDArray[np.int64]]:
        """grids, rotations, centres and starts of every placement (imaging.Placements)."""
        rotations, centres = [], []
        for m in range(len(self.components)):
            turned, shifted = self.placements(m, self.positions(m))
            rotations.append(turned)
            # R c + s = R (c + R^T s): a shift is a centre in the frame of the grid
            own = np.einsum("tji,tj->ti", turned, shifted)
            centres.append(self.centres[self.owners[m]] + own)
        return (
            np.array([s for s, _ in self.placement_columns], dtype=np.int64),
            np.concatenate(rotations).astype(np.float32),
            np.concatenate(centres).astype(np.float32),
            np.array([c.start for _, c in self.placement_columns], dtype=np.int64),
        )

    def placements(self, m: int, positions: Float64) -> tuple[Float64, Float64]:
        """Rotations (t, 3, 3) and shifts (t, 3) [voxels] of component `m` at `positions` (t, d)."""
        component, trajectory = self.components[m], self.trajectory(m)
        if trajectory is None:
            return component.rotation[None], component.shift[None]
        rotations, shifts = trajectory.placements(positions)
        shifts = shifts @ component.rotation.T + component.shift
        return component.rotation @ rotations, shifts

    # ---- maps --------------------------------------------------------------------------------

    def placed_volumes(self, theta: Float32) -> list[PlacedVolumes | MovingVolumes]:
        """Coefficient volumes of every component: on the voxels of the box where it stays."""
        parts = self.split(theta)
        placed: list[PlacedVolumes | MovingVolumes] = []
        for m, (component, owner) in enumerate(zip(self.components, self.owners, strict=True)):
            basis, centre = self.bases[owner], self.centres[owner]
            is_at_home = np.allclose(component.rotation, np.eye(3)) and not component.shift.any()
            if self.trajectory(m) is None and is_at_home:
                cubes = basis.evaluate_full(parts[owner])
                placed.append(_clip_to_box(cubes, centre, self.box_size))
                continue
            fine = resample_volume(basis.evaluate(parts[owner]), 2 * basis.edge)
            if self.trajectory(m) is None:
                place = component.rotation, component.shift
                placed.append(_rotate_into_box(fine, centre, place, self.box_size))
            else:
                placed.append(MovingVolumes(np.asarray(fine, dtype=np.float32), centre))
        return placed

    def transfer(self, theta: Float32, coarser: "LinearMolecule") -> Float32:
        """Coefficients of another discretisation of the same composite, on this one.

        State functions that `coarser` does not have start at zero.
        """
        pieces = []
        for s, (basis, old) in enumerate(zip(self.bases, coarser.bases, strict=True)):
            cubes = resample_volume(old.evaluate(coarser.split(theta)[s]), basis.size)
            user = self._first_user(s)
            old_states, new_states = coarser.state_bases[user], self.state_bases[user]
            new = embedding(old_states, new_states).astype(np.float32) @ basis.expand(cubes)
            pieces.append(new.ravel())
        return np.concatenate(pieces)


def grid_layout(bases: Sequence[SpatialBasis], counts: Sequence[int]) -> FourierGrids:
    """Where grids of `counts` functions of each basis lie one after the other; values zero."""
    shapes = np.array([basis.grid_shape for basis in bases], dtype=np.int64)
    n_functions = np.array(counts, dtype=np.int64)
    offsets, total = offsets_of((2 * n_functions * shapes.prod(axis=1)).tolist())
    return FourierGrids(
        values=np.zeros(total, dtype=np.float32),
        offsets=offsets,
        sizes=shapes,
        origins=np.array([basis.grid_origin for basis in bases], dtype=np.int64),
        n_functions=n_functions,
        scales=np.array([basis.grid_scale for basis in bases], dtype=np.float32),
    )


def grid_values(bases: Sequence[SpatialBasis], parts: Sequence[Float32]) -> Float32:
    """Fourier grids of coefficients (q, k) of each basis, one after the other."""
    pieces = zip(bases, parts, strict=True)
    return one_after_other(  # type: ignore[no-any-return]
        [basis.fourier_grid(part).view(np.float32).reshape(-1) for basis, part in pieces]
    )


def separate_grids(layout: FourierGrids, values: Float32) -> list[NDArray[np.complex64]]:
    """Grids (z, y, x, q) that lie one after the other in `values` (total,), as views."""
    found = []
    about = zip(layout.offsets, layout.sizes, layout.n_functions, strict=True)
    for offset, size, count in about:
        shape = *(int(n) for n in size), int(count)
        stored = values[offset : offset + 2 * int(np.prod(shape))]
        found.append(stored.view(np.complex64).reshape(shape))
    return found


def _clip_to_box(cubes: NDArray[np.floating], centre: Float64, box_size: int) -> PlacedVolumes:
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
    cubes: NDArray[np.floating], centre: Float64, place: tuple[Float64, Float64], box_size: int
) -> PlacedVolumes:
    """V(P^-1 (r - s)) on the voxels of the box, from cubes sampled twice as finely as the box."""
    rotation, shift = place
    fine = cubes.shape[-1]
    edge = fine // 2
    new_centre = rotation @ centre + shift
    reach = int(np.ceil(edge * np.sqrt(3) / 2)) + 1  # a rotated cube's corners
    low = np.maximum(np.rint(new_centre).astype(int) - reach, -(box_size // 2))
    high = np.minimum(np.rint(new_centre).astype(int) + reach + 1, (box_size + 1) // 2)
    x, y, z = (np.arange(a, b) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(z, y, x, indexing="ij")[::-1], axis=-1).astype(np.float64)
    own = ((grid - shift) @ rotation - centre) * 2 + fine // 2  # P^-1 r for rows is r P
    index = np.moveaxis(own[..., ::-1], -1, 0)
    volumes = [ndimage.map_coordinates(c, index, order=3, mode="constant") for c in cubes]
    half = box_size // 2
    corner = (int(low[2]) + half, int(low[1]) + half, int(low[0]) + half)
    return PlacedVolumes(np.array(volumes, dtype=np.float32), corner)

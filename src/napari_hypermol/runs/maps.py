"""Maps of a hypermolecule at any state, fast enough to follow a slider."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import ShapeError
from napari_hypermol.loops import compiled, inlined
from napari_hypermol.molecules.linear import LinearMolecule, MovingVolumes, PlacedVolumes
from napari_hypermol.protocols import StateKind
from napari_hypermol.runs.state_axes import StateAxis, middle_states, shown_states, state_axes

__all__ = ["HyperMaps"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@compiled(fastmath=True)
def _add_density(total: Any, corner: Any, functions: Any, volumes: Any) -> None:
    """Add the sum over q of functions[q] volumes[q] at `corner`; one pass, no temporary volume."""
    n_q, n_z, n_y, n_x = volumes.shape
    for z in range(n_z):
        for y in range(n_y):
            row = total[corner[0] + z, corner[1] + y]
            for q in range(n_q):
                factor, source = functions[q], volumes[q, z, y]
                for x in range(n_x):
                    row[corner[2] + x] += factor * source[x]


@inlined()
def _inside(start: Any, step: Any, fine: Any, n: Any) -> Any:
    """Which x of 0 to n - 1 have every coordinate start + x step in [0, fine - 1]; first, end."""
    first, end = 0.0, float(n)
    for axis in range(3):
        if abs(step[axis]) < 1e-9:  # x does not change it: 1e-9 of a voxel, over any box
            if not 0 <= start[axis] <= fine - 1:
                return 0, 0
            continue
        one, two = -start[axis] / step[axis], (fine - 1 - start[axis]) / step[axis]
        first = max(first, np.ceil(min(one, two)))
        end = min(end, np.floor(max(one, two)) + 1)
    return int(first), int(max(first, end))


@compiled(fastmath=True)
def _add_moved(total: Any, density: Any, rotation: Any, shift: Any, centre: Any) -> None:
    """Add V(P^-1 (r - s)) of a density sampled twice as finely as the box, by linear interpolation.

    `centre` is the middle of the density's cube in its own frame. Along a row of the box the
    density is crossed in a straight line, of which only the part inside is visited.
    """
    size, fine = total.shape[0], density.shape[0]
    middle = rotation @ centre + shift
    reach = 0.25 * fine * np.sqrt(3.0) + 1
    low, high = np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    for axis in range(3):
        low[axis] = max(int(np.floor(middle[axis] - reach)) + size // 2, 0)
        high[axis] = min(int(np.ceil(middle[axis] + reach)) + size // 2 + 1, size)
    start, step = np.empty(3), 2 * rotation[0]
    for z in range(low[2], high[2]):
        for y in range(low[1], high[1]):
            ry, rz = y - size // 2 - shift[1], z - size // 2 - shift[2]
            for axis in range(3):
                back = rotation[1, axis] * ry + rotation[2, axis] * rz
                back -= rotation[0, axis] * (size // 2 + shift[0])
                start[axis] = 2 * (back - centre[axis]) + fine // 2
            first, end = _inside(start, step, fine, size)
            row = total[z, y]
            for x in range(first, end):
                u, v, w = start[0] + x * step[0], start[1] + x * step[1], start[2] + x * step[2]
                # the last voxel belongs to the cell before it; rounding may go a little beyond
                i, j, k = min(int(w), fine - 2), min(int(v), fine - 2), min(int(u), fine - 2)
                c, b, a = w - i, v - j, u - k
                near = (1 - b) * ((1 - a) * density[i, j, k] + a * density[i, j, k + 1])
                near += b * ((1 - a) * density[i, j + 1, k] + a * density[i, j + 1, k + 1])
                far = (1 - b) * ((1 - a) * density[i + 1, j, k] + a * density[i + 1, j, k + 1])
                far += b * ((1 - a) * density[i + 1, j + 1, k] + a * density[i + 1, j + 1, k + 1])
                row[x] += (1 - c) * near + c * far


@dataclass(frozen=True, eq=False)
class HyperMaps:
    """Coefficient volumes on the box grid, summed at the state asked for.

    Parameters
    ----------
    molecule : LinearMolecule
    theta : (coefficients,) float32 ndarray
    """

    molecule: LinearMolecule
    theta: Float32

    @property
    def box_size(self) -> int:
        """Voxels along an edge."""
        return self.molecule.box_size

    @property
    def dims(self) -> int:
        """State coordinates of the recipe, components side by side."""
        return sum(c.dims for c in self.molecule.components)

    @cached_property
    def axes(self) -> tuple[StateAxis, ...]:
        """What every state coordinate is, components side by side."""
        return state_axes(self.molecule)

    @cached_property
    def axis_names(self) -> tuple[str, ...]:
        """tau1, tau2, ... in the order of the components."""
        return tuple(axis.name for axis in self.axes)

    @cached_property
    def axis_components(self) -> tuple[str, ...]:
        """Which component each state coordinate belongs to."""
        return tuple(axis.component for axis in self.axes)

    @cached_property
    def axis_kinds(self) -> tuple[StateKind, ...]:
        """Whether each state coordinate is an interval, a circle or a class."""
        return tuple(axis.kind for axis in self.axes)

    @cached_property
    def _placed(self) -> list[PlacedVolumes | MovingVolumes]:
        return self.molecule.placed_volumes(self.theta)

    def volume(self, states: Sequence[float]) -> Float32:
        """Density at one state.

        Parameters
        ----------
        states : (d,) sequence of float
            In [0, 1], components side by side.

        Returns
        -------
        (z, y, x) float32 ndarray
        """
        at = np.asarray(states, dtype=np.float64)
        if at.shape != (self.dims,):
            raise ShapeError(f"state {at.tolist()}: expected {self.dims} numbers in [0, 1]")
        total = self._still.copy()
        first = 0
        for m, component in enumerate(self.molecule.components):
            own = at[None, first : first + component.dims]
            first += component.dims
            if self.molecule.kinds(m):
                self._add(total, m, own)
        return total

    def _add(self, total: Float32, m: int, own: Float64) -> None:
        """Add component `m` at its own states (1, d)."""
        molecule, placed = self.molecule, self._placed[m]
        position, shape = molecule.split_state(m, own)
        functions = molecule.state_bases[m].evaluate(shape)[0].astype(np.float32)
        if isinstance(placed, PlacedVolumes):
            _add_density(total, placed.corner, functions, placed.volumes)
            return
        rotations, shifts = molecule.placements(m, position)
        density = placed.volumes[0]
        if len(functions) > 1 or functions[0] != 1:  # else it keeps its shape
            density = np.zeros_like(placed.volumes[0])
            _add_density(density, (0, 0, 0), functions, placed.volumes)
        _add_moved(total, density, rotations[0], shifts[0], np.asarray(placed.centre, float))

    @cached_property
    def _still(self) -> Float32:
        """Sum of the components that do not move, or, early in a run, do not move yet."""
        total = np.zeros((self.box_size,) * 3, dtype=np.float32)
        for m in range(len(self.molecule.components)):
            if not self.molecule.kinds(m):
                self._add(total, m, np.zeros((1, 0)))
        return total

    def component_volume(self, name: str, states: Sequence[float]) -> Float32:
        """Density of one component alone, on the whole box; `states` are its own."""
        molecule = self.molecule
        m = [c.name for c in molecule.components].index(name)
        own = np.asarray(states, dtype=np.float64)[None, : len(molecule.kinds(m))]
        total = np.zeros((self.box_size,) * 3, dtype=np.float32)
        self._add(total, m, own)
        return total

    @cached_property
    def contrast_limits(self) -> tuple[float, float]:
        """Limits that fit every state: 0 and the highest density over a grid of states."""
        grids = [shown_states(axis, 5) for axis in self.axes]
        if self.dims <= 2:
            corners = list(itertools.product(*grids))
        else:  # many components: along each axis, the others half way
            middle = middle_states(self.axes)
            corners = [
                (*middle[:a], float(t), *middle[a + 1 :]) for a, g in enumerate(grids) for t in g
            ]
        highest = max(float(self.volume(state).max()) for state in corners)
        return (0.0, highest if highest > 0 else 1.0)

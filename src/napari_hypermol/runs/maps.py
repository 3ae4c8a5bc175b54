"""Maps of a hypermolecule at any state, fast enough to follow a slider."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.errors import ShapeError
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import LinearMolecule, PlacedVolumes

__all__ = ["HyperMaps"]

Float32 = NDArray[np.float32]


@numba.njit(fastmath=True, cache=True, nogil=True)  # type: ignore[untyped-decorator]
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
    def axis_names(self) -> tuple[str, ...]:
        """tau1, tau2, ... in the order of the components."""
        return tuple(f"tau{i + 1}" for i in range(self.dims))

    @cached_property
    def axis_components(self) -> tuple[str, ...]:
        """Which component each state coordinate belongs to."""
        return tuple(c.name for c in self.molecule.components for _ in range(c.dims))

    @cached_property
    def _placed(self) -> list[PlacedVolumes]:
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
        for component, basis, placed in self._each():
            own = at[first : first + component.dims]
            first += component.dims
            if basis.dims:
                functions = basis.evaluate(own[None])[0].astype(np.float32)
                _add_density(total, placed.corner, functions, placed.volumes)
        return total

    def _each(self) -> Iterator[tuple[Component, CosineBasis, PlacedVolumes]]:
        molecule = self.molecule
        return zip(molecule.components, molecule.state_bases, self._placed, strict=True)

    @cached_property
    def _still(self) -> Float32:
        """Sum of the components that do not move, or, early in a run, do not move yet."""
        total = np.zeros((self.box_size,) * 3, dtype=np.float32)
        for _, basis, placed in self._each():
            if not basis.dims:
                _add_density(total, placed.corner, np.ones(1, dtype=np.float32), placed.volumes)
        return total

    def component_volume(self, name: str, states: Sequence[float]) -> Float32:
        """Density of one component alone, on the whole box; `states` are its own."""
        molecule = self.molecule
        index = [c.name for c in molecule.components].index(name)
        basis, placed = molecule.state_bases[index], self._placed[index]
        own = np.asarray(states, dtype=np.float64)[None, : basis.dims]
        total = np.zeros((self.box_size,) * 3, dtype=np.float32)
        functions = basis.evaluate(own)[0].astype(np.float32)
        _add_density(total, placed.corner, functions, placed.volumes)
        return total

    @cached_property
    def contrast_limits(self) -> tuple[float, float]:
        """Limits that fit every state: 0 and the highest density over a grid of states."""
        grid = np.linspace(0, 1, 5)
        if self.dims <= 2:
            corners = np.array(list(itertools.product(grid, repeat=self.dims)))
        else:  # many components: along each axis, the others half way
            corners = np.full((5 * self.dims, self.dims), 0.5)
            for axis in range(self.dims):
                corners[5 * axis : 5 * axis + 5, axis] = grid
        highest = max(float(self.volume(state.tolist()).max()) for state in corners)
        return (0.0, highest if highest > 0 else 1.0)

"""A cheap stand-in for a stage's normal operator, and the solves that it makes cheap.

See `posterior.gridded_weights`. What components of different coefficient sets, or several
placements of one, have in common is left out.
"""

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module, as_numpy, free_device_memory
from napari_hypermol.bases.mixing_cuda import mix_pairs
from napari_hypermol.coordinates.fourier import padded_from_half_space, padded_to_half_space
from napari_hypermol.coordinates.gridding import OVERSAMPLING
from napari_hypermol.loops import compiled
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.gridded_weights import (
    PaddedGrid,
    gridded_weights,
    pair_products,
    principal_pairs,
)
from napari_hypermol.runs.image_work import total
from napari_hypermol.runs.scratch import is_in_memory
from napari_hypermol.runs.stage_problem import StageProblem

__all__ = ["GriddedNormal", "gridded_normal", "gridded_size"]

Float32 = NDArray[np.float32]
_MOST_FUNCTIONS = 32  # of a set: beyond, pairs are too many to be worth their memory
_DEVICE_ROOM = 5  # times its size: while it is made, weights lie beside it, and copies of them


class GriddedNormal:
    """The normal operator of every coefficient set by itself, as a product on its padded grid.

    Parameters
    ----------
    molecule : LinearMolecule
    grids : sequence of PaddedGrid
        One a coefficient set.
    values : (total,) float32 array
        As `gridded_weights` gives them; where they are the work is done.
    """

    def __init__(
        self, molecule: LinearMolecule, grids: Sequence[PaddedGrid], values: Float32
    ) -> None:
        self.molecule = molecule
        self._xp = array_module(values)
        self._edges = [grid.edge for grid in grids]
        ends = np.cumsum([int(np.prod(grid.shape)) for grid in grids])
        self._products = [
            _of_pairs(values[end - int(np.prod(grid.shape)) : end].reshape(grid.shape), grid.pairs)
            for end, grid in zip(ends, grids, strict=True)
        ]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out: no two placements are in an image together."""
        return len(self.molecule.components) == 1

    def __call__(self, theta: Float32) -> Float32:
        """The operator applied; (coefficients,) -> (coefficients,)."""
        xp = self._xp
        pieces = []
        parts = self.molecule.split(xp.asarray(theta))
        about = zip(self.molecule.bases, parts, self._products, self._edges, strict=True)
        for basis, part, products, edge in about:
            scale = np.float32(basis.unit_volume / basis.box_size)
            values = xp.ascontiguousarray(basis.evaluate(part), dtype=np.float32)
            half = padded_to_half_space(values, edge)
            if xp is np:
                _multiply(half, products)
            else:
                half = xp.ascontiguousarray(half)
                mix_pairs(half, products)
            cubes = padded_from_half_space(half, basis.size)
            factor = scale * scale * np.float32(edge) ** 3
            pieces.append(basis.evaluate_adjoint(cubes * factor).astype(np.float32).ravel())
        found = xp.concatenate(pieces)
        return as_numpy(found) if array_module(theta) is np else found  # type: ignore[no-any-return]


def _of_pairs(values: Float32, pairs: Float32) -> Float32:
    """(z, y, x, r) along the directions -> (z, y, pair, x); on a device (pair, z, y, x)."""
    xp = array_module(values)
    if xp is np:
        return np.stack([pairs @ np.swapaxes(plane, 1, 2) for plane in values])
    found: Float32 = xp.asarray(pairs) @ values.reshape(-1, pairs.shape[1]).T
    return found.reshape(len(pairs), *values.shape[:3])


@compiled(parallel=True, fastmath=True)
def _multiply(half: Any, products: Any) -> None:
    """half_q = sum_p H_qp half_p at every point; (q, z, y, x) and (z, y, pair, x)."""
    n_q, n_z, n_y, n_x = half.shape
    for z in numba.prange(n_z):
        re = np.empty((n_q, n_x), dtype=np.float32)
        im = np.empty((n_q, n_x), dtype=np.float32)
        for y in range(n_y):
            re[:] = 0
            im[:] = 0
            pair = 0
            for q in range(n_q):
                for p in range(q, n_q):
                    row = products[z, y, pair]
                    pair += 1
                    for x in range(n_x):
                        re[q, x] += row[x] * half[p, z, y, x].real
                        im[q, x] += row[x] * half[p, z, y, x].imag
                    if p != q:
                        for x in range(n_x):
                            re[p, x] += row[x] * half[q, z, y, x].real
                            im[p, x] += row[x] * half[q, z, y, x].imag
            for q in range(n_q):
                for x in range(n_x):
                    half[q, z, y, x] = np.complex64(complex(re[q, x], im[q, x]))


def gridded_size(molecule: LinearMolecule) -> int:
    """Bytes of a `GriddedNormal`; 0 where there is none."""
    shapes = molecule.set_shapes
    if max(q for q, _ in shapes) > _MOST_FUNCTIONS:
        return 0
    edges = [OVERSAMPLING * basis.size for basis in molecule.bases]
    return sum(
        4 * (q * (q + 1) // 2) * edge * edge * (edge // 2 + 1)
        for (q, _), edge in zip(shapes, edges, strict=True)
    )


def gridded_normal(problem: StageProblem, second: Any) -> GriddedNormal | None:
    """The stand-in for moments E[a^2 c c^T], (n, q, q) or spread; None where it would not fit."""
    molecule = problem.molecule
    size, is_there = gridded_size(molecule), problem.solves_on_device
    if not size:
        return None
    if _DEVICE_ROOM * size > free_device_memory() if is_there else not is_in_memory(size):
        return None
    placed = molecule.placement_columns
    flat = total(problem.images, pair_products, (second,), (placed,))
    ends = np.cumsum([(q * (q + 1) // 2) ** 2 for q, _ in molecule.set_shapes])
    parts = np.split(np.asarray(flat), ends[:-1])
    grids = [
        PaddedGrid(
            OVERSAMPLING * basis.size,
            basis.grid_scale,
            principal_pairs(part.reshape(round(np.sqrt(part.size)), -1)),
        )
        for basis, part in zip(molecule.bases, parts, strict=True)
    ]
    about = problem.placements, problem.samples, grids
    values = total(problem.images, gridded_weights, (second,), about, stays=is_there)
    return GriddedNormal(molecule, grids, values)

"""A molecule that only knows its density V[theta](r, tau), made a black box with slices.

The density is put on voxels, transformed and sliced like any other map. Its gradient comes from
`density_adjoint` where there is one, from central differences where there is none.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.coordinates.fourier import fast_even_size
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples, voxel_positions
from napari_hypermol.errors import BlackBoxError
from napari_hypermol.imaging.projector import Placements, adjoint, forward
from napari_hypermol.molecules.support import Ball
from napari_hypermol.protocols import Support

__all__ = ["DensityBlackBox"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
Density = Callable[[Float64, Float64, Float64], Any]
_EDGE = 2.0  # [voxels] over which the default support falls to zero at the faces of the box
# A density is not band limited. Voxels that reach twice the band limit let only what lies beyond
# three times the band limit fold back into it.
_FINENESS = 2
_KEPT_BYTES = 256 * 2**20  # of Fourier grids: 24 states of a 128-voxel box at a third of Nyquist
_STEP = 1e-4  # of central differences over theta, relative: errs by 1e-8 where smooth


class _Voxels(NamedTuple):
    """Where the density is asked for at one band limit."""

    basis: VoxelBasis
    positions: Float64  # (v, 3) [voxels of the box]
    placements: Placements
    layout: FourierGrids  # values zero


@dataclass(frozen=True, eq=False)
class DensityBlackBox:
    """A black box made from a density and a prior.

    Parameters
    ----------
    density : callable
        ``density(theta (p,), r (v, 3), state (d,)) -> (v,)`` real; r in voxels of the box from its
        centre, (x, y, z).
    log_prior : callable
        ``log_prior(theta) -> (float, (p,) gradient)``.
    box_size, dims, n_coefficients : int
        As in `protocols.BlackBox`.
    density_adjoint : callable or None
        ``density_adjoint(theta, values (v,), r, state) -> (p,)``, the gradient over theta of
        ``values . density``. None: 2 p densities for every state of the grid, which is bearable up
        to about 100 coefficients.
    support : Support or None
        Where the density may be non-zero; None for the largest ball in the box.
    """

    density: Density
    log_prior: Callable[[Float64], tuple[float, Float64]]
    box_size: int
    dims: int
    n_coefficients: int
    density_adjoint: Callable[[Float64, Float64, Float64, Float64], Any] | None = None
    support: Support | None = None
    # Voxels by band limit, and the Fourier grids of the theta that came last, by state.
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    def slices(
        self, theta: Float64, rotations: Float, states: Float, samples: FourierSamples
    ) -> NDArray[np.complex64]:
        """Central slices of the density on its voxels, one density for each different state."""
        out = np.empty((len(rotations), len(samples.kx)), dtype=np.complex64)
        voxels = self._voxels(samples)
        for state, rows in _by_state(states):
            grids = self._grids(theta, state, voxels)
            turns = rotations[rows].astype(np.float32)
            out[rows] = forward(turns, grids, voxels.placements, samples)[:, :, 0]
        return out

    def slices_adjoint(
        self,
        theta: Float64,
        values: NDArray[np.complexfloating],
        rotations: Float,
        states: Float,
        samples: FourierSamples,
    ) -> Float64:
        """Adjoint slices on the voxels, then the density's own gradient."""
        voxels, total = self._voxels(samples), np.zeros(self.n_coefficients)
        layout, placements = voxels.layout, voxels.placements
        shape = (*voxels.basis.grid_shape, 1)
        for state, rows in _by_state(states):
            turns, own = rotations[rows].astype(np.float32), values[rows][:, :, None]
            stored = adjoint(own.astype(np.complex64), turns, layout, placements, samples)
            stored_ft = stored.view(np.complex64).reshape(shape)
            on_voxels = voxels.basis.fourier_grid_adjoint(stored_ft)[0].astype(np.float64)
            total += self._pulled_back(theta, on_voxels, voxels.positions, state)
        return total

    def _pulled_back(
        self, theta: Float64, values: Float64, positions: Float64, state: Float64
    ) -> Float64:
        """Gradient over theta of values . density."""
        if self.density_adjoint is not None:
            found = self.density_adjoint(theta, values, positions, state)
            return np.asarray(found, dtype=np.float64)
        gradient = np.empty(len(theta))
        for j in range(len(theta)):
            step = np.zeros(len(theta))
            step[j] = _STEP * max(abs(theta[j]), 1e-2)
            ahead = self._density(theta + step, positions, state)
            behind = self._density(theta - step, positions, state)
            gradient[j] = values @ (ahead - behind) / (2 * step[j])
        return gradient

    def _density(self, theta: Float64, positions: Float64, state: Float64) -> Float64:
        values = np.asarray(self.density(theta, positions, state))
        if values.shape != (len(positions),) or values.dtype.kind not in "fiu":
            raise BlackBoxError(
                f"black box: density returned {values.dtype} of shape {values.shape}, expected "
                f"real numbers of shape ({len(positions)},), one for every position"
            )
        return values.astype(np.float64)

    def _grids(self, theta: Float64, state: Float64, voxels: _Voxels) -> FourierGrids:
        """Fourier grid of the density at one state; those of the last theta are kept."""
        owner = (theta.tobytes(), voxels.basis.size)
        grids: dict[bytes, FourierGrids] = self._kept.setdefault("grids", {})
        size = len(voxels.layout.values) * 4
        if self._kept.get("owner") != owner or (len(grids) + 1) * size > _KEPT_BYTES:
            grids.clear()
            self._kept["owner"] = owner
        key = state.tobytes()
        if key not in grids:
            density = self._density(theta, voxels.positions, state)
            grids[key] = _grids_of(voxels.basis, density[None].astype(np.float32))
        return grids[key]

    def _voxels(self, samples: FourierSamples) -> _Voxels:
        key = f"voxels {samples.max_radius}"
        if key not in self._kept:
            self._kept[key] = self._make_voxels(samples.max_radius)
        found: _Voxels = self._kept[key]
        return found

    def _make_voxels(self, max_radius: float) -> _Voxels:
        """Voxels of the support, at least those of the box, coarser where the band limit allows."""
        ball = Ball((0.0, 0.0, 0.0), self.box_size / 2 - _EDGE, _EDGE)
        support = self.support or ball
        edge, centre = support.edge(), support.centre()
        size = min(fast_even_size(2 * _FINENESS * max_radius * edge / self.box_size + 2), edge)
        positions = voxel_positions(size) * (edge / size) + centre
        mask = support.values(positions, edge / size)
        basis = VoxelBasis(mask.astype(np.float32), edge, self.box_size)
        none = np.zeros(1, dtype=np.int64)
        placements = Placements(
            none, np.eye(3, dtype=np.float32)[None], centre[None].astype(np.float32), none
        )
        layout = _grids_of(basis, np.zeros((1, basis.n_coefficients), dtype=np.float32))
        return _Voxels(basis, positions.reshape(-1, 3)[basis.inside], placements, layout)


def _by_state(states: Float) -> Iterator[tuple[Float64, NDArray[np.int64]]]:
    """Every different state and the rows that have it."""
    if states.shape[1] == 0:
        yield np.zeros(0), np.arange(len(states))
        return
    different, inverse = np.unique(states, axis=0, return_inverse=True)
    for index, state in enumerate(different):
        yield state.astype(np.float64), np.flatnonzero(inverse.ravel() == index)


def _grids_of(basis: VoxelBasis, coefficients: Float32) -> FourierGrids:
    """A single Fourier grid as the projector takes it."""
    return FourierGrids(
        values=basis.fourier_grid(coefficients).view(np.float32).reshape(-1),
        offsets=np.zeros(1, dtype=np.int64),
        sizes=np.array([basis.grid_shape], dtype=np.int64),
        origins=np.array([basis.grid_origin], dtype=np.int64),
        n_functions=np.ones(1, dtype=np.int64),
        scales=np.array([basis.grid_scale], dtype=np.float32),
    )

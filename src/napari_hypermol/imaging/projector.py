"""Central slices of Fourier grids and their exact adjoint, Eq. (6) without CTF, shift, contrast.

A placed component is a Fourier grid seen under its own rotation and centre; `slice_particle`
puts the slices of all placed components of one particle side by side, (k, q). It is called by the
likelihood's loops, so that slices are used while they are in cache and never stored for a stack.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.cache_lines import zeros_for_threads
from napari_hypermol.coordinates.gridding import HALO
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.errors import ShapeError
from napari_hypermol.imaging._set_slices import SLICE_SET
from napari_hypermol.imaging.view_order import view_order
from napari_hypermol.loops import compiled, inlined, scratch_floats

__all__ = [
    "Placements",
    "adjoint",
    "check_band_limit",
    "forward",
    "ready_to_slice",
    "scatter_particle",
    "slice_particle",
    "summed",
]

Float32 = NDArray[np.float32]

_slice_set = SLICE_SET.call


class Placements(NamedTuple):
    """Where the m placed components of a hypermolecule are.

    Attributes
    ----------
    grids : (m,) int64 ndarray
        Which Fourier grid; components that share coefficients name the same one.
    rotations : (m, 3, 3) float32 ndarray
        P_m, from the grid's own frame to the molecule's, about the box centre.
    centres : (m, 3) float32 ndarray
        (x, y, z) of the grid's origin in its own frame [voxels of the box].
    starts : (m,) int64 ndarray
        First of the component's columns among all q.
    """

    grids: NDArray[np.int64]
    rotations: Float32
    centres: Float32
    starts: NDArray[np.int64]


@inlined()
def _fill_placed_rows(rotation: Any, placed: Any, m: Any, rows: Any) -> None:
    """First two rows of R P_m: from image frequencies to those of the component's own frame."""
    for i in range(2):
        for j in range(3):
            total = np.float32(0)
            for axis in range(3):
                total += rotation[i, axis] * placed[m, axis, j]
            rows[i, j] = total


@inlined()
def _visit(
    values: Any, rotation: Any, grids: Any, placements: Any, samples: Any, active: Any,
    target: Any, is_adjoint: Any,
) -> None:  # fmt: skip
    rows = numba.carray(scratch_floats(6), (2, 3))
    for m in range(placements.grids.shape[0]):
        if active[m]:
            s = placements.grids[m]
            _fill_placed_rows(rotation, placements.rotations, m, rows)
            _slice_set(
                (
                    values, target, rows, placements.centres[m], grids.scales, samples.kx,
                    samples.ky,
                ),
                (
                    values.shape[1], 2 * placements.starts[m], grids.n_functions[s], s,
                    grids.offsets[s], grids.sizes[s, 0], grids.sizes[s, 1], grids.sizes[s, 2],
                    grids.origins[s], samples.kx.shape[0], samples.box_size, is_adjoint,
                ),
            )  # fmt: skip


@inlined()
def slice_particle(
    out: Any, rotation: Any, grids: Any, placements: Any, samples: Any, active: Any
) -> None:
    """Slices of one particle; out (k, 2 q) float32, re and im side by side.

    Only placements that are `active` (m,) are sliced; the columns of the others are left alone.
    `ready_to_slice` must have been called in this process.
    """
    _visit(out, rotation, grids, placements, samples, active, grids.values, 0)


@inlined()
def scatter_particle(
    values: Any, rotation: Any, grids: Any, placements: Any, samples: Any, active: Any, target: Any
) -> None:
    """Adjoint of `slice_particle`: adds to `target`, laid out as ``grids.values``.

    `values` (k, 2 q) is overwritten.
    """
    _visit(values, rotation, grids, placements, samples, active, target, 1)


@compiled(parallel=True)
def _forward(
    out: Any, rotations: Any, grids: Any, placements: Any, samples: Any, order: Any
) -> None:
    everything = np.ones(placements.grids.shape[0], dtype=np.bool_)
    for j in numba.prange(len(order)):
        i = order[j]
        slice_particle(out[i], rotations[i], grids, placements, samples, everything)


@compiled(parallel=True)
def _adjoint(
    values: Any, rotations: Any, grids: Any, placements: Any, samples: Any, order: Any,
    targets: Any,
) -> None:  # fmt: skip
    n, parts = rotations.shape[0], targets.shape[0]
    for part in numba.prange(parts):
        scratch = np.empty(values.shape[1:], dtype=np.float32)
        everything = np.ones(placements.grids.shape[0], dtype=np.bool_)
        for i in order[part * n // parts : (part + 1) * n // parts]:
            scratch[:] = values[i]
            target = targets[part]
            scatter_particle(scratch, rotations[i], grids, placements, samples, everything, target)


def check_band_limit(grids: FourierGrids, samples: FourierSamples) -> None:
    """Refuse samples beyond what the grids hold: the loops would read past their end."""
    radius = float(np.hypot(samples.kx, samples.ky).max())
    limit = float(((grids.origins - HALO) / grids.scales).min())
    if radius > limit * (1 + 1e-6):  # scales are float32
        raise ShapeError(
            f"samples reach {radius:.4g} cycles per box edge, beyond the band limit {limit:.4g} of "
            "the molecule's voxels; discretise it at least as finely as the samples"
        )


def ready_to_slice(grids: FourierGrids, samples: FourierSamples) -> None:
    """What has to be called before `slice_particle` and its adjoint.

    Compiles them, if that has not been done, and checks the band limit.
    """
    check_band_limit(grids, samples)
    SLICE_SET.ready()


def forward(
    rotations: Float32, grids: FourierGrids, placements: Placements, samples: FourierSamples
) -> NDArray[np.complex64]:
    """Central slices of every function of every placed component.

    Parameters
    ----------
    rotations : (n, 3, 3) float32 ndarray
        Molecule to image frame.
    grids : FourierGrids
    placements : Placements
    samples : FourierSamples

    Returns
    -------
    slices : (n, k, q) complex64 ndarray
        Unitary transforms of the projections at the samples; relative error below 1 % up to 80 %
        of Nyquist (interpolation), exact adjoint in `adjoint`.

    Notes
    -----
    V-hat(R^-1 omega) of Eq. (6), projection summed over voxels along z.
    """
    ready_to_slice(grids, samples)
    n_columns = int(grids.n_functions[placements.grids].sum())
    out = np.empty((len(rotations), len(samples.kx), 2 * n_columns), dtype=np.float32)
    rotations = np.ascontiguousarray(rotations, dtype=np.float32)
    _forward(out, rotations, grids, placements, samples, view_order(rotations))
    return out.view(np.complex64)


def summed(targets: Float32) -> Float32:
    """The sum over threads of what each has added up; (threads, ...) -> (...)."""
    total: Float32 = targets[0]
    if len(targets) > 1:
        total = total + targets[1]  # no view: that would keep all of them
    for other in targets[2:]:
        total += other
    return total


def adjoint(
    values: NDArray[np.complex64],
    rotations: Float32,
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
) -> Float32:
    """Adjoint of `forward` for the product Re sum conj(a) b, without half-plane weights.

    Parameters
    ----------
    values : (n, k, q) complex64 ndarray
        Weights already multiplied in, where a sum over the full plane is meant.
    rotations, grids, placements, samples
        As in `forward`; only the layout of `grids` is used.

    Returns
    -------
    (total,) float32 ndarray
        Laid out as ``grids.values``.
    """
    ready_to_slice(grids, samples)
    targets = zeros_for_threads(numba.get_num_threads(), len(grids.values))
    real = np.ascontiguousarray(values, dtype=np.complex64).view(np.float32)
    rotations = np.ascontiguousarray(rotations, dtype=np.float32)
    _adjoint(real, rotations, grids, placements, samples, view_order(rotations), targets)
    return summed(targets)[: len(grids.values)]

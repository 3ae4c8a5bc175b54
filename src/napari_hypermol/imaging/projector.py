"""Central slices of Fourier grids and their exact adjoint, Eq. (6) without CTF, shift, contrast.

A placed component is a Fourier grid seen under its own rotation and centre; `slice_particle`
puts the slices of all placed components of one particle side by side, (k, q). It is inlined by the
likelihood's loops, so that slices are used while they are in cache and never stored for a stack.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.gridding import HALO, KERNEL_POLYNOMIALS
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.errors import ShapeError
from napari_hypermol.imaging._taps import gather, scatter
from napari_hypermol.loops import compiled, inlined

__all__ = [
    "Placements",
    "adjoint",
    "check_band_limit",
    "forward",
    "scatter_particle",
    "slice_particle",
]

Float32 = NDArray[np.float32]

_LEFT = tuple(np.float32(c) for c in KERNEL_POLYNOMIALS[0])
_MIDDLE = tuple(np.float32(c) for c in KERNEL_POLYNOMIALS[1])
_gather1, _gather2, _gather4 = gather[1], gather[2], gather[4]
_scatter1, _scatter2, _scatter4 = scatter[1], scatter[2], scatter[4]
_ROUND = 4096  # makes truncation round down; no grid has that many steps


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


@numba.njit(fastmath=True, inline="always")  # type: ignore[untyped-decorator]
def _outer_tap(t: Any) -> Any:
    c = _LEFT
    return (((((c[6] * t + c[5]) * t + c[4]) * t + c[3]) * t + c[2]) * t + c[1]) * t + c[0]


@numba.njit(fastmath=True, inline="always")  # type: ignore[untyped-decorator]
def _middle_tap(t: Any) -> Any:
    c, s = _MIDDLE, t * t
    return ((c[6] * s + c[4]) * s + c[2]) * s + c[0]


@numba.njit(fastmath=True, inline="always")  # type: ignore[untyped-decorator]
def _locate(u: Any) -> Any:
    """Nearest grid step of a frequency, and the three tap weights around it."""
    step = int(u + np.float32(_ROUND + 0.5)) - _ROUND
    t = u - np.float32(step)
    return step, (_outer_tap(t), _middle_tap(t), _outer_tap(-t))


@inlined(fastmath=True)
def _phases(rows: Any, centre: Any, samples: Any, along_x: Any, along_y: Any) -> None:
    """exp(-2 pi i k.(R c) / N) for every kx and ky apart; they multiply."""
    limit = along_x.shape[0] - 1
    turn = -2.0 * np.pi / samples.box_size
    x = rows[0, 0] * centre[0] + rows[0, 1] * centre[1] + rows[0, 2] * centre[2]
    y = rows[1, 0] * centre[0] + rows[1, 1] * centre[1] + rows[1, 2] * centre[2]
    for i in range(limit + 1):
        along_x[i] = np.complex64(complex(np.cos(turn * x * i), np.sin(turn * x * i)))
    for i in range(2 * limit + 1):
        angle = turn * y * (i - limit)
        along_y[i] = np.complex64(complex(np.cos(angle), np.sin(angle)))


@inlined(fastmath=True)
def _placed_rows(rotation: Any, placed: Any, scale: Any) -> Any:
    """First two rows of R P, times `scale`: image frequencies to grid steps."""
    rows = np.empty((2, 3), dtype=np.float32)
    for i in range(2):
        for j in range(3):
            total = np.float32(0)
            for axis in range(3):
                total += rotation[i, axis] * placed[axis, j]
            rows[i, j] = total * scale
    return rows


@inlined(fastmath=True)
def slice_particle(
    out: Any, rotation: Any, grids: Any, placements: Any, samples: Any, active: Any
) -> None:
    """Slices of one particle; out (k, 2 q) float32, re and im side by side.

    Only placements that are `active` (m,) are sliced; the columns of the others are left alone.
    """
    limit = samples.box_size // 2
    along_x = np.empty(limit + 1, dtype=np.complex64)
    along_y = np.empty(2 * limit + 1, dtype=np.complex64)
    flat, source = out.reshape(-1), grids.values
    columns = out.shape[1]
    for m in range(placements.grids.shape[0]):
        if not active[m]:
            continue
        s = placements.grids[m]
        count, start = grids.n_functions[s], 2 * placements.starts[m]
        rows = _placed_rows(rotation, placements.rotations[m], np.float32(1))
        centre = placements.centres[m]
        is_centred = centre[0] == 0 and centre[1] == 0 and centre[2] == 0
        if not is_centred:
            _phases(rows, centre, samples, along_x, along_y)
        rows *= grids.scales[s]
        x_step = 2 * count
        y_step = grids.sizes[s, 2] * x_step
        z_step = grids.sizes[s, 1] * y_step
        origin = grids.origins[s] - 1
        for k in range(samples.kx.shape[0]):
            kx, ky = samples.kx[k], samples.ky[k]
            ux = rows[0, 0] * kx + rows[1, 0] * ky
            uy = rows[0, 1] * kx + rows[1, 1] * ky
            uz = rows[0, 2] * kx + rows[1, 2] * ky
            sign = np.float32(1) if ux >= 0 else np.float32(-1)
            ix, wx = _locate(ux * sign)
            iy, wy = _locate(uy * sign)
            iz, wz = _locate(uz * sign)
            row = grids.offsets[s] + (iz + origin) * z_step + (iy + origin) * y_step + ix * x_step
            at = k * columns + start
            q = 0
            while q + 4 <= count:
                _gather4(
                    flat, at + 2 * q, source, row + 2 * q, y_step, z_step, x_step, sign, wx, wy, wz
                )
                q += 4
            if q + 2 <= count:
                _gather2(
                    flat, at + 2 * q, source, row + 2 * q, y_step, z_step, x_step, sign, wx, wy, wz
                )
                q += 2
            if q < count:
                _gather1(
                    flat, at + 2 * q, source, row + 2 * q, y_step, z_step, x_step, sign, wx, wy, wz
                )
            if not is_centred:
                phase = along_x[int(kx)] * along_y[int(ky) + limit]
                for j in range(at, at + 2 * count, 2):
                    re, im = flat[j], flat[j + 1]
                    flat[j] = phase.real * re - phase.imag * im
                    flat[j + 1] = phase.real * im + phase.imag * re


@inlined(fastmath=True)
def scatter_particle(
    values: Any, rotation: Any, grids: Any, placements: Any, samples: Any, active: Any, target: Any
) -> None:
    """Adjoint of `slice_particle`: adds to `target`, laid out as ``grids.values``.

    `values` (k, 2 q) is overwritten.
    """
    limit = samples.box_size // 2
    along_x = np.empty(limit + 1, dtype=np.complex64)
    along_y = np.empty(2 * limit + 1, dtype=np.complex64)
    flat = values.reshape(-1)
    columns = values.shape[1]
    for m in range(placements.grids.shape[0]):
        if not active[m]:
            continue
        s = placements.grids[m]
        count, start = grids.n_functions[s], 2 * placements.starts[m]
        rows = _placed_rows(rotation, placements.rotations[m], np.float32(1))
        centre = placements.centres[m]
        is_centred = centre[0] == 0 and centre[1] == 0 and centre[2] == 0
        if not is_centred:
            _phases(rows, centre, samples, along_x, along_y)
        rows *= grids.scales[s]
        x_step = 2 * count
        y_step = grids.sizes[s, 2] * x_step
        z_step = grids.sizes[s, 1] * y_step
        origin = grids.origins[s] - 1
        for k in range(samples.kx.shape[0]):
            kx, ky = samples.kx[k], samples.ky[k]
            at = k * columns + start
            if not is_centred:
                phase = along_x[int(kx)] * along_y[int(ky) + limit]
                for j in range(at, at + 2 * count, 2):
                    re, im = flat[j], flat[j + 1]
                    flat[j] = phase.real * re + phase.imag * im
                    flat[j + 1] = phase.real * im - phase.imag * re
            ux = rows[0, 0] * kx + rows[1, 0] * ky
            uy = rows[0, 1] * kx + rows[1, 1] * ky
            uz = rows[0, 2] * kx + rows[1, 2] * ky
            sign = np.float32(1) if ux >= 0 else np.float32(-1)
            ix, wx = _locate(ux * sign)
            iy, wy = _locate(uy * sign)
            iz, wz = _locate(uz * sign)
            row = grids.offsets[s] + (iz + origin) * z_step + (iy + origin) * y_step + ix * x_step
            q = 0
            while q + 4 <= count:
                _scatter4(
                    flat, at + 2 * q, target, row + 2 * q, y_step, z_step, x_step, sign, wx, wy, wz
                )
                q += 4
            if q + 2 <= count:
                _scatter2(
                    flat, at + 2 * q, target, row + 2 * q, y_step, z_step, x_step, sign, wx, wy, wz
                )
                q += 2
            if q < count:
                _scatter1(
                    flat, at + 2 * q, target, row + 2 * q, y_step, z_step, x_step, sign, wx, wy, wz
                )


@compiled(parallel=True)
def _forward(out: Any, rotations: Any, grids: Any, placements: Any, samples: Any) -> None:
    everything = np.ones(placements.grids.shape[0], dtype=np.bool_)
    for i in numba.prange(rotations.shape[0]):
        slice_particle(out[i], rotations[i], grids, placements, samples, everything)


@compiled(parallel=True)
def _adjoint(
    values: Any, rotations: Any, grids: Any, placements: Any, samples: Any, targets: Any
) -> None:
    n, parts = rotations.shape[0], targets.shape[0]
    for part in numba.prange(parts):
        scratch = np.empty(values.shape[1:], dtype=np.float32)
        everything = np.ones(placements.grids.shape[0], dtype=np.bool_)
        for i in range(part * n // parts, (part + 1) * n // parts):
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
    check_band_limit(grids, samples)
    n_columns = int(grids.n_functions[placements.grids].sum())
    out = np.empty((len(rotations), len(samples.kx), 2 * n_columns), dtype=np.float32)
    _forward(out, np.ascontiguousarray(rotations, dtype=np.float32), grids, placements, samples)
    return out.view(np.complex64)


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
    check_band_limit(grids, samples)
    targets = np.zeros((numba.get_num_threads(), len(grids.values)), dtype=np.float32)
    real = np.ascontiguousarray(values, dtype=np.complex64).view(np.float32)
    rotations = np.ascontiguousarray(rotations, dtype=np.float32)
    _adjoint(real, rotations, grids, placements, samples, targets)
    return np.asarray(targets.sum(axis=0))

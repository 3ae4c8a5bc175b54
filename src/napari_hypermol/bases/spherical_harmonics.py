"""Sums of radial functions times real spherical harmonics at the points of a cubic lattice.

V(r) = sum_lnm a_lnm F_ln(|r|) Y_lm(r / |r|) at integer points r, and the exact adjoint. The radial
sum is one matrix product for each l; the angular sum runs over the points of one octant, its seven
mirror images cost only signs. Nothing here knows what the radial functions are.

Real harmonics are orthonormal on the sphere, without the Condon-Shortley phase; within one l they
stand as m = 0, 1, ..., l (cosines of m phi), then 1, ..., l (sines).
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.loops import compiled, inlined

__all__ = ["Lattice", "n_terms", "sum_harmonics", "sum_harmonics_adjoint"]

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_SCRATCH = 2**21  # radial sums held at once [values]: 16 MiB, more was slower


class Lattice(NamedTuple):
    """Where the integer points (x, y, z) are in an array.

    Attributes
    ----------
    shape : (3,) tuple of int
        z, y, x extent.
    origin : (3,) tuple of int
        z, y, x index of the point 0.
    """

    shape: tuple[int, int, int]
    origin: tuple[int, int, int]


class _Pairs(NamedTuple):
    """Points x, y >= 0 of a plane by s = x^2 + y^2: those of s are `first[s]` to `first[s + 1]`."""

    first: Int64
    x: Int64
    y: Int64


def n_terms(counts: Int64) -> int:
    """Coefficients of one function, if order l has ``counts[l]`` radial functions."""
    return int((counts * (2 * np.arange(len(counts)) + 1)).sum())


def sum_harmonics(
    profiles: list[Float64], coefficients: Float64, lattice: Lattice, split: bool
) -> Float64:
    """Values at the lattice points.

    Parameters
    ----------
    profiles : list of (rows, n_l) float64 ndarray
        F_ln at |r|^2 = 0, 1, 2, ..., for l = 0, 1, 2, ...; points beyond the last row are zero.
    coefficients : (q, k) float64 ndarray
        By l, then n, then m.
    lattice : Lattice
    split : bool
        Whether to keep the sums over even and over odd l apart.

    Returns
    -------
    (z, y, x, q, 2 or 1) float64 ndarray
        Even and odd sum, or their total.
    """
    values = np.zeros((*lattice.shape, len(coefficients), 2 if split else 1))
    pairs, steps = _pairs(len(profiles[0])), _legendre_steps(len(profiles))
    origin = np.array(lattice.origin, dtype=np.int64)
    for rows in _row_chunks(profiles, len(coefficients)):
        radial = _radial_sums(profiles, coefficients, rows)
        _spread(radial, rows.start, steps, pairs, origin, values, 4 * _threads())
    return values


def sum_harmonics_adjoint(profiles: list[Float64], values: Float64, lattice: Lattice) -> Float64:
    """Adjoint of `sum_harmonics`; (z, y, x, q, 2 or 1) -> (q, k)."""
    n_q, n_orders = values.shape[3], len(profiles)
    counts = np.array([profile.shape[1] for profile in profiles], dtype=np.int64)
    coefficients = np.zeros((n_q, n_terms(counts)))
    pairs, steps = _pairs(len(profiles[0])), _legendre_steps(len(profiles))
    origin = np.array(lattice.origin, dtype=np.int64)
    for rows in _row_chunks(profiles, n_q):
        radial = np.zeros((rows.stop - rows.start, n_q, n_orders**2))
        _collect(radial, rows.start, steps, pairs, origin, values, 4 * _threads())
        _add_radial_sums_adjoint(profiles, radial, rows, coefficients)
    return coefficients


def _threads() -> int:
    return int(numba.get_num_threads())


def _row_chunks(profiles: list[Float64], n_q: int) -> list[slice]:
    """Rows in chunks whose radial sums stay within `_SCRATCH`."""
    n_rows = len(profiles[0])
    step = max(1, _SCRATCH // (n_q * len(profiles) ** 2))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


def _radial_sums(profiles: list[Float64], coefficients: Float64, rows: slice) -> Float64:
    """sum_n F_ln(r) a_lnm; (rows, q, l^2 + m)."""
    n_q = len(coefficients)
    radial = np.empty((rows.stop - rows.start, n_q, len(profiles) ** 2))
    start = 0
    for order, profile in enumerate(profiles):
        n, n_m = profile.shape[1], 2 * order + 1
        own = coefficients[:, start : start + n * n_m].reshape(n_q, n, n_m)
        product = profile[rows] @ own.transpose(1, 0, 2).reshape(n, n_q * n_m)
        radial[:, :, order**2 : order**2 + n_m] = product.reshape(-1, n_q, n_m)
        start += n * n_m
    return radial


def _add_radial_sums_adjoint(
    profiles: list[Float64], radial: Float64, rows: slice, coefficients: Float64
) -> None:
    """Adjoint of `_radial_sums`, added to `coefficients`."""
    n_rows, n_q = radial.shape[:2]
    start = 0
    for order, profile in enumerate(profiles):
        n, n_m = profile.shape[1], 2 * order + 1
        own = radial[:, :, order**2 : order**2 + n_m].reshape(n_rows, n_q * n_m)
        product = (profile[rows].T @ own).reshape(n, n_q, n_m).transpose(1, 0, 2)
        coefficients[:, start : start + n * n_m] += product.reshape(n_q, n * n_m)
        start += n * n_m


def _pairs(n_rows: int) -> _Pairs:
    """All points of the plane's quadrant with x^2 + y^2 < `n_rows`."""
    reach = int(np.sqrt(n_rows))
    y, x = np.mgrid[0 : reach + 1, 0 : reach + 1].reshape(2, -1)
    squares = x**2 + y**2
    order = np.argsort(squares, kind="stable")
    order = order[squares[order] < n_rows]
    first = np.searchsorted(squares[order], np.arange(n_rows + 1))
    return _Pairs(first.astype(np.int64), x[order].astype(np.int64), y[order].astype(np.int64))


def _legendre_steps(n_orders: int) -> Float64:
    """Factors of the recurrence P_lm = rise cos P_{l-1,m} - drop P_{l-2,m}; (rise or drop, l, m).

    On the diagonal, P_ll = rise sin P_{l-1,l-1}. Orthonormal, so neither overflow nor loss: going
    up in l, P_lm grows or oscillates.
    """
    steps = np.zeros((2, n_orders, n_orders))
    for order in range(1, n_orders):
        m = np.arange(order)
        square, before = float(order**2), float((order - 1) ** 2)
        rise = np.sqrt((4 * square - 1) / (square - m**2))
        steps[0, order, :order] = rise
        steps[1, order, : order - 1] = (
            rise * np.sqrt(np.abs(before - m**2) / abs(4 * before - 1))
        )[:-1]
        steps[0, order, order] = np.sqrt((2 * order + 1) / (2 * order))
    if n_orders > 1:
        steps[0, 1, 1] *= np.sqrt(2.0)  # cos(m phi), sin(m phi) have norm 1/2 where m > 0
    return steps


# ---- one point and its mirror images -----------------------------------------------------------
#
# With the signs of x, y, z turned by sx, sy, sz, cos(m phi) P_lm takes (sx sz)^m sz^l and
# sin(m phi) P_lm takes sy sx (sx sz)^m sz^l. So eight sums over (l even or odd) x (cos or sin) x
# (m even or odd) give the values at all mirror images: `parts`, (parity of l, cos or sin, parity
# of m).


@inlined(fastmath=True)
def _next_legendre(order: Any, cosine: Any, sine: Any, steps: Any, now: Any, last: Any) -> None:
    """Step from l - 1 to l = `order`, for all m <= l; `now` holds l - 1, `last` l - 2."""
    if order == 0:
        now[0] = np.sqrt(1 / (4 * np.pi))
        return
    diagonal = now[order - 1] * sine * steps[0, order, order]
    rise, drop = steps[0, order], steps[1, order]
    for m in range(order):
        step = rise[m] * cosine * now[m] - drop[m] * last[m]
        last[m] = now[m]
        now[m] = step
    now[order] = diagonal
    last[order] = 0.0


@inlined(fastmath=True)
def _add_orders(
    row: Any, n_orders: Any, cosine: Any, sine: Any, steps: Any, sums: Any, work: Any
) -> None:
    """Sum over l at one polar angle; row (q, l^2 + m) -> sums (2, 2, q, m)."""
    sums[:] = 0.0
    now, last = work[0], work[1]
    for order in range(n_orders):
        _next_legendre(order, cosine, sine, steps, now, last)
        start = order * order
        for q in range(row.shape[0]):
            cosines, sines = sums[order % 2, 0, q], sums[order % 2, 1, q]
            for m in range(order + 1):
                cosines[m] += now[m] * row[q, start + m]
            for m in range(1, order + 1):
                sines[m] += now[m] * row[q, start + order + m]


@inlined(fastmath=True)
def _add_orders_adjoint(
    row: Any, n_orders: Any, cosine: Any, sine: Any, steps: Any, sums: Any, work: Any
) -> None:
    """Adjoint of `_add_orders`: adds to `row`."""
    now, last = work[0], work[1]
    for order in range(n_orders):
        _next_legendre(order, cosine, sine, steps, now, last)
        start = order * order
        for q in range(row.shape[0]):
            cosines, sines = sums[order % 2, 0, q], sums[order % 2, 1, q]
            for m in range(order + 1):
                row[q, start + m] += now[m] * cosines[m]
            for m in range(1, order + 1):
                row[q, start + order + m] += now[m] * sines[m]


@inlined(fastmath=True)
def _fill_angles(x: Any, y: Any, angles: Any) -> None:
    """cos(m phi) and sin(m phi); angles (2, m)."""
    radius = np.sqrt(float(x * x + y * y))
    c, s = (x / radius, y / radius) if radius > 0 else (1.0, 0.0)
    angles[0, 0], angles[1, 0] = 1.0, 0.0
    for m in range(1, angles.shape[1]):
        angles[0, m] = c * angles[0, m - 1] - s * angles[1, m - 1]
        angles[1, m] = s * angles[0, m - 1] + c * angles[1, m - 1]


@inlined(fastmath=True)
def _dot_angles(sums: Any, angles: Any, q: Any, parts: Any) -> None:
    """The sums (2, 2, q, m) times angles (2, m), even and odd m apart -> parts (2, 2, 2)."""
    n_m = angles.shape[1]
    for parity in range(2):
        for kind in range(2):
            values, turns = sums[parity, kind, q], angles[kind]
            for first in range(2):
                total = 0.0
                for m in range(first, n_m, 2):
                    total += values[m] * turns[m]
                parts[parity, kind, first] = total


@inlined(fastmath=True)
def _dot_angles_adjoint(sums: Any, angles: Any, q: Any, parts: Any) -> None:
    """Adjoint of `_dot_angles`: adds to `sums`."""
    n_m = angles.shape[1]
    for parity in range(2):
        for kind in range(2):
            values, turns = sums[parity, kind, q], angles[kind]
            for first in range(2):
                for m in range(first, n_m, 2):
                    values[m] += turns[m] * parts[parity, kind, first]


@inlined(fastmath=True)
def _visit_mirrors(
    x: Any, y: Any, z: Any, origin: Any, values: Any, q: Any, parts: Any, is_adjoint: Any
) -> None:
    """Write `parts` to the point and its mirror images, or gather them from there."""
    odd = values.shape[4] - 1
    for sz in range(1, -2 if z else 0, -2):
        iz = origin[0] + sz * z
        if iz < 0 or iz >= values.shape[0]:
            continue
        for sy in range(1, -2 if y else 0, -2):
            iy = origin[1] + sy * y
            if iy < 0 or iy >= values.shape[1]:
                continue
            for sx in range(1, -2 if x else 0, -2):
                ix = origin[2] + sx * x
                if ix < 0 or ix >= values.shape[2]:
                    continue
                point = values[iz, iy, ix, q]
                for parity in range(2):
                    at = odd * parity
                    sign = sz if parity else 1
                    if is_adjoint:
                        value = sign * point[at]
                        parts[parity, 0, 0] += value
                        parts[parity, 0, 1] += sx * sz * value
                        parts[parity, 1, 0] += sx * sy * value
                        parts[parity, 1, 1] += sy * sz * value
                    else:
                        cosines = parts[parity, 0, 0] + sx * sz * parts[parity, 0, 1]
                        sines = sx * sy * parts[parity, 1, 0] + sy * sz * parts[parity, 1, 1]
                        point[at] += sign * (cosines + sines)


@compiled(parallel=True, fastmath=True)
def _spread(
    radial: Any, start: Any, steps: Any, pairs: Any, origin: Any, values: Any, n_parts: Any
) -> None:
    """From radial sums (rows, q, l^2 + m) to the points of these rows, all mirror images."""
    n_rows, n_q, n_orders = radial.shape[0], radial.shape[1], steps.shape[1]
    for part in numba.prange(n_parts):  # rows dealt out in turn: the later ones have more points
        sums = np.empty((2, 2, n_q, n_orders))
        work, angles = np.zeros((2, n_orders)), np.empty((2, n_orders))
        parts = np.empty((2, 2, 2))
        for row in range(part, n_rows, n_parts):
            square, z = start + row, 0
            while z * z <= square:
                rest = square - z * z
                if pairs.first[rest] < pairs.first[rest + 1] and z < values.shape[0]:
                    radius = np.sqrt(float(max(square, 1)))
                    sine = np.sqrt(float(rest)) / radius
                    _add_orders(radial[row], n_orders, z / radius, sine, steps, sums, work)
                    for at in range(pairs.first[rest], pairs.first[rest + 1]):
                        x, y = pairs.x[at], pairs.y[at]
                        _fill_angles(x, y, angles)
                        for q in range(n_q):
                            _dot_angles(sums, angles, q, parts)
                            _visit_mirrors(x, y, z, origin, values, q, parts, False)
                z += 1


@compiled(parallel=True, fastmath=True)
def _collect(
    radial: Any, start: Any, steps: Any, pairs: Any, origin: Any, values: Any, n_parts: Any
) -> None:
    """Adjoint of `_spread`, added to `radial`. Rows share no points, so threads never meet."""
    n_rows, n_q, n_orders = radial.shape[0], radial.shape[1], steps.shape[1]
    for part in numba.prange(n_parts):
        sums = np.empty((2, 2, n_q, n_orders))
        work, angles = np.zeros((2, n_orders)), np.empty((2, n_orders))
        parts = np.empty((2, 2, 2))
        for row in range(part, n_rows, n_parts):
            square, z = start + row, 0
            while z * z <= square:
                rest = square - z * z
                if pairs.first[rest] < pairs.first[rest + 1] and z < values.shape[0]:
                    sums[:] = 0.0
                    for at in range(pairs.first[rest], pairs.first[rest + 1]):
                        x, y = pairs.x[at], pairs.y[at]
                        _fill_angles(x, y, angles)
                        for q in range(n_q):
                            parts[:] = 0.0
                            _visit_mirrors(x, y, z, origin, values, q, parts, True)
                            _dot_angles_adjoint(sums, angles, q, parts)
                    radius = np.sqrt(float(max(square, 1)))
                    sine = np.sqrt(float(rest)) / radius
                    _add_orders_adjoint(radial[row], n_orders, z / radius, sine, steps, sums, work)
                z += 1

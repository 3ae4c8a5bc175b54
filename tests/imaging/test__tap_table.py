import numba
import numpy as np
import pytest

from napari_hypermol.coordinates.gridding import KERNEL_POLYNOMIALS
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.imaging._tap_table import (
    _ROUND,
    ALONG_X,
    BLOCK,
    SIGN,
    TABLE_ROWS,
    fill_table,
    first_tap,
)

ORIGIN, X_STEP, Y_STEP, Z_STEP = 12, 6, 90, 2000


@numba.njit
def filled(rows, scale, kx, ky, first, count, table, steps, offsets):
    fill_table(rows, scale, kx, ky, first, count, table, steps)
    for k in range(count):
        offsets[k] = first_tap(steps, k, ORIGIN, X_STEP, Y_STEP, Z_STEP)


def taps_of(t):
    left, middle = (np.polynomial.Polynomial(c) for c in KERNEL_POLYNOMIALS)
    return np.stack([left(t), middle(t), left(-t)])


@pytest.mark.parametrize(("first", "count"), [(0, BLOCK), (5, BLOCK - 3), (40, 1)])
def test_table_is_the_kernel_about_the_nearest_grid_point(rng, first, count):
    samples = fourier_samples(16, 7.5)
    rows = rng.uniform(-0.8, 0.8, size=(2, 3)).astype(np.float32)
    table = np.full((TABLE_ROWS, BLOCK), 9, dtype=np.float32)
    steps, offsets = np.full((3, BLOCK), 9, dtype=np.int32), np.zeros(count, dtype=np.int64)
    filled(rows, np.float32(1.6), samples.kx, samples.ky, first, count, table, steps, offsets)
    taken = slice(first, first + count)
    u = np.stack([samples.kx[taken], samples.ky[taken]], axis=1) @ (np.float32(1.6) * rows)
    sign = np.where(u[:, 0] >= 0, 1, -1)
    u *= sign[:, None]
    near = steps[:, :count].T - _ROUND
    assert abs(u - near).max() < 0.5 + 3e-4  # half way is a matter of rounding
    x, y, z = (taps_of(u[:, j] - near[:, j]) for j in range(3))
    lines = (z[:, None] * y[None]).reshape(9, count)
    np.testing.assert_allclose(table[:ALONG_X, :count], lines, atol=1e-5)
    np.testing.assert_allclose(table[ALONG_X:SIGN, :count], x, atol=1e-5)
    np.testing.assert_array_equal(table[SIGN, :count], sign)
    assert (table[:, count:] == 9).all()
    lowest = near + np.array([0, ORIGIN - 1, ORIGIN - 1])  # along x zero frequency is at 1
    np.testing.assert_array_equal(offsets, lowest @ [X_STEP, Y_STEP, Z_STEP])

import numba
import numpy as np
import pytest

from napari_hypermol.imaging._tap_table import ALONG_X, BLOCK, SIGN, TABLE_ROWS
from napari_hypermol.imaging._taps import (
    MOST,
    gather,
    gather_plain,
    prefetch,
    scatter,
    scatter_plain,
)

COUNTS = range(1, MOST + 1)
SAMPLE = 5  # whose weights are read, of the table's


def taps(rng):
    return tuple(rng.uniform(size=3).astype(np.float32) for _ in range(3))


def table_of(x, y, z, sign):
    """A table that knows one sample; of the others it has nothing usable."""
    table = np.full((TABLE_ROWS, BLOCK), np.nan, dtype=np.float32)
    table[:ALONG_X, SAMPLE] = np.outer(z, y).ravel()
    table[ALONG_X:SIGN, SAMPLE] = x
    table[SIGN, SAMPLE] = sign
    return table


def random_complex(rng, *shape):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def as_floats(x):
    return x.reshape(-1).view(np.float32)


@numba.njit
def run_gather(values, at, count, grid, start, y_step, z_step, x_step, table, k):
    gather(values, at, count, grid, start, y_step, z_step, x_step, table, k)


@numba.njit
def run_scatter(values, at, count, grid, start, y_step, z_step, x_step, table, k):
    scatter(values, at, count, grid, start, y_step, z_step, x_step, table, k)


def call(run, values, others, grid, row, table):
    """Run it for the functions after `others`, of a sample whose first tap is `row`."""
    z_step, y_step, x_step = (s // 4 for s in grid.strides[:3])
    start = row[0] * z_step + row[1] * y_step + row[2] * x_step + 2 * others
    count = grid.shape[3] - others
    flat = as_floats(values), 2 * others, count, as_floats(grid), start
    run(*flat, y_step, z_step, x_step, table, SAMPLE)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("others", [0, 2])
@pytest.mark.parametrize("count", COUNTS)
def test_gather_is_the_plain_sum(rng, count, others, sign):
    """At the very end of the grid too: NaN lies beyond, and in whatever else is not asked for."""
    (x, y, z), row = taps(rng), (2, 3, 4)
    functions = count + others
    memory = np.full(5 * 6 * 7 * functions + 8, np.nan, dtype=np.complex64)
    grid = memory[:-8].reshape(5, 6, 7, functions)
    grid[..., others:] = random_complex(rng, 5, 6, 7, count)
    out = np.full(functions + 1, 7, dtype=np.complex64)
    call(run_gather, out, others, grid, row, table_of(x, y, z, sign))
    expected = gather_plain(grid[..., others:], row, x, y, z)
    expected = expected if sign > 0 else expected.conj()
    np.testing.assert_allclose(out[others:-1], expected, rtol=1e-5, atol=1e-5)
    assert set(out[:others]) | {out[-1]} == {7}  # nothing is written before or beyond


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("others", [0, 2])
@pytest.mark.parametrize("count", COUNTS)
def test_scatter_is_the_plain_sum(rng, count, others, sign):
    (x, y, z), row = taps(rng), (2, 3, 4)
    grid, value = random_complex(rng, 5, 6, 7, count + others), random_complex(rng, count + others)
    expected = grid.copy()
    sent = value if sign > 0 else value.conj()
    scatter_plain(expected[..., others:], row, x, y, z, sent[others:])
    call(run_scatter, value, others, grid, row, table_of(x, y, z, sign))
    np.testing.assert_allclose(grid, expected, rtol=1e-5, atol=1e-5)


def test_prefetch_changes_nothing(rng):
    grid = rng.normal(size=50).astype(np.float32)
    kept = grid.copy()

    @numba.njit
    def run(grid):
        for at in range(0, 80, 7):  # beyond the end it is allowed, and asks for nothing
            prefetch(grid, at)

    run(grid)
    np.testing.assert_array_equal(grid, kept)

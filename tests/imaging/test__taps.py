import numba
import numpy as np
import pytest

from napari_hypermol.imaging._taps import gather, gather_plain, scatter, scatter_plain

gather_1, gather_2, gather_4 = (gather[count] for count in (1, 2, 4))
scatter_1, scatter_2, scatter_4 = (scatter[count] for count in (1, 2, 4))


@numba.njit
def gather_all(out, count, grid, row, steps, sign, x, y, z):
    """Any number of functions by fours, a two and a one, as the projector does it."""
    q = 0
    while q + 4 <= count:
        gather_4(out, 2 * q, grid, row + 2 * q, steps[1], steps[0], steps[2], sign, x, y, z)
        q += 4
    if q + 2 <= count:
        gather_2(out, 2 * q, grid, row + 2 * q, steps[1], steps[0], steps[2], sign, x, y, z)
        q += 2
    if q < count:
        gather_1(out, 2 * q, grid, row + 2 * q, steps[1], steps[0], steps[2], sign, x, y, z)


@numba.njit
def scatter_all(values, count, grid, row, steps, sign, x, y, z):
    q = 0
    while q + 4 <= count:
        scatter_4(values, 2 * q, grid, row + 2 * q, steps[1], steps[0], steps[2], sign, x, y, z)
        q += 4
    if q + 2 <= count:
        scatter_2(values, 2 * q, grid, row + 2 * q, steps[1], steps[0], steps[2], sign, x, y, z)
        q += 2
    if q < count:
        scatter_1(values, 2 * q, grid, row + 2 * q, steps[1], steps[0], steps[2], sign, x, y, z)


def taps(rng):
    return tuple(tuple(np.float32(w) for w in rng.uniform(size=3)) for _ in range(3))


def random_complex(rng, *shape):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def as_floats(x):
    return x.reshape(-1).view(np.float32)


def flat_row(grid, row):
    steps = tuple(s // 4 for s in grid.strides[:3])
    return steps, sum(i * s for i, s in zip(row, steps, strict=True))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("count", range(1, 10))
def test_gather_is_the_plain_sum(rng, count, sign):
    grid, (x, y, z), row = random_complex(rng, 5, 6, 7, count), taps(rng), (1, 3, 2)
    out = np.full(count + 1, 7, dtype=np.complex64)
    steps, at = flat_row(grid, row)
    gather_all(as_floats(out), count, as_floats(grid), at, steps, np.float32(sign), x, y, z)
    expected = gather_plain(grid, row, x, y, z)
    expected = expected if sign > 0 else expected.conj()
    np.testing.assert_allclose(out[:count], expected, rtol=1e-5, atol=1e-5)
    assert out[count] == 7  # nothing is written beyond


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("count", range(1, 10))
def test_scatter_is_the_plain_sum(rng, count, sign):
    grid, value = random_complex(rng, 5, 6, 7, count), random_complex(rng, count)
    (x, y, z), row = taps(rng), (2, 0, 4)
    expected = grid.copy()
    scatter_plain(expected, row, x, y, z, value if sign > 0 else value.conj())
    steps, at = flat_row(grid, row)
    scatter_all(as_floats(value), count, as_floats(grid), at, steps, np.float32(sign), x, y, z)
    np.testing.assert_allclose(grid, expected, rtol=1e-5, atol=1e-5)

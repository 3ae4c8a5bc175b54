import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

from napari_hypermol.posterior._row_products import (
    MOST,
    SLACK,
    TILE,
    tile_mixture,
    tile_products,
    tile_residual,
)

BEHIND = np.float32(1e30)  # what lies in the slack must not be seen


@numba.njit
def run_products(rows, stride, q, p, count, i, weights, data, n, out):
    tile_products(rows, stride, q, p, count, i, weights, data, n, out)


@numba.njit
def run_mixture(rows, stride, q, matrix, width, n_q, i, weights, n, out):
    tile_mixture(rows, stride, q, matrix, width, n_q, i, weights, n, out)


@numba.njit
def run_residual(rows, stride, q, matrix, width, n_q, i, weights, n, out, data, first, terms):
    tile_residual(rows, stride, q, matrix, width, n_q, i, weights, n, out, data, first, terms)


def random(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def random_rows(rng, n, n_q):
    """Complex rows (n, q), and the same as floats with something behind them."""
    rows = (random(rng, n, n_q) + 1j * random(rng, n, n_q)).astype(np.complex64)
    slack = np.full(SLACK, BEHIND)
    return rows, np.concatenate([rows.ravel().view(np.float32), slack])


def twice(x, width):
    """Every number for re and im, with zeros behind."""
    out = np.zeros((*x.shape[:-1], width), np.float32)
    out[..., : 2 * x.shape[-1]] = np.repeat(x, 2, axis=-1)
    return out


@pytest.mark.parametrize("count", range(1, MOST + 1))
@pytest.mark.parametrize("q", [0, TILE])
def test_products_are_sums_over_samples(rng, q, count):
    n, n_q = 23, MOST
    p = n_q - count
    values, rows = random_rows(rng, n, n_q)
    weights, data = random(rng, 3, n), random(rng, 3, 2, n)
    out = np.full((MOST + 1, TILE), np.nan, np.float32)
    run_products(rows, 2 * n_q, q, p, count, 2, weights, data, n, out)
    tile, others = values[:, q : q + TILE], values[:, p : p + count]
    assert np.isnan(out[count + 1 :]).all()
    found = out[: count + 1]
    expected = np.einsum("k,kp,kq->pq", weights[2], others.conj(), tile).real
    np.testing.assert_allclose(found[:count], expected, rtol=1e-5, atol=1e-5)
    overlap = np.einsum("k,kq->q", (data[2, 0] + 1j * data[2, 1]).conj(), tile).real
    np.testing.assert_allclose(found[count], overlap, rtol=1e-5, atol=1e-5)


def test_products_of_a_tile_that_reaches_past_the_functions(rng):
    n, n_q = 7, TILE + 1
    values, rows = random_rows(rng, n, n_q)
    weights, data = random(rng, 3, n), random(rng, 3, 2, n)
    out = np.zeros((MOST + 1, TILE), np.float32)
    run_products(rows, 2 * n_q, TILE, TILE, 1, 2, weights, data, n, out)
    expected = (weights[2] * abs(values[:, TILE]) ** 2).sum()
    np.testing.assert_allclose(out[0, 0], expected, rtol=1e-5)


def mixed_by_tiles(run, rng, n, n_q, *extra):
    """What all tiles leave, the last first, with the matrix and what else they were given."""
    values, rows = random_rows(rng, n, n_q)
    rows[-SLACK:] = 0  # zero lanes of the matrix meet it
    weights = random(rng, 3, n)
    second = random(rng, n_q, n_q)
    width = 2 * TILE * -(-n_q // TILE)
    out = np.full(2 * n * n_q + SLACK, np.nan, np.float32)
    for q in range((n_q - 1) // TILE * TILE, -1, -TILE):
        given = rows, 2 * n_q, q, twice(second, width), width, n_q, 1, weights, n, out
        run(*given, *extra)
    found = out[: 2 * n * n_q].view(np.complex64).reshape(n, n_q)
    return found, values, weights[1], second


@pytest.mark.parametrize("n_q", [1, 2, 3, 4, 5, 9, 16, 18])
@pytest.mark.parametrize("n", [1, 3, 4, 22])
def test_mixture_is_a_combination_of_functions(rng, n, n_q):
    found, values, weights, second = mixed_by_tiles(run_mixture, rng, n, n_q)
    expected = weights[:, None] * (values @ second)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_q", [1, 2, 3, 4, 5, 9, 16, 18])
@pytest.mark.parametrize("n", [1, 3, 4, 22])
def test_residual_is_the_image_less_the_mixture(rng, n, n_q):
    data, first, terms = random(rng, 3, 2, n), random(rng, n_q), np.zeros(n, np.float32)
    factors = twice(first, 2 * TILE * -(-n_q // TILE))
    extra = data, factors, terms
    found, values, weights, second = mixed_by_tiles(run_residual, rng, n, n_q, *extra)
    pixels = data[1, 0] + 1j * data[1, 1]
    mixture = weights[:, None] * (values @ second)
    expected = pixels[:, None] * first - mixture
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    explained = 2 * (pixels.conj() * (values @ first)).real - (values.conj() * mixture).real.sum(1)
    np.testing.assert_allclose(terms, explained, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("change", [np.asfortranarray, lambda x: x.astype(np.float64)])
def test_arrays_of_another_kind_are_refused(rng, change):
    _, rows = random_rows(rng, 3, TILE)
    data, out = random(rng, 2, 2, 3), np.zeros((MOST + 1, TILE), np.float32)
    with pytest.raises(TypingError, match="float32 in C order"):
        run_products(rows, 2 * TILE, 0, 0, 1, 0, random(rng, 2, 3), change(data), 3, out)

import numba
import numpy as np

from napari_hypermol.posterior.exponentials import exponential


@numba.njit
def each(x):
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = exponential(x[i])
    return out


@numba.njit(fastmath={"contract", "reassoc", "nsz", "arcp"})
def added_up(x):
    total = 0.0
    for i in range(len(x)):
        total += exponential(x[i])
    return total


def test_it_is_the_exponential(rng):
    x = np.concatenate([[0.0, -0.0, 1.0, -1e-300, 1e-9, 699.9], rng.uniform(-700, 5, 10_000)])
    np.testing.assert_allclose(each(x), np.exp(x), rtol=2e-14)
    x = rng.uniform(-30, 0, 10_000)
    np.testing.assert_allclose(each(x), np.exp(x), rtol=4e-15)


def test_whole_doublings(rng):
    x = np.log(2) * np.arange(-1000, 20)
    np.testing.assert_allclose(each(x), np.exp(x), rtol=2e-14)


def test_what_is_lower_is_next_to_nothing():
    assert (each(np.array([-701.0, -1e9, -np.inf])) == each(np.array([-700.0]))).all()
    assert 0 < each(np.array([-np.inf]))[0] < 1e-300


def test_what_is_no_number_stays_none():
    assert np.isnan(each(np.array([np.nan, 0.0]))).tolist() == [True, False]
    assert np.isnan(added_up(np.array([np.nan, -3.0])))


def test_sums_in_any_order(rng):
    """Liberties of the loop around it must not reach its rounding."""
    x = rng.uniform(-40, 0, 1001)
    np.testing.assert_allclose(added_up(x), np.exp(x).sum(), rtol=1e-14)

"""Radial prolate functions against 50-digit arithmetic, SciPy, tables and their defining integral.

`oracles/gpsf_reference.json` was computed with mpmath at 50 digits, `SLEPIAN` and `PLANE` are
published values.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import pro_cv, spherical_jn

from napari_hypermol.bases.gpswf_radial import (
    radial_order,
    radial_orders,
    shannon_number,
    transforms,
)
from napari_hypermol.errors import ShapeError

REFERENCE = json.loads(
    (Path(__file__).parents[1] / "oracles" / "gpsf_reference.json").read_text(encoding="utf-8")
)["c"]
BANDWIDTHS = {"5": 5.0, "10": 10.0, "20": 20.0, "8pi": 8 * np.pi}
CASES = [(c, order) for c in REFERENCE for order in REFERENCE[c]]

# mu of the odd 1-D prolate functions, n = 1, 3, 5, 7: Slepian and Pollak (1961), more digits
SLEPIAN = {
    1.0: (0.062791274149803, 9.2009770495689e-6, 9.4914367339672e-11, 2.154449116655e-16),
    2.0: (0.35564062548489, 0.0011522327669963, 1.9358522020494e-7, 7.0488855309478e-12),
    4.0: (0.91210742406502, 0.1102109870148, 0.00038129172172422, 2.2786388954565e-7),
    8.0: (0.99987897621673, 0.96054567605581, 0.32027663488555, 0.0061262893944045),
}


def gauss_legendre(count):
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return 0.5 * (nodes + 1), 0.5 * weights


@pytest.mark.parametrize(("c", "order"), CASES)
def test_against_fifty_digits(c, order):
    """All of them to 1e-12, whatever mu: the smallest here are below 1e-24."""
    expected = REFERENCE[c][order]
    found = radial_order(BANDWIDTHS[c], int(order), max_functions=len(expected))

    def column(name):
        return np.array([float(entry[name]) for entry in expected])

    np.testing.assert_allclose(found.chi, column("chi"), rtol=1e-13)
    np.testing.assert_allclose(found.gamma, column("gam"), rtol=1e-12)
    np.testing.assert_allclose(found.mu, column("mu"), rtol=1e-12)
    half, one = found.evaluate([0.5, 1.0])
    # Phi(1) of a well concentrated function is nearly 0; its error is that of the values around
    np.testing.assert_allclose(half, column("Phi05"), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(one, column("Phi1"), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("c", SLEPIAN)
def test_order_zero_is_the_odd_prolate_function(c):
    found = radial_order(c, 0, max_functions=4)
    np.testing.assert_allclose(found.mu, SLEPIAN[c], rtol=5e-13)  # the table's digits
    expected = [-pro_cv(0, 2 * n + 1, c) for n in range(4)]
    np.testing.assert_allclose(found.chi, expected, rtol=1e-12)


@pytest.mark.parametrize("c", [5.0, 50.0, 250.0])
def test_trace(c):
    """The kernel's trace: functions counted by mu are the Shannon number."""
    orders = radial_orders(c, 1e-13)
    trace = sum((2 * order.order + 1) * order.mu.sum() for order in orders)
    np.testing.assert_allclose(trace, shannon_number(c), rtol=1e-10)
    assert shannon_number(c) == pytest.approx(2 * c**3 / (9 * np.pi))


@pytest.mark.parametrize(("c", "order"), [(0.5, 2), (50, 0), (50, 31), (250, 0), (250, 120)])
def test_orthonormal_by_quadrature(c, order):
    x, weights = gauss_legendre(400)
    values = radial_order(c, order, 1e-10, max_functions=100).evaluate(x)
    gram = (values * (weights * x**2)[:, None]).T @ values
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-10)


@pytest.mark.parametrize(("c", "order"), [(10.0, 0), (10.0, 3), (50.0, 7)])
def test_transform_is_the_defining_integral(c, order):
    """Inside the band, where it is the function times its eigenvalue, and beyond."""
    found = radial_order(c, order, 1e-6)
    y, weights = gauss_legendre(300)
    x = np.array([0.0, 0.02, 0.3, 0.999, 1.0, 1.1, 1.6])
    kernel = spherical_jn(order, c * np.multiply.outer(x, y))
    expected = kernel @ ((weights * y**2)[:, None] * found.evaluate(y))
    np.testing.assert_allclose(found.transform(x), expected, atol=1e-14)
    inside = x <= 1
    np.testing.assert_allclose(found.transform_inside(x[inside]), expected[inside], atol=1e-14)


def test_transforms_of_all_orders_at_once():
    orders = radial_orders(12.0, 0.1)
    x = np.linspace(0, 1.5, 40)
    for order, values in zip(orders, transforms(orders, x), strict=True):
        np.testing.assert_allclose(values, order.transform(x), atol=1e-15)


def test_truncation_keeps_all_above_the_threshold_and_none_below():
    kept = radial_orders(15.0, 0.3)
    for order in range(len(kept) + 3):
        mu = radial_order(15.0, order, max_functions=12).mu
        n_kept = kept[order].n_functions if order < len(kept) else 0
        assert n_kept == (mu >= 0.3).sum()
        assert (np.diff(mu[mu < 1 - 1e-12]) < 0).all()


def test_threshold_far_down():
    """More functions than a first guess has: it is doubled until mu falls below."""
    found = radial_order(1.0, 0, 1e-60)
    assert found.mu[-1] >= 1e-60
    assert found.n_functions > 9
    np.testing.assert_allclose(found.mu[:4], SLEPIAN[1.0], rtol=5e-13)


def test_more_zernike_terms_change_nothing(monkeypatch):
    few = radial_order(30.0, 5, 1e-8)
    monkeypatch.setattr("napari_hypermol.bases.gpswf_radial._SPARE_TERMS", 90)
    many = radial_order(30.0, 5, 1e-8)
    np.testing.assert_allclose(few.gamma, many.gamma, rtol=1e-12)
    np.testing.assert_allclose(few.terms, many.terms, atol=1e-14)
    monkeypatch.setattr("napari_hypermol.bases.gpswf_radial._SPARE_TERMS", -5)  # it can fail
    assert abs(radial_order(30.0, 5, 1e-8).gamma[-1] / many.gamma[-1] - 1) > 1e-12


def test_cache_gives_back_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("HYPERMOL_CACHE", str(tmp_path))
    first, again = radial_orders(9.0, 0.2), radial_orders(9.0, 0.2)
    assert len(list(tmp_path.glob("*.npz"))) == 1
    for one, other in zip(first, again, strict=True):
        assert one.order == other.order
        np.testing.assert_array_equal(one.chi, other.chi)
        np.testing.assert_array_equal(one.gamma, other.gamma)
        np.testing.assert_array_equal(one.terms, other.terms)
    assert len(radial_orders(9.0, 0.9)) < len(first)  # another threshold, another file


def test_too_small_a_ball_has_no_functions():
    assert radial_orders(0.1, 0.5) == ()


@pytest.mark.parametrize(("c", "least"), [(0.0, 0.5), (-1.0, 0.5), (3.0, 0.0), (3.0, 1.0)])
def test_senseless_parameters_are_refused(c, least):
    with pytest.raises(ShapeError, match="prolate functions"):
        radial_orders(c, least)

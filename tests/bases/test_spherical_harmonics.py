import numpy as np
import pytest
from scipy.special import eval_legendre

from napari_hypermol.bases import spherical_harmonics
from napari_hypermol.bases.spherical_harmonics import (
    Lattice,
    n_terms,
    sum_harmonics,
    sum_harmonics_adjoint,
)
from oracles.ball_quadrature import real_harmonics

# Whole, even and lopsided; a half space with a halo, as for Fourier grids; some rows fall outside.
LATTICES = [
    Lattice((9, 9, 9), (4, 4, 4)),
    Lattice((8, 8, 8), (4, 4, 4)),
    Lattice((9, 8, 7), (4, 5, 1)),
    Lattice((1, 3, 5), (0, 1, 2)),
]


def random_sum(rng, n_orders, n_rows=23, n_q=2):
    """Profiles, vanishing at 0 for l > 0 as smooth functions do, and coefficients."""
    counts = np.maximum(3 - np.arange(n_orders) // 3, 1)
    profiles = [rng.normal(size=(n_rows, n)) for n in counts]
    for profile in profiles[1:]:
        profile[0] = 0
    return profiles, rng.normal(size=(n_q, n_terms(counts)))


def plain_sum(profiles, coefficients, lattice):
    """Point by point, with SciPy's harmonics; (z, y, x, q, 2)."""
    indices = np.indices(lattice.shape).reshape(3, -1) - np.array(lattice.origin)[:, None]
    points = indices.T[:, ::-1]  # x, y, z
    squares = (points**2).sum(axis=1)
    values = np.zeros((len(points), len(coefficients), 2))
    reached, start = squares < len(profiles[0]), 0
    for order, profile in enumerate(profiles):
        n, n_m = profile.shape[1], 2 * order + 1
        own = coefficients[:, start : start + n * n_m].reshape(-1, n, n_m)
        radial, angular = profile[squares[reached]], real_harmonics(order, points[reached])
        values[reached, :, order % 2] += np.einsum("vn,qnm,vm->vq", radial, own, angular)
        start += n * n_m
    return values.reshape(*lattice.shape, -1, 2)


@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("n_orders", [1, 2, 8])
def test_against_scipy_point_by_point(rng, lattice, n_orders):
    profiles, coefficients = random_sum(rng, n_orders)
    expected = plain_sum(profiles, coefficients, lattice)
    found = sum_harmonics(profiles, coefficients, lattice, split=True)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    total = sum_harmonics(profiles, coefficients, lattice, split=False)
    np.testing.assert_allclose(total, expected.sum(axis=-1, keepdims=True), atol=1e-12)


@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("split", [True, False])
def test_adjoint(rng, lattice, split):
    profiles, coefficients = random_sum(rng, 6, n_q=3)
    values = sum_harmonics(profiles, coefficients, lattice, split)
    other = rng.normal(size=values.shape)
    back = sum_harmonics_adjoint(profiles, other, lattice)
    assert back.shape == coefficients.shape
    np.testing.assert_allclose((values * other).sum(), (coefficients * back).sum(), rtol=1e-10)


def test_rows_in_chunks_make_no_difference(rng, monkeypatch):
    profiles, coefficients = random_sum(rng, 6)
    lattice = LATTICES[0]
    whole = sum_harmonics(profiles, coefficients, lattice, split=True)
    back = sum_harmonics_adjoint(profiles, whole, lattice)
    monkeypatch.setattr(spherical_harmonics, "_SCRATCH", 4 * 2 * 36)  # four rows at a time
    again = sum_harmonics(profiles, coefficients, lattice, split=True)
    np.testing.assert_allclose(again, whole, atol=1e-13)
    np.testing.assert_allclose(sum_harmonics_adjoint(profiles, whole, lattice), back, atol=1e-12)


def test_stable_to_high_orders():
    """l = 250: sum over m of Y_lm(u) Y_lm(v) is (2 l + 1) / (4 pi) P_l(u.v), u near the pole."""
    order, lattice = 250, Lattice((13, 13, 13), (6, 6, 6))
    profiles = [np.zeros((120, 0)) for _ in range(order)] + [np.ones((120, 1))]
    profiles[order][0] = 0
    for u in (np.array([0.06, -0.03, 1.0]), np.array([0.5, 0.7, -0.1])):
        zonal = real_harmonics(order, u[None])
        values = sum_harmonics(profiles, zonal, lattice, split=False)[..., 0, 0]
        points = np.indices(lattice.shape).reshape(3, -1).T[:, ::-1] - 6
        radii = np.maximum(np.linalg.norm(points, axis=1), 1)
        cosines = points @ u / (np.linalg.norm(u) * radii)
        expected = (2 * order + 1) / (4 * np.pi) * eval_legendre(order, cosines) * (radii**2 < 120)
        expected[len(points) // 2] = 0  # the centre has no direction
        np.testing.assert_allclose(values.ravel(), expected, atol=1e-10)

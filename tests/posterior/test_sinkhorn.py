import itertools

import numpy as np
import pytest
from scipy.special import logsumexp

from napari_hypermol.errors import RecipeError, ShapeError
from napari_hypermol.posterior.sinkhorn import MIN_BLUR, sinkhorn_divergences


def blob(n, centre, width=0.07):
    axis = (np.arange(n) + 0.5) / n
    z, y, x = (np.exp(-((axis - c) ** 2) / (2 * width**2)) for c in centre)
    mass = z[:, None, None] * y[:, None] * x
    return mass / mass.sum()


def dense_transport(a, b, blur, n):
    """OT(a, b) with the whole matrix of distances, in the log domain, long iterated."""
    axis = (np.arange(n) + 0.5) / n
    points = np.array(list(itertools.product(axis, repeat=3)))
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    epsilon, log_a, log_b = blur**2, np.log(a.ravel()), np.log(b.ravel())
    f, g = np.zeros(n**3), np.zeros(n**3)
    for _ in range(3000):
        f = -epsilon * logsumexp(log_b + (g - squares) / epsilon, axis=1)
        g = -epsilon * logsumexp(log_a + (f[:, None] - squares).T / epsilon, axis=1)
    plan = np.exp(log_a[:, None] + log_b + (f[:, None] + g - squares) / epsilon)
    np.testing.assert_allclose(plan.sum(axis=1), a.ravel(), atol=1e-8)
    ratio = np.log(plan / (a.ravel()[:, None] * b.ravel()))
    return (plan * squares).sum() + epsilon * (plan * ratio).sum()


def test_is_the_dense_divergence(rng):
    n, blur = 4, 0.15
    a, b = rng.uniform(0.1, 1, size=(2, n, n, n))
    a, b = a / a.sum(), b / b.sum()
    expected = dense_transport(a, b, blur, n)
    expected -= 0.5 * (dense_transport(a, a, blur, n) + dense_transport(b, b, blur, n))
    found = sinkhorn_divergences(np.stack([a, b]), np.array([[0, 1]]), blur, 1e-12, 5000)
    assert found.values[0] == pytest.approx(expected, rel=1e-6)


def test_is_zero_for_equal_masses_and_symmetric(rng):
    masses = rng.uniform(size=(2, 6, 6, 6))
    masses /= masses.sum(axis=(1, 2, 3), keepdims=True)
    pairs = np.array([[0, 0], [0, 1], [1, 0]])
    same, one, two = sinkhorn_divergences(masses, pairs, tolerance=1e-10).values
    assert abs(same) < 1e-10
    assert one == pytest.approx(two, rel=1e-6)
    assert one > 0


@pytest.mark.parametrize("n", [9, 12])
def test_grows_with_the_square_of_the_displacement(n):
    """The squared Wasserstein-2 distance of a shifted mass; the L2 distance saturates."""
    shifts = np.array([0, 0.1, 0.2, 0.4])
    masses = np.stack([blob(n, (0.5, 0.5, 0.3 + s)) for s in shifts])
    pairs = np.array([[0, 1], [0, 2], [0, 3]])
    found = sinkhorn_divergences(masses, pairs).values
    # tails cut by the cube: exp(-(0.3 / 0.07)^2 / 2) = 1e-4 of the mass; sampling of the blob
    np.testing.assert_allclose(found, shifts[1:] ** 2, rtol=0.02)
    l2 = ((masses[1:] - masses[0]) ** 2).sum(axis=(1, 2, 3))
    assert l2[2] / l2[1] < 1.2  # 1 - exp(-(0.2 / 0.14)^2) = 0.87 of its limit already at 0.2
    assert found[2] / found[1] > 3.9


def test_is_the_monotone_plan_along_a_line():
    """Masses that differ along x only are moved along x, in order: particles, sorted."""
    n = 16
    left, right = blob(n, (0.5, 0.5, 0.25)), blob(n, (0.5, 0.5, 0.75))
    masses = np.stack([left, 0.7 * left + 0.3 * right])
    axis = (np.arange(n) + 0.5) / n
    sorted_places = []
    for mass in masses:
        below = np.cumsum(mass.sum(axis=(0, 1)))
        quantile = (np.arange(100_000) + 0.5) / 100_000
        sorted_places.append(axis[np.minimum(np.searchsorted(below, quantile), n - 1)])
    expected = ((sorted_places[0] - sorted_places[1]) ** 2).mean()
    found = sinkhorn_divergences(masses, np.array([[0, 1]])).values[0]
    # the blur, 0.1, forgives a part of the way within the blobs, which are 0.07 wide
    assert found == pytest.approx(expected, rel=0.05)


def test_derivative_is_the_difference_quotient(rng):
    masses = np.stack([blob(6, (0.5, 0.4, 0.3), 0.2), blob(6, (0.5, 0.5, 0.6), 0.15)])
    pair = np.array([[0, 1]])
    found = sinkhorn_divergences(masses, pair, tolerance=1e-12, max_iterations=5000)
    for row, derivative in enumerate((found.first[0], found.second[0])):
        direction = rng.normal(size=(6, 6, 6)) * masses[row]
        direction -= direction.sum() * masses[row]  # the sum stays 1
        step = 1e-4
        values = []
        for sign in (1, -1):
            moved = masses.copy()
            moved[row] += sign * step * direction
            values.append(sinkhorn_divergences(moved, pair, tolerance=1e-12).values[0])
        expected = (derivative * direction).sum()
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(expected, rel=1e-4)


def test_masses_in_opposite_corners_at_the_least_blur():
    """The worst case of the exponents: point masses a diagonal apart, nothing in between."""
    masses = np.zeros((2, 10, 10, 10))
    masses[0, 0, 0, 0] = masses[1, -1, -1, -1] = 1
    found = sinkhorn_divergences(masses, np.array([[0, 1]]), MIN_BLUR)
    assert found.values[0] == pytest.approx(3 * 0.9**2, rel=1e-9)
    assert np.isfinite(found.first).all()


def test_refuses_in_one_sentence():
    with pytest.raises(RecipeError, match=r"a blur of 0\.01 edges"):
        sinkhorn_divergences(np.ones((2, 4, 4, 4)) / 64, np.array([[0, 1]]), 0.01)
    with pytest.raises(ShapeError, match=r"masses of shape \(4, 4\)"):
        sinkhorn_divergences(np.ones((4, 4)), np.array([[0, 1]]))

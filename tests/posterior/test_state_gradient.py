"""Against a sum over contrasts, and difference quotients."""

import numpy as np
import pytest
from scipy.stats import norm

from napari_hypermol.errors import ShapeError
from napari_hypermol.posterior.state_gradient import state_evidence


@pytest.fixture
def particles(rng):
    n, q = 8, 3
    half = rng.normal(size=(n, q, q))
    g = half @ half.swapaxes(1, 2)
    return 4 * rng.normal(size=(n, q)), g, rng.normal(size=(n, q))


def test_evidence_is_the_integral_over_contrasts(particles):
    b, g, c = particles
    std, a = 0.3, np.linspace(0, 4, 40_001)
    prior = norm.pdf(a, 1, std) / (1 - norm.cdf(0, 1, std))
    linear, square = (c * b).sum(axis=1), np.einsum("nq,nqp,np->n", c, g, c)
    ratio = np.exp(np.multiply.outer(linear, a) - 0.5 * np.multiply.outer(square, a**2))
    expected = np.log(np.trapezoid(ratio * prior, a, axis=1))
    found, _ = state_evidence(b, g, c, std)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("std", [0.0, 0.3])
def test_gradient_is_the_difference_quotient(particles, std):
    b, g, c = particles
    _, gradient = state_evidence(b, g, c, std)
    h = 1e-6
    for q in range(3):
        step = h * np.eye(3)[q]
        above, below = (state_evidence(b, g, c + s, std)[0] for s in (step, -step))
        np.testing.assert_allclose(gradient[:, q], (above - below) / (2 * h), atol=1e-6)


def test_known_contrast_is_one(particles):
    b, g, c = particles
    expected = (c * b).sum(axis=1) - 0.5 * np.einsum("nq,nqp,np->n", c, g, c)
    np.testing.assert_allclose(state_evidence(b, g, c, 0.0)[0], expected)


def test_wrong_shapes_are_told(particles):
    b, g, c = particles
    with pytest.raises(ShapeError, match="expected"):
        state_evidence(b[:, :2], g, c, 0.1)

import numpy as np
import pytest

from napari_hypermol.samplers.preconditioner import IDENTITY, dense, diagonal


@pytest.fixture
def covariance(rng):
    root = rng.normal(size=(4, 4))
    return root @ root.T + np.eye(4)


def matrix(function, d=4):
    return function(np.eye(d)).T


def test_identity():
    x = np.ones((2, 3))
    assert IDENTITY.apply(x) is x
    assert IDENTITY.apply_sqrt(x) is x


def test_dense_and_its_root(covariance):
    a = dense(covariance)
    np.testing.assert_allclose(matrix(a.apply), covariance)
    root = matrix(a.apply_sqrt)
    np.testing.assert_allclose(root @ root.T, covariance)


def test_diagonal_and_its_root(rng):
    variances = rng.uniform(0.5, 2, size=4)
    a = diagonal(variances)
    np.testing.assert_allclose(matrix(a.apply), np.diag(variances))
    np.testing.assert_allclose(matrix(a.apply_sqrt), np.diag(np.sqrt(variances)))


def test_diagonal_of_each_chain(rng):
    variances, x = rng.uniform(0.5, 2, size=(3, 1)), rng.normal(size=(3, 5))
    np.testing.assert_allclose(diagonal(variances).apply(x), variances * x)


def test_noise_has_the_covariance(rng, covariance):
    noise = dense(covariance).apply_sqrt(rng.standard_normal((50_000, 4)))
    # five standard errors of a covariance of 50 000 draws
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)) * 2 / 50_000)
    assert (abs(np.cov(noise.T) - covariance) < 5 * scale).all()

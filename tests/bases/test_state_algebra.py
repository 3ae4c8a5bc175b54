import numpy as np
import pytest

from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.polynomial import LegendreBasis
from napari_hypermol.bases.product import ProductBasis
from napari_hypermol.bases.state_algebra import embedding, gauss_legendre, roughness
from napari_hypermol.errors import ShapeError


def test_gauss_legendre_is_exact_on_every_piece():
    states, weights = gauss_legendre(2, n_pieces=3)
    for power in range(4):
        moments = (weights * states[:, 0] ** power).sum()
        np.testing.assert_allclose(moments, 1 / (power + 1))
        first = states[:, 0] < 1 / 3
        part = (weights * states[:, 0] ** power)[first].sum()
        np.testing.assert_allclose(part, (1 / 3) ** (power + 1) / (power + 1))


def test_roughness_of_cosines():
    np.testing.assert_allclose(
        roughness(CosineBasis(3)), np.diag((np.pi * np.arange(4)) ** 2), atol=1e-9
    )


def test_roughness_adds_over_coordinates():
    plane = ProductBasis(CosineBasis(2), CosineBasis(2), 2)
    found = np.sort(np.diag(roughness(plane)))
    np.testing.assert_allclose(found / np.pi**2, [0, 1, 1, 2, 4, 4], atol=1e-9)


def test_embedding_between_kinds_is_least_squares():
    # a straight line in cosines: the even ones vanish
    matrix = embedding(LegendreBasis(1), CosineBasis(4))
    assert matrix.shape == (5, 2)
    np.testing.assert_allclose(matrix[[0, 2, 4], 1], 0, atol=1e-9)
    # E[sqrt(3) (2 tau - 1) sqrt(2) cos(pi tau)] = -4 sqrt(6) / pi^2
    np.testing.assert_allclose(matrix[1, 1], -4 * np.sqrt(6) / np.pi**2, rtol=1e-9)


def test_embedding_keeps_the_number_of_coordinates():
    with pytest.raises(ShapeError, match="do not fit"):
        embedding(CosineBasis(1), ProductBasis(CosineBasis(1), CosineBasis(1), 1))

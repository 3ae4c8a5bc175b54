import numpy as np
import pytest

from contracts.state_basis import StateBasisContract
from napari_hypermol.bases.polynomial import ChebyshevBasis, LegendreBasis
from napari_hypermol.bases.state_algebra import embedding
from napari_hypermol.errors import ShapeError


@pytest.mark.parametrize("degree", [1, 5])
class TestLegendreBasis(StateBasisContract):
    @pytest.fixture
    def basis(self, degree):
        return LegendreBasis(degree)

    @pytest.fixture
    def finer(self, degree):
        return LegendreBasis(degree + 2)


@pytest.mark.parametrize("degree", [1, 5])
class TestChebyshevBasis(StateBasisContract):
    IS_ORTHONORMAL = False

    @pytest.fixture
    def basis(self, degree):
        return ChebyshevBasis(degree)

    @pytest.fixture
    def finer(self, degree):
        return ChebyshevBasis(degree + 2)


def test_legendre_in_numbers():
    values = LegendreBasis(2).evaluate(np.array([[0.0], [0.5], [1.0]]))
    roots = np.sqrt([1, 3, 5])
    np.testing.assert_allclose(values, roots * [[1, -1, 1], [1, 0, -0.5], [1, 1, 1]], atol=1e-15)


def test_chebyshev_are_cosines_of_the_angle(rng):
    angle = rng.uniform(0, np.pi, size=(7, 1))
    values = ChebyshevBasis(4).evaluate((1 + np.cos(angle)) / 2)
    np.testing.assert_allclose(values[:, 1:], np.sqrt(2) * np.cos(angle * np.arange(1, 5)))


def test_both_span_the_polynomials(rng):
    states = rng.uniform(size=(7, 1))
    matrix = embedding(ChebyshevBasis(4), LegendreBasis(4))
    np.testing.assert_allclose(
        LegendreBasis(4).evaluate(states) @ matrix, ChebyshevBasis(4).evaluate(states), atol=1e-12
    )


@pytest.mark.parametrize("basis", [LegendreBasis, ChebyshevBasis])
def test_degree_below_one_is_refused(basis):
    with pytest.raises(ShapeError, match="degree 0"):
        basis(0)

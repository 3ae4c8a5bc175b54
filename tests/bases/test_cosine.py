import numpy as np
import pytest

from contracts.state_basis import StateBasisContract
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.errors import ShapeError


@pytest.mark.parametrize(("dims", "degree"), [(0, 0), (1, 0), (1, 4), (2, 3)])
class TestCosineBasis(StateBasisContract):
    @pytest.fixture
    def basis(self, dims, degree):
        return CosineBasis(dims, degree)

    @pytest.fixture
    def finer(self, dims, degree):
        return CosineBasis(dims, degree + 2)


def test_functions_in_numbers():
    root = np.sqrt(2)
    values = CosineBasis(1, 2).evaluate(np.array([[0.0], [0.5], [1.0]]))
    expected = [[1, root, root], [1, 0, -root], [1, -root, root]]
    np.testing.assert_allclose(values, expected, atol=1e-15)


def test_two_dimensions_by_total_degree():
    basis = CosineBasis(2, 2)
    orders = [tuple(order) for order in basis.orders]
    assert orders == [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
    value = basis.evaluate(np.array([[0.0, 1.0]]))[0]
    np.testing.assert_allclose(value[4], -2)  # sqrt 2 cos 0 . sqrt 2 cos pi


def test_rigid_is_the_constant_whatever_the_states():
    np.testing.assert_array_equal(CosineBasis(0, 3).evaluate(np.zeros((4, 0))), np.ones((4, 1)))


@pytest.mark.parametrize(
    ("dims", "degree", "words"), [(3, 1, "3 dimensions"), (1, -1, "degree -1")]
)
def test_what_is_impossible_is_refused(dims, degree, words):
    with pytest.raises(ShapeError, match=words):
        CosineBasis(dims, degree)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 4)])
def test_states_of_another_dimension_are_refused(shape):
    with pytest.raises(ShapeError, match=r"expected \(n, 2\)"):
        CosineBasis(2, 1).evaluate(np.zeros(shape))

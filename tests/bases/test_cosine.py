import numpy as np
import pytest

from contracts.state_basis import StateBasisContract
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.errors import ShapeError


@pytest.mark.parametrize("degree", [1, 4])
class TestCosineBasis(StateBasisContract):
    @pytest.fixture
    def basis(self, degree):
        return CosineBasis(degree)

    @pytest.fixture
    def finer(self, degree):
        return CosineBasis(degree + 2)


def test_functions_in_numbers():
    root = np.sqrt(2)
    values = CosineBasis(2).evaluate(np.array([[0.0], [0.5], [1.0]]))
    expected = [[1, root, root], [1, 0, -root], [1, -root, root]]
    np.testing.assert_allclose(values, expected, atol=1e-15)


def test_degree_below_one_is_refused():
    with pytest.raises(ShapeError, match="degree 0"):
        CosineBasis(0)

import numpy as np
import pytest

from contracts.state_basis import StateBasisContract
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.errors import ShapeError


@pytest.mark.parametrize("degree", [1, 3])
class TestFourierBasis(StateBasisContract):
    @pytest.fixture
    def basis(self, degree):
        return FourierBasis(degree)

    @pytest.fixture
    def finer(self, degree):
        return FourierBasis(degree + 1)


def test_functions_in_numbers():
    root = np.sqrt(2)
    values = FourierBasis(1).evaluate(np.array([[0.0], [0.25], [0.5]]))
    np.testing.assert_allclose(values, [[1, root, 0], [1, 0, root], [1, -root, 0]], atol=1e-15)


def test_degree_below_one_is_refused():
    with pytest.raises(ShapeError, match="degree 0"):
        FourierBasis(0)

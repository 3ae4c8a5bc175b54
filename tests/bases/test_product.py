import numpy as np
import pytest

from contracts.state_basis import StateBasisContract
from napari_hypermol.bases.classes import ClassBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.bases.hat import HatBasis
from napari_hypermol.bases.product import ProductBasis
from napari_hypermol.errors import ShapeError

PAIRS = [
    (CosineBasis(3), CosineBasis(3), 3),
    (CosineBasis(2), FourierBasis(2), 2),
    (ClassBasis(3), CosineBasis(3), 3),
    (HatBasis(4), CosineBasis(2), 2),
]


@pytest.mark.parametrize(("first", "second", "degree"), PAIRS)
class TestProductBasis(StateBasisContract):
    @pytest.fixture
    def basis(self, first, second, degree):
        return ProductBasis(first, second, degree - 1)

    @pytest.fixture
    def finer(self, first, second, degree):
        return ProductBasis(first, second, degree)


def test_by_total_degree():
    basis = ProductBasis(CosineBasis(2), CosineBasis(2), 2)
    assert basis.degrees.tolist() == [0, 1, 1, 2, 2, 2]
    value = basis.evaluate(np.array([[0.0, 1.0]]))[0]
    # sqrt 2 cos(pi i 0) sqrt 2 cos(pi j) of the three pairs of total degree 2
    np.testing.assert_allclose(np.sort(value[3:]), [-2, np.sqrt(2), np.sqrt(2)])


def test_every_class_has_a_continuum_of_its_own():
    basis = ProductBasis(ClassBasis(3), CosineBasis(2), 2)
    assert basis.kinds == ("class", "interval")
    assert basis.n_functions == 3 * 3
    assert ProductBasis(ClassBasis(3), CosineBasis(2), 1).n_functions == 3 * 2


def test_table_is_a_grid():
    table = ProductBasis(ClassBasis(3), CosineBasis(2), 2).table(16)
    assert table.shape == (3 * 8, 2)


def test_factors_of_one_coordinate_only():
    plane = ProductBasis(CosineBasis(1), CosineBasis(1), 1)
    with pytest.raises(ShapeError, match="two factors of one state coordinate"):
        ProductBasis(plane, CosineBasis(1), 1)
    with pytest.raises(ShapeError, match="degree 0"):
        ProductBasis(CosineBasis(1), CosineBasis(1), 0)

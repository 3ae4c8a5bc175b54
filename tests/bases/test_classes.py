import numpy as np
import pytest

from contracts.state_basis import StateBasisContract
from napari_hypermol.bases.classes import ClassBasis
from napari_hypermol.errors import ShapeError


@pytest.mark.parametrize("n_classes", [2, 4])
class TestClassBasis(StateBasisContract):
    @pytest.fixture
    def basis(self, n_classes):
        return ClassBasis(n_classes)

    @pytest.fixture
    def finer(self, n_classes):
        return ClassBasis(2 * n_classes)  # every class in two


def test_functions_span_the_indicators():
    basis = ClassBasis(3)
    values = basis.evaluate(basis.table(3))
    assert np.linalg.matrix_rank(values) == 3
    np.testing.assert_array_equal(basis.classes(basis.table(3)), [0, 1, 2])


def test_every_state_of_a_part_is_its_class():
    basis = ClassBasis(4)
    states = np.array([[0.0], [0.24], [0.25], [0.99], [1.0]])
    np.testing.assert_array_equal(basis.classes(states), [0, 0, 1, 3, 3])


def test_one_class_is_refused():
    with pytest.raises(ShapeError, match="leave the state out for one"):
        ClassBasis(1)

import numpy as np
import pytest

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.degree_basis import DegreeBasis
from napari_hypermol.bases.polynomial import LegendreBasis
from napari_hypermol.errors import ShapeError


def test_capped_keeps_the_kind():
    assert CosineBasis(4).capped(2) == CosineBasis(2)
    assert LegendreBasis(4).capped(9) == LegendreBasis(4)
    assert LegendreBasis(4).capped(0) == ConstantBasis()
    assert CosineBasis(2) != LegendreBasis(2)


def test_table_holds_midpoints():
    np.testing.assert_allclose(CosineBasis(1).table(4)[:, 0], [0.125, 0.375, 0.625, 0.875])


def test_errors_name_the_basis():
    with pytest.raises(ShapeError, match="legendre basis: degree 0"):
        LegendreBasis(0)


def test_functions_are_the_subclasses():
    with pytest.raises(NotImplementedError):
        DegreeBasis(1).evaluate(np.zeros((1, 1)))
    with pytest.raises(NotImplementedError):
        DegreeBasis(1).derivative(np.zeros((1, 1)))

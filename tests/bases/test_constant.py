import numpy as np

from napari_hypermol.bases.constant import ConstantBasis


def test_one_function_and_no_state():
    basis = ConstantBasis()
    assert (basis.dims, basis.kinds, basis.n_functions, basis.degrees.tolist()) == (0, (), 1, [0])
    np.testing.assert_array_equal(basis.evaluate(np.zeros((4, 0))), np.ones((4, 1)))
    assert basis.derivative(np.zeros((4, 0))).shape == (4, 1, 0)


def test_table_and_quadrature_hold_the_only_state():
    states, weights = ConstantBasis().quadrature()
    assert states.shape == ConstantBasis().table(32).shape == (1, 0)
    np.testing.assert_array_equal(weights, [1])


def test_capped_is_itself():
    assert ConstantBasis().capped(3) == ConstantBasis()

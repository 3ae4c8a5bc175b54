"""What every state basis promises; subclass it, give `basis` and a `finer` one of its kind."""

import itertools
import pickle

import numpy as np
import pytest


class StateBasisContract:
    """States (n, d) in [0, 1] to state functions (n, q); function 0 is the constant 1."""

    @pytest.fixture
    def basis(self):
        raise NotImplementedError

    @pytest.fixture
    def finer(self):
        raise NotImplementedError

    def test_shape_and_constant(self, basis, rng):
        values = basis.evaluate(rng.uniform(size=(7, basis.dims)))
        assert values.shape == (7, basis.n_functions)
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values[:, 0], 1)

    def test_orthonormal_for_the_uniform_density(self, basis):
        nodes, weights = np.polynomial.legendre.leggauss(40)
        nodes, weights = 0.5 * (nodes + 1), 0.5 * weights
        states = np.array(list(itertools.product(nodes, repeat=basis.dims)))
        weight = np.array([np.prod(w) for w in itertools.product(weights, repeat=basis.dims)])
        values = basis.evaluate(states.reshape(len(weight), basis.dims))
        gram = (values * weight[:, None]).T @ values
        np.testing.assert_allclose(gram, np.eye(basis.n_functions), atol=1e-10)

    def test_nested_in_a_finer_one(self, basis, finer, rng):
        states = rng.uniform(size=(9, basis.dims))
        rows = basis.nested_in(finer)
        np.testing.assert_array_equal(finer.evaluate(states)[:, rows], basis.evaluate(states))

    def test_pickles(self, basis):
        assert pickle.loads(pickle.dumps(basis)) == basis

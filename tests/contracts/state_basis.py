"""What every state basis promises; subclass it, give `basis` and a `finer` one of its kind."""

import pickle

import numpy as np
import pytest

from napari_hypermol.bases.state_algebra import embedding, gram, roughness
from napari_hypermol.errors import ShapeError


class StateBasisContract:
    """States (n, d) in [0, 1] to state functions (n, q); function 0 is the constant 1."""

    IS_ORTHONORMAL = True

    @pytest.fixture
    def basis(self):
        raise NotImplementedError

    @pytest.fixture
    def finer(self):
        raise NotImplementedError

    @pytest.fixture
    def states(self, basis, rng):
        return rng.uniform(size=(9, basis.dims))

    def test_shapes_and_constant(self, basis, states):
        values = basis.evaluate(states)
        assert values.shape == (9, basis.n_functions)
        assert basis.derivative(states).shape == (9, basis.n_functions, basis.dims)
        assert values.dtype == np.float64
        assert len(basis.kinds) == basis.dims
        np.testing.assert_array_equal(values[:, 0], 1)

    def test_degrees_count_from_the_constant(self, basis):
        assert len(basis.degrees) == basis.n_functions
        assert basis.degrees[0] == 0
        assert (basis.degrees[1:] > 0).all()
        assert (np.diff(basis.degrees) >= 0).all()

    def test_functions_are_independent(self, basis):
        assert np.linalg.eigvalsh(gram(basis))[0] > 0.01
        if self.IS_ORTHONORMAL:
            np.testing.assert_allclose(gram(basis), np.eye(basis.n_functions), atol=1e-10)

    def test_quadrature_is_that_of_a_fine_grid(self, basis):
        n = 400 if basis.dims == 1 else 120
        axis = (np.arange(n) + 0.5) / n
        grid = np.stack(np.meshgrid(*[axis] * basis.dims, indexing="ij"), axis=-1)
        states = grid.reshape(-1, basis.dims) if basis.dims else np.zeros((1, 0))
        values, slopes = basis.evaluate(states), basis.derivative(states)
        # midpoint rule: error of order (q / n)^2
        np.testing.assert_allclose(gram(basis), values.T @ values / len(states), atol=5e-3)
        dense = np.einsum("tqd,tpd->qp", slopes, slopes) / len(states)
        np.testing.assert_allclose(roughness(basis), dense, atol=5e-3 * max(abs(dense).max(), 1))

    def test_derivative_is_the_difference_quotient(self, basis, rng):
        # away from the kinks and jumps of piecewise functions, which lie at multiples of 1/60
        states = (rng.integers(0, 60, size=(9, basis.dims)) + rng.uniform(0.2, 0.8)) / 60
        step = 1e-5
        slopes = basis.derivative(states)
        for d in range(basis.dims):
            shift = step * np.eye(basis.dims)[d]
            quotient = (basis.evaluate(states + shift) - basis.evaluate(states - shift)) / (
                2 * step
            )
            np.testing.assert_allclose(slopes[:, :, d], quotient, rtol=1e-5, atol=1e-4)

    def test_capped_is_a_part(self, basis, states):
        for degree in range(int(basis.degrees.max()) + 2):
            coarse = basis.capped(degree)
            assert coarse.degrees.max() <= degree
            if degree:
                matrix = embedding(coarse, basis)
                np.testing.assert_allclose(
                    basis.evaluate(states) @ matrix, coarse.evaluate(states), atol=1e-9
                )
                assert np.count_nonzero(matrix) == coarse.n_functions
        assert basis.capped(0).dims == 0

    def test_embedded_in_a_finer_one(self, basis, finer, states):
        matrix = embedding(basis, finer)
        np.testing.assert_allclose(
            finer.evaluate(states) @ matrix, basis.evaluate(states), atol=1e-9
        )

    def test_constant_is_in_every_basis(self, basis):
        matrix = embedding(basis.capped(0), basis)
        np.testing.assert_array_equal(matrix, np.eye(basis.n_functions, 1))

    def test_table_covers_the_states(self, basis):
        table = basis.table(16)
        assert table.shape[1] == basis.dims
        assert len({tuple(row) for row in table}) == len(table)
        assert ((table >= 0) & (table <= 1)).all()

    def test_circles_close(self, basis, states):
        for axis, kind in enumerate(basis.kinds):
            if kind == "circle":
                round_once = states + np.eye(basis.dims)[axis]
                np.testing.assert_allclose(
                    basis.evaluate(states), basis.evaluate(round_once), atol=1e-9
                )

    def test_states_of_another_dimension_are_refused(self, basis):
        with pytest.raises(ShapeError, match=rf"expected \(n, {basis.dims}\)"):
            basis.evaluate(np.zeros((4, basis.dims + 1)))

    def test_pickles(self, basis):
        assert pickle.loads(pickle.dumps(basis)) == basis

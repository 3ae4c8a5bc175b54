"""What every spatial basis promises; subclass it and give the fixture `basis`."""

import pickle

import numpy as np
import pytest


class BasisContract:
    """Coefficients (q, k), densities (q, n, n, n), Fourier grids (z, y, x, q)."""

    N_FUNCTIONS = 3

    @pytest.fixture
    def basis(self):
        raise NotImplementedError

    @pytest.fixture
    def coefficients(self, basis, rng):
        return rng.normal(size=(self.N_FUNCTIONS, basis.n_coefficients))

    def test_evaluate_is_linear(self, basis, coefficients):
        a, b = coefficients, coefficients[::-1]
        whole = basis.evaluate(2 * a - 3 * b)
        np.testing.assert_allclose(whole, 2 * basis.evaluate(a) - 3 * basis.evaluate(b), atol=1e-12)

    def test_adjoint_of_evaluate(self, basis, coefficients, rng):
        values = basis.evaluate(coefficients)
        other = rng.normal(size=values.shape)
        left, right = (values * other).sum(), (coefficients * basis.evaluate_adjoint(other)).sum()
        np.testing.assert_allclose(left, right, rtol=1e-10)

    def test_expand_undoes_evaluate(self, basis, coefficients):
        values = basis.evaluate(coefficients)
        np.testing.assert_allclose(basis.expand(values), coefficients, rtol=1e-6, atol=1e-9)

    def test_fourier_grid_is_linear(self, basis, coefficients):
        a = coefficients.astype(np.float32)
        whole = basis.fourier_grid(2 * a - 3 * a[::-1])
        parts = 2 * basis.fourier_grid(a) - 3 * basis.fourier_grid(a[::-1])
        assert whole.dtype == np.complex64
        assert whole.shape == (*basis.grid_shape, self.N_FUNCTIONS)
        np.testing.assert_allclose(whole, parts, atol=1e-5 * abs(whole).max())

    def test_adjoint_of_fourier_grid(self, basis, coefficients, rng):
        a = coefficients.astype(np.float32)
        grid = basis.fourier_grid(a)
        # every stored entry counts, halos and both half spaces included
        other = rng.normal(size=(2, *grid.shape)).astype(np.float32)
        other = (other[0] + 1j * other[1]).astype(np.complex64)
        left = np.vdot(grid.astype(np.complex128), other).real
        back = basis.fourier_grid_adjoint(other)
        assert back.shape == a.shape
        right = (a.astype(np.float64) * back).sum()
        scale = np.linalg.norm(grid) * np.linalg.norm(other)  # the two sides nearly cancel
        np.testing.assert_allclose(left, right, atol=1e-6 * scale)
        aligned = basis.fourier_grid_adjoint(grid)  # here they do not: rtol of float32
        np.testing.assert_allclose((a * aligned).sum(), (abs(grid) ** 2).sum(), rtol=1e-4)

    def test_filtered_noise_has_the_covariance_of_the_filter(self, basis, rng):
        """Variance along directions of each function, and between two that the gain mixes."""
        roots = rng.normal(size=(basis.n_shells, 2, 2)) + 2 * np.eye(2)
        gain = np.einsum("spq,srq->spr", roots, roots)
        probes = rng.normal(size=(3, 2, basis.n_coefficients))
        probes[0, 1] = probes[1, 0] = 0
        filtered = np.array([basis.filter(probe, gain) for probe in probes])
        expected = np.einsum("iqk,jqk->ij", probes, filtered)
        noise = [basis.filtered_noise(rng, gain) for _ in range(400)]
        drawn = np.einsum("nqk,iqk->ni", noise, probes)
        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        # five standard errors of 400 draws; twice the variance would be twenty off
        assert (abs(drawn.T @ drawn / 400 - expected) < 5 * scale * np.sqrt(2 / 400)).all()

    def test_pickles(self, basis, coefficients):
        again = pickle.loads(pickle.dumps(basis))
        np.testing.assert_array_equal(again.evaluate(coefficients), basis.evaluate(coefficients))

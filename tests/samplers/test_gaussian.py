import numpy as np

from contracts.kernel import DrawContract, GaussianTargets
from napari_hypermol.samplers.gaussian import gaussian_draw


def identity(x):
    return x


class TestGaussianDraw(GaussianTargets, DrawContract):
    """All chains in one vector: their precisions are the blocks of one operator."""

    N_WARM_UP = 0
    N_STEPS = 100

    def begin(self, values, target):
        return values.reshape(-1)

    def value(self, chain):
        return chain.reshape(-1, 3)

    def step(self, rng, chain, target, step_size):
        root = np.linalg.cholesky(target.precision)

        def operator(x):
            return (x.reshape(-1, 3) @ target.precision).reshape(-1)

        def perturbation(rng):
            return (rng.standard_normal((self.N_CHAINS, 3)) @ root.T).reshape(-1)

        right = np.tile(target.precision @ target.mean, self.N_CHAINS)
        return gaussian_draw(rng, chain, operator, right, perturbation, identity, 20, 1e-8)


def test_covariance_is_the_inverse_of_the_normal_equations(rng):
    """A = F^T F + prior, perturbed as coefficients are: noise data through the adjoint."""
    forward, prior = rng.normal(size=(12, 5)), np.linspace(0.5, 2, 5)
    matrix = forward.T @ forward + np.diag(prior)
    right = forward.T @ rng.normal(size=12)

    def perturbation(rng):
        return forward.T @ rng.normal(size=12) + np.sqrt(prior) * rng.normal(size=5)

    value, draws = np.zeros(5), []
    for _ in range(4000):
        value, info = gaussian_draw(
            rng, value, matrix.dot, right, perturbation, lambda x: x / np.diag(matrix), 30
        )
        draws.append(value)
    assert info.residual <= 1e-6
    expected = np.linalg.inv(matrix)
    std = np.sqrt(np.diag(expected))
    # five standard errors of 4000 independent draws
    error = np.mean(draws, axis=0) - np.linalg.solve(matrix, right)
    np.testing.assert_array_less(abs(error), 5 * std / np.sqrt(4000))
    error = np.cov(np.transpose(draws)) - expected
    np.testing.assert_array_less(abs(error), 5 * np.outer(std, std) * np.sqrt(2 / 4000))
    # one draw does not remember the last, though the solve began there
    white = (draws - np.linalg.solve(matrix, right)) / std
    lagged = (white[1:] * white[:-1]).mean(axis=0)
    np.testing.assert_array_less(abs(lagged), 5 / np.sqrt(4000))

"""A small ball seen in twelve images, and the dense posterior of its coefficients."""

import numpy as np

from examples import one_ball, random_data, scene
from napari_hypermol.samplers.state_draws import StateDraw
from oracles.dft import cube_points
from oracles.normal_equations import dense_equations
from oracles.stationary_prior import stationary_precision
from small_problems import problem_of


class Tiny:
    """States and contrasts as drawn; precision and right-hand side of the coefficients."""

    def __init__(self, rng):
        here = scene(one_ball(12), 3)
        (basis,), images = here.molecule.bases, random_data(rng, 12, here.samples)
        self.problem = problem_of(here, images)
        contrasts = rng.uniform(0.8, 1.2, 12)
        c = np.stack([np.ones(12), rng.normal(size=12)], axis=1)
        self.drawn = StateDraw(
            np.zeros((12, 1), dtype=np.int64), c, contrasts, np.zeros(12), np.zeros((12, 1))
        )
        spectra = rng.uniform(0.5, 2, size=(2, basis.n_shells))
        self.priors = [np.einsum("qs,qp->sqp", 1 / spectra, np.eye(2))]
        points = cube_points(basis.size, basis.edge / basis.size)
        masses = basis.mask.ravel()[basis.inside] * (basis.edge / basis.size) ** 3
        first = contrasts[:, None] * c
        self.precision, self.right = dense_equations(
            points[basis.inside], masses, images.rotations,
            list(zip(here.samples.kx, here.samples.ky, strict=True)), 12, images.weights,
            images.data[:, 0] + 1j * images.data[:, 1], first,
            np.einsum("nq,nr->nqr", first, first),
        )  # fmt: skip
        k = basis.n_coefficients
        for q in range(2):
            own = slice(q * k, (q + 1) * k)
            self.precision[own, own] += stationary_precision(basis.size, basis.inside, spectra[q])

    def mean(self):
        """Of the posterior."""
        return np.linalg.solve(self.precision, self.right)

    def whitened(self, draws):
        """Draws less the mean, white if their covariance is the inverse of the precision."""
        return (np.asarray(draws) - self.mean()) @ np.linalg.cholesky(self.precision)

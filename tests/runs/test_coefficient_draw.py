import numpy as np
import pytest

from examples import one_ball, random_data, scene
from napari_hypermol.runs import coefficient_draw as module
from napari_hypermol.runs.coefficient_draw import coefficient_draw
from napari_hypermol.samplers.state_draws import StateDraw
from oracles.dft import cube_points
from oracles.normal_equations import dense_equations
from oracles.stationary_prior import stationary_precision
from small_problems import problem_of


class Tiny:
    """Twelve images of a small ball, and the dense posterior of its coefficients."""

    def __init__(self, rng):
        here = scene(one_ball(12), 3)
        (basis,), images = here.molecule.bases, random_data(rng, 12, here.samples)
        self.problem = problem_of(here, images)
        contrasts = rng.uniform(0.8, 1.2, 12)
        c = np.stack([np.ones(12), rng.normal(size=12)], axis=1)
        self.drawn = StateDraw(np.zeros((12, 1), dtype=np.int64), c, contrasts, np.zeros(12))
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

    def white(self, rng, n):
        """Draws less their mean, white if their covariance is the inverse of the precision."""
        mean = np.linalg.solve(self.precision, self.right)
        theta = self.problem.molecule.zeros()
        draws = []
        for _ in range(n):
            theta, info = coefficient_draw(
                rng, self.problem, theta, self.drawn, self.priors, 200, 1e-4
            )
            assert info.residual < 2e-4
            draws.append(theta - mean)
        return np.array(draws) @ np.linalg.cholesky(self.precision)


@pytest.mark.slow
def test_coefficients_have_mean_and_covariance_of_their_posterior(rng):
    white = Tiny(rng).white(rng, 120)
    # 5 standard errors of 120 draws, and the projector's 1 % on both sides
    k = white.shape[1]
    assert (white**2).mean() == pytest.approx(1, abs=5 * np.sqrt(2 / (120 * k)) + 0.02)
    np.testing.assert_array_less(abs(white.mean(axis=0)), 5 / np.sqrt(120) + 0.1)
    spectrum = np.linalg.eigvalsh(white.T @ white / 120)
    assert spectrum.max() < 1.2 * (1 + np.sqrt(k / 120)) ** 2  # Marchenko and Pastur's edge


def still(self, rng, gain):
    return np.zeros((gain.shape[1], self.n_coefficients), dtype=np.float32)


@pytest.mark.parametrize("left_out", ["data", "prior"])
def test_without_a_perturbation_draws_are_too_narrow(rng, left_out, monkeypatch):
    here = Tiny(rng)
    if left_out == "prior":
        monkeypatch.setattr(type(here.problem.molecule.bases[0]), "filtered_noise", still)
    else:
        images = module.image_adjoint
        monkeypatch.setattr(
            module, "image_adjoint",
            lambda part, *given: images(part, *given) * float(part.data is here.problem.images.data)
            if len(part.data) == 12 and np.shares_memory(part.data, here.problem.images.data)
            else 0 * images(part, *given),
        )  # fmt: skip
    white = here.white(rng, 20)
    assert (white**2).mean() < 0.93


def test_noise_is_sent_through_the_adjoint_in_chunks(rng, monkeypatch):
    here = Tiny(rng)
    arguments = (here.problem, here.problem.molecule.zeros(), here.drawn, here.priors, 200, 1e-5)
    one, _ = coefficient_draw(np.random.default_rng(3), *arguments)
    monkeypatch.setattr(module, "_CHUNK", 5)
    again, _ = coefficient_draw(np.random.default_rng(3), *arguments)
    np.testing.assert_allclose(again, one, atol=1e-3 * abs(one).max())

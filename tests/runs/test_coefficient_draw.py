import numpy as np
import pytest

from napari_hypermol.runs import coefficient_draw as module
from napari_hypermol.runs.coefficient_draw import coefficient_draw
from small_coefficients import Tiny


def white(here, rng, n):
    """Whitened draws, each solved for from the last."""
    theta, draws = here.problem.molecule.zeros(), []
    for _ in range(n):
        theta, info = coefficient_draw(rng, here.problem, theta, here.drawn, here.priors, 200, 1e-4)
        assert info.residual < 2e-4
        draws.append(theta)
    return here.whitened(draws)


@pytest.mark.slow
def test_coefficients_have_mean_and_covariance_of_their_posterior(rng):
    whitened = white(Tiny(rng), rng, 120)
    # 5 standard errors of 120 draws, and the projector's 1 % on both sides
    k = whitened.shape[1]
    assert (whitened**2).mean() == pytest.approx(1, abs=5 * np.sqrt(2 / (120 * k)) + 0.02)
    np.testing.assert_array_less(abs(whitened.mean(axis=0)), 5 / np.sqrt(120) + 0.1)
    spectrum = np.linalg.eigvalsh(whitened.T @ whitened / 120)
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
    assert (white(here, rng, 20) ** 2).mean() < 0.93


def test_noise_is_sent_through_the_adjoint_in_chunks(rng, monkeypatch):
    here = Tiny(rng)
    arguments = (here.problem, here.problem.molecule.zeros(), here.drawn, here.priors, 200, 1e-5)
    one, _ = coefficient_draw(np.random.default_rng(3), *arguments)
    monkeypatch.setattr(module, "_CHUNK", 5)
    again, _ = coefficient_draw(np.random.default_rng(3), *arguments)
    np.testing.assert_allclose(again, one, atol=1e-3 * abs(one).max())

import numpy as np
import pytest

from calibration_cases import calibration
from napari_hypermol.runs import draw_sweep as module
from napari_hypermol.runs.draw_sweep import DrawSettings, begun_chain, draw_sweep
from napari_hypermol.runs.progress import Reporter

SETTINGS = DrawSettings(solve_iterations=5)


@pytest.fixture(scope="module")
def case():
    return calibration.case_of(np.random.default_rng(5), n=20)


def begun(case, rng):
    return begun_chain(rng, case.problem, case.estimate, None, SETTINGS, Reporter())


def test_a_chain_begins_away_from_the_estimate(case, rng):
    chain = begun(case, rng)
    assert (chain.estimate.theta != case.estimate.theta).any()
    assert chain.drawn.contrasts.shape == (20,)
    assert (begun(case, rng).drawn.contrasts != chain.drawn.contrasts).any()


def test_a_sweep_draws_everything_once(case, rng):
    chain = begun(case, rng)
    after, info = draw_sweep(rng, chain, None, SETTINGS, Reporter())
    assert (after.drawn.contrasts != chain.drawn.contrasts).all()
    assert (after.estimate.noise != chain.estimate.noise).any()
    assert (after.estimate.theta != chain.estimate.theta).any()
    assert after.estimate.contrast_std != chain.estimate.contrast_std
    assert set(info.acceptance) == {"contrast spread"}
    assert info.log_prior < 0


def test_what_is_not_to_be_drawn_stays(case, rng):
    still = SETTINGS._replace(draws_noise=False, draws_contrast_std=False)
    chain = begun(case, rng)
    after, info = draw_sweep(rng, chain, None, still, Reporter())
    np.testing.assert_array_equal(after.estimate.noise, chain.estimate.noise)
    assert after.estimate.contrast_std == chain.estimate.contrast_std
    assert info.acceptance == {}


def test_the_empty_molecule_is_likeliest_under_the_power_of_the_images(case):
    inside = np.unique(case.problem.samples.shells)
    images, estimate = case.problem.images, case.estimate
    best = estimate.noise.copy()
    best[0, inside] = images.power.sum(axis=0)[inside] / images.fill.sum(axis=0)[inside]

    def density(noise):
        return module._base_log_likelihood(case.problem, estimate._replace(noise=noise))

    assert density(best) > density(1.05 * best)
    assert density(best) > density(0.95 * best)

import numpy as np
from scipy.stats import chi2, kstest

from calibration_cases import calibration
from napari_hypermol.runs.noise_draw import noise_draw
from napari_hypermol.samplers.state_draws import StateDraw


def test_noise_is_drawn_about_its_truth(rng):
    """Given the truth, residual power over the draw is a chi-square of the weights' sum."""
    case = calibration.case_of(rng, n=60)
    molecule = case.problem.molecule
    c = molecule.state_bases[0].evaluate(case.states)
    drawn = StateDraw(
        np.zeros((60, 1), dtype=np.int64), c, case.contrasts, np.zeros(60), np.zeros((60, 1))
    )
    draws = np.array([noise_draw(rng, case.problem, case.estimate, drawn) for _ in range(200)])
    inside = np.unique(case.problem.samples.shells)
    freedom = case.problem.images.fill.sum(axis=0)[inside]
    levels = draws[:, 0, inside]
    # the truth, 1, is as likely anywhere among the draws; 5 standard errors
    np.testing.assert_array_less(abs(np.log(levels).mean(axis=0)), 5 * np.sqrt(2 / freedom))
    # the residual power itself, to 3 standard errors of 200 draws
    power = freedom[1] / (1 / levels[:, 1]).mean()
    assert kstest(chi2.cdf(power / levels[:, 1], freedom[1]), "uniform").pvalue > 1e-4
    outside = np.setdiff1d(np.arange(draws.shape[2]), inside)
    np.testing.assert_array_equal(draws[:, 0, outside], 1)

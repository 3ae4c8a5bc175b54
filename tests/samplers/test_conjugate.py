import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2, kstest, norm, truncnorm

from napari_hypermol.errors import DensityError
from napari_hypermol.posterior.states import contrast_moments
from napari_hypermol.samplers.conjugate import (
    categorical,
    contrast_spread,
    contrasts,
    noise_spectra,
    spread_start,
)

SMALLEST_P = 1e-4  # of Kolmogorov-Smirnov tests; some 20 in all, seeds fixed


def test_categorical_inverts_the_sums():
    table = np.log([[0.2, 0.5, 0.3]]).repeat(6, axis=0)
    uniforms = np.array([0, 0.1999, 0.2001, 0.6999, 0.7001, 0.9999])
    np.testing.assert_array_equal(categorical(uniforms, table), [0, 0, 1, 1, 2, 2])


def test_categorical_frequencies(rng):
    p = np.array([0.05, 0.0, 0.6, 0.35])
    with np.errstate(divide="ignore"):
        table = np.log(p)[None].repeat(40_000, axis=0) + 1000 * rng.normal(size=(40_000, 1))
    counts = np.bincount(categorical(rng.random(40_000), table), minlength=4)
    assert (abs(counts - 40_000 * p) <= 5 * np.sqrt(40_000 * p)).all()


def test_categorical_never_draws_what_has_no_probability():
    with np.errstate(divide="ignore"):
        table = np.log([[0.0, 1 / 3, 0.0, 2 / 3, 0.0]]).repeat(2, axis=0)
    ends = np.array([0.0, np.nextafter(1, 0)])
    np.testing.assert_array_equal(categorical(ends, table), [1, 3])


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_table_without_a_largest_entry_is_an_error(bad):
    table = np.zeros((3, 2))
    table[1] = bad
    with pytest.raises(DensityError, match="table 1 of 3"):
        categorical(np.zeros(3), table)


@pytest.mark.parametrize(
    ("linear", "square", "std"),
    [(40.0, 50.0, 0.2), (0.0, 4.0, 0.5), (-30.0, 5.0, 0.5), (-400.0, 10.0, 1.0)],
)
def test_contrasts_are_truncated_normal(rng, linear, square, std):
    n = 20_000
    drawn = contrasts(rng.random(n), np.full(n, linear), np.full(n, square), std)
    precision = square + 1 / std**2
    centre, spread = (linear + 1 / std**2) / precision, precision**-0.5
    exact = truncnorm(-centre / spread, np.inf, centre, spread)
    assert kstest(drawn, exact.cdf).pvalue > SMALLEST_P
    # and the moments that the tables integrate with; five standard errors
    _, mean, mean_square = contrast_moments(linear, square, std)
    assert abs(drawn.mean() - mean) < 5 * drawn.std() / np.sqrt(n)
    assert abs((drawn**2).mean() - mean_square) < 5 * (drawn**2).std() / np.sqrt(n)
    # a wrong spread is noticed
    wrong = truncnorm(-centre / (1.1 * spread), np.inf, centre, 1.1 * spread)
    assert kstest(drawn, wrong.cdf).pvalue < SMALLEST_P


@pytest.mark.parametrize("linear", [-9.9e3, -1.01e4, -1e8])
def test_contrasts_far_in_the_tail(rng, linear):
    """Nearly exponential with the slope of the log density at zero, on both sides of the switch."""
    drawn = contrasts(rng.random(20_000), np.full(20_000, linear), np.zeros(20_000), 1.0)
    assert kstest(drawn * -(linear + 1), "expon").pvalue > SMALLEST_P


def test_contrasts_at_the_ends_and_known_ones():
    ends = np.array([0.0, np.nextafter(1, 0)])
    for linear in (-1e9, -5.0, 50.0, 1e6):
        drawn = contrasts(ends, np.full(2, linear), np.full(2, 3.0), 0.3)
        assert np.isfinite(drawn).all()
        assert (drawn >= 0).all()
    np.testing.assert_array_equal(contrasts(ends, ends, ends, 0.0), 1)


def test_noise_spectra_are_scaled_inverse_chi_square(rng):
    power = np.array([[30.0, 8.0]])
    degrees = np.array([[20.0, 3.0]])
    drawn = np.array([noise_spectra(rng, power, degrees)[0] for _ in range(5000)])
    for shell in range(2):
        scaled = power[0, shell] / drawn[:, shell]
        assert kstest(scaled, chi2(degrees[0, shell]).cdf).pvalue > SMALLEST_P
        assert kstest(scaled, chi2(degrees[0, shell] + 1).cdf).pvalue < SMALLEST_P


def test_noise_spectra_recover_the_noise(rng):
    """Residuals of white noise of known variance: draws lie about it as far as they say."""
    truth = np.array([[0.5, 2.0, 8.0], [1.0, 1.0, 3.0]])
    degrees = np.array([[200.0, 1000, 4000], [50, 400, 900]])
    power = truth * rng.chisquare(degrees)
    drawn = np.array([noise_spectra(rng, power, degrees) for _ in range(1000)])
    distance = (drawn.mean(axis=0) - truth) / drawn.std(axis=0)
    assert abs(distance).max() < 4
    np.testing.assert_allclose(drawn.std(axis=0) / truth, np.sqrt(2 / degrees), rtol=0.3)


def test_noise_prior_fills_empty_shells_and_its_absence_is_an_error(rng):
    power, degrees = np.array([[4.0, 0.0]]), np.array([[3.0, 0.0]])
    drawn = [noise_spectra(rng, power, degrees, 2.0, 400.0)[0, 1] for _ in range(200)]
    assert np.mean(drawn) == pytest.approx(2.0, rel=0.03)
    with pytest.raises(DensityError, match="group 0, shell 1"):
        noise_spectra(rng, power, degrees)


class TestContrastSpread:
    PRIOR_STD, PRIOR_DEGREES = 0.4, 3.0

    def density(self, std, values, is_truncated=True):
        """Of the standard deviation, written out: prior on the variance, likelihood, truncation."""
        variance = std**2
        log = -(self.PRIOR_DEGREES / 2 + 1) * np.log(variance)
        log += -self.PRIOR_DEGREES * self.PRIOR_STD**2 / (2 * variance) + np.log(2 * std)
        log += norm.logpdf(values[:, None], 1, std).sum(axis=0)
        if is_truncated:
            log -= len(values) * norm.logcdf(1 / std)
        return np.exp(log - log.max())

    def mean(self, values, is_truncated=True):
        grid = np.linspace(0.05, 8, 8000)
        p = self.density(grid, values, is_truncated)
        return (grid * p).sum() / p.sum()

    def draws(self, rng, values, n):
        chain, found, rates = spread_start(0.3, values), [], []
        for _ in range(n):
            chain, info = contrast_spread(rng, chain, values, self.PRIOR_STD, self.PRIOR_DEGREES)
            found.append(chain.value[0])
            rates.append(info.acceptance_rate[0])
        return np.array(found), np.mean(rates)

    def test_mean_is_that_of_the_density(self, rng):
        """Contrasts as wide as 0.8, where the truncation matters."""
        values = truncnorm(-1 / 0.8, np.inf, 1, 0.8).rvs(40, random_state=rng)
        found, rate = self.draws(rng, values, 8000)
        batches = found[200:].reshape(-1, 100).mean(axis=1)
        error = batches.std(ddof=1) / np.sqrt(len(batches))
        expected = self.mean(values)
        assert abs(found[200:].mean() - expected) < 4.5 * error
        assert rate > 0.3
        assert abs(self.mean(values, is_truncated=False) - expected) > 9 * error  # it does matter

    def test_narrow_contrasts_are_drawn_exactly(self, rng):
        values = 1 + 0.1 * rng.normal(size=500)
        found, rate = self.draws(rng, values, 300)
        assert rate > 0.999
        assert found.mean() == pytest.approx(self.mean(values), rel=0.01)


def test_density_of_the_test_is_normalisable():
    values = np.array([0.9, 1.2])
    found = TestContrastSpread().density(np.array([1e2, 1e3]), values)
    assert found[1] < 1e-4 * found[0]
    assert (
        quad(lambda s: TestContrastSpread().density(np.array([s, 0.3]), values)[0], 0.1, 5)[0] > 0
    )

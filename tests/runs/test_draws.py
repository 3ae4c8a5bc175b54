import threading

import numpy as np
import pytest
from scipy.stats import chi2, kstest

from calibration_cases import calibration
from examples import one_ball, pretzel_like, random_data, scene
from napari_hypermol.errors import RunCancelled
from napari_hypermol.imaging.forward import shell_sums
from napari_hypermol.runs import draws as module
from napari_hypermol.runs.draws import (
    DrawSettings,
    coefficient_draw,
    noise_draw,
    sample_posterior,
)
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.sweep import Estimate, StageProblem
from napari_hypermol.samplers.state_draws import StateDraw
from oracles.dft import cube_points
from oracles.normal_equations import dense_equations
from oracles.stationary_prior import stationary_precision

BRIEF = DrawSettings(n_chains=2, n_warm_up=1, n_draws=3, solve_iterations=5)


def problem_of(here, images):
    fill = np.maximum(np.bincount(here.samples.shells, here.samples.weights), 1e-12)
    mean_weights = shell_sums(images.weights, here.samples, len(fill)) / fill
    shifts = np.zeros((len(mean_weights), 2))
    return StageProblem(images, here.molecule, here.samples, mean_weights, 3.0, shifts)


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


def test_noise_is_drawn_about_its_truth(rng):
    """Given the truth, residual power over the draw is a chi-square of the weights' sum."""
    case = calibration.case_of(rng, n=60)
    molecule = case.problem.molecule
    c = molecule.state_bases[0].evaluate(case.states)
    drawn = StateDraw(np.zeros((60, 1), dtype=np.int64), c, case.contrasts, np.zeros(60))
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


@pytest.fixture(scope="module")
def near():
    """A case with poses nearly known."""
    return calibration.case_of(np.random.default_rng(5), n=20, has_poses=True)


def test_shapes_and_summaries(near):
    rng = np.random.default_rng(1)
    settings = BRIEF._replace(poses=calibration.PoseSettings("refine", "refine", 0.07, 0.7))
    draws = sample_posterior(
        near.problem, near.estimate, settings, calibration.SHOWN, rng, near.prior
    )
    assert draws.states.shape == (2, 3, 20, 1)
    assert draws.contrasts.shape == draws.rotation_angles.shape == (2, 3, 20)
    assert draws.shifts.shape == (2, 3, 20, 2)
    assert draws.map_std.shape == (5, 24, 24, 24)
    assert draws.log_density.shape == draws.noise_level.shape == (2, 3)
    assert draws.map_power.shape[:2] == (2, 3)
    assert 0 <= draws.states.min() <= draws.states.max() <= 1
    np.testing.assert_allclose(draws.occupancies.sum(axis=-1), 1, rtol=1e-5)
    assert set(draws.acceptance) == {"poses", "contrast spread"}
    assert (draws.rotation_std > 0).all()
    assert (draws.shift_std > 0).all()
    assert (draws.log_density < draws.log_likelihood).all()


def test_same_seed_same_draws(near, monkeypatch):
    known = near._replace(prior=None)

    def drawn(seed):
        return calibration.draws_of(known, np.random.default_rng(seed), 2, 1)

    one, other = drawn(3), drawn(4)
    monkeypatch.setattr(module, "_CHUNK", 7)  # noise is drawn in chunks
    again = drawn(3)
    # float32 sums in another order
    np.testing.assert_allclose(again.contrasts, one.contrasts, rtol=1e-3)
    assert abs(other.contrasts - one.contrasts).max() > 0.05


def test_maps_are_averaged_over_draws(near, monkeypatch):
    seen = []
    volume = HyperMaps.volume
    monkeypatch.setattr(HyperMaps, "volume", lambda *given: seen.append(volume(*given)) or seen[-1])
    known = near._replace(prior=None)
    draws = calibration.draws_of(known, np.random.default_rng(3), 4, 0, n_chains=2)
    volumes = np.array(seen).reshape(8, 5, 24, 24, 24)
    np.testing.assert_allclose(draws.map_mean, volumes.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(draws.map_std, volumes.std(axis=0, ddof=1), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("degree", [0, 1])
def test_rigid_molecules_and_two_states(rng, degree):
    here = scene(pretzel_like(16, degree=1), 4, degree)
    problem = problem_of(here, random_data(rng, 10, here.samples))
    spectra = [np.ones((q, b.n_shells)) for (q, _), b in
               zip(here.molecule.set_shapes, here.molecule.bases, strict=True)]  # fmt: skip
    noise = np.ones((1, problem.images.power.shape[1]))
    estimate = Estimate(here.molecule.zeros(), spectra, noise, 0.1)
    shown = np.full((1, 2), 0.5)
    draws = sample_posterior(problem, estimate, BRIEF, shown, rng)
    assert draws.states.shape == (2, 3, 10, 2 * degree)
    assert draws.occupancies.shape == (2, 3, 2 * degree, module.OCCUPANCY_BINS)
    assert np.isfinite(draws.log_density).all()


def test_stops_when_told(near):
    stop = threading.Event()
    stop.set()
    with pytest.raises(RunCancelled):
        sample_posterior(
            near.problem, near.estimate, BRIEF, calibration.SHOWN, np.random.default_rng(0),
            reporter=Reporter(None, stop),
        )  # fmt: skip


@pytest.mark.slow
def test_intervals_cover():
    """Four small cases; the benchmark has more and larger ones."""
    rows = []
    for number in range(4):
        rng = np.random.default_rng(number)
        case = calibration.case_of(rng, n=80, box=16, radius=3.5)
        rows.append(calibration.coverage(case, calibration.draws_of(case, rng, 40, 6)))
    states, voxels = ([row[key] for row in rows] for key in ("states", "voxels"))
    # 320 states of binomial error, wider for what they share; neighbouring voxels err together
    assert np.mean(states) == pytest.approx(0.9, abs=0.08)
    assert np.mean(voxels) == pytest.approx(0.9, abs=0.12)

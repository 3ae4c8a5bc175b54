import threading

import numpy as np
import pytest

from calibration_cases import calibration
from examples import pretzel_like, random_data, scene
from napari_hypermol.errors import RunCancelled
from napari_hypermol.runs import draws as module
from napari_hypermol.runs.control import Control
from napari_hypermol.runs.draw_sweep import DrawSettings
from napari_hypermol.runs.draws import sample_posterior
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.stage_problem import Estimate
from small_problems import problem_of

BRIEF = DrawSettings(n_chains=2, n_warm_up=1, n_draws=3, solve_iterations=5)


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


def test_same_seed_same_draws(near):
    known = near._replace(prior=None)

    def drawn(seed):
        return calibration.draws_of(known, np.random.default_rng(seed), 2, 1)

    one, other = drawn(3), drawn(4)
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
            reporter=Reporter(None, Control(stop)),
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

import threading

import numpy as np
import pytest
from scipy.stats import spearmanr

from black_boxes import Dot
from napari_hypermol.errors import BlackBoxError, ParticleFileError, RecipeError, RunCancelled
from napari_hypermol.runs.chunks import starting_noise
from napari_hypermol.runs.control import Control
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.recover_black_box import (
    BlackBoxSettings,
    black_box_posterior,
    recover_black_box,
)
from napari_hypermol.synthetic.known_black_box import KnownBlackBox
from napari_hypermol.synthetic.simulate import Simulation, simulated_particles

TRUE = np.array([2.0, -1.0, 0.5, 4.0, 3.0, -2.0])
PLAN = Simulation("dot", n=80, box_size=16, pixel_size=6.0, snr=1.0, shift_std=1.0, seed=4)
SETTINGS = BlackBoxSettings(resolutions=(30, 18), n_states=12, steps=20)


class Scaled(Dot):
    """A dot whose log mass is unknown too, last of theta."""

    def __init__(self):
        super().__init__()
        self.n_coefficients = 7

    def slices(self, theta, *arguments):
        return np.exp(theta[6]) * super().slices(theta[:6], *arguments)

    def slices_adjoint(self, theta, values, *arguments):
        first = np.exp(theta[6]) * super().slices_adjoint(theta[:6], values, *arguments)
        return np.append(first, np.vdot(self.slices(theta, *arguments), values).real)

    def log_prior(self, theta):
        std = np.array([3.0] * 6 + [2.0])
        return -0.5 * float(((theta / std) ** 2).sum()), -theta / std**2


@pytest.fixture(scope="module")
def data():
    return simulated_particles(PLAN, KnownBlackBox(Dot(), TRUE))


@pytest.fixture(scope="module")
def start():
    return np.array([0.5, 0.5, -0.5, 1.0, -0.5, 0.5, 0.0])


@pytest.fixture(scope="module")
def found(data, start):
    return recover_black_box(data[0], Scaled(), start, SETTINGS, np.random.default_rng(0))


def test_finds_the_molecule_and_the_states(data, found):
    sign = np.sign(spearmanr(found.state_mean[:, 0], data[1].states[:, 0])[0])
    np.testing.assert_allclose(found.theta[:3], TRUE[:3], atol=0.3)  # [voxels]
    np.testing.assert_allclose(sign * found.theta[3:6], TRUE[3:], atol=0.6)
    states = found.state_mean if sign > 0 else 1 - found.state_mean
    assert spearmanr(states[:, 0], data[1].states[:, 0])[0] > 0.9
    z = (states - data[1].states) / np.maximum(found.state_std, 1 / 24)  # half a step of the grid
    assert np.sqrt((z**2).mean()) == pytest.approx(1, abs=0.4)
    assert found.contrast_mean.mean() == pytest.approx(1, abs=0.05)
    assert (found.contrast_std > 0).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)


def test_noise_is_that_of_the_images(found):
    """Unit variance was added."""
    inside = slice(1, 5)
    np.testing.assert_allclose(found.noise[0, inside], 1, atol=0.3)


def test_every_climb_goes_up(data, start, found):
    particles, _ = data
    stack = read_fourier_stack(particles, 16 * 6 / 18)
    noise = found.noise
    posterior = black_box_posterior(particles, stack, Scaled(), 16 * 6 / 18, noise)
    assert posterior.log_density(found.theta) > posterior.log_density(start) + 100
    assert [entry["resolution"] for entry in found.trace] == [30, 30, 18, 18]
    assert starting_noise(particles, stack)[0, 1:5].mean() > noise[0, 1:5].mean()


def test_same_seed_same_result(data, start, found):
    again = recover_black_box(data[0], Scaled(), start, SETTINGS, np.random.default_rng(0))
    np.testing.assert_array_equal(again.theta, found.theta)


def test_best_of_several_starts_is_followed(data, start):
    # far outside the box there is no gradient to follow back
    lost = np.array([40.0, 40, 40, 0, 0, 0, -3])
    few = SETTINGS._replace(resolutions=(30,), sweeps=1, steps=5)
    rng = np.random.default_rng(0)
    found = recover_black_box(data[0], Scaled(), np.stack([lost, start]), few, rng)
    heights = [entry["log_density"] for entry in found.trace]
    assert heights[1] > heights[0]
    assert abs(found.theta[:3]).max() < 8


def test_known_contrasts_stay_known(data, start):
    few = SETTINGS._replace(resolutions=(30,), sweeps=1, steps=2, contrast_std=0.0)
    found = recover_black_box(data[0], Scaled(), start, few, np.random.default_rng(0))
    np.testing.assert_allclose(found.contrast_mean, 1, rtol=1e-12)
    np.testing.assert_allclose(found.contrast_std, 0, atol=1e-7)  # root of rounding


def test_stops_when_told(data, start):
    stop = threading.Event()
    reports = []

    def on_progress(progress):
        reports.append(progress)
        stop.set()

    with pytest.raises(RunCancelled):
        recover_black_box(
            data[0], Scaled(), start, SETTINGS, np.random.default_rng(0),
            Reporter(on_progress, Control(stop)),
        )  # fmt: skip
    assert len(reports) == 1
    assert "log density" in reports[0].message


def test_uses_nothing_but_the_protocol(data, start):
    """A molecule with the six members and no other."""
    dot = Scaled()

    class Bare:
        __slots__ = ()
        box_size, dims, n_coefficients = dot.box_size, dot.dims, dot.n_coefficients
        slices = staticmethod(dot.slices)
        slices_adjoint = staticmethod(dot.slices_adjoint)
        log_prior = staticmethod(dot.log_prior)

    few = SETTINGS._replace(resolutions=(30,), sweeps=1, steps=2)
    found = recover_black_box(data[0], Bare(), start, few, np.random.default_rng(0))
    assert np.isfinite(found.log_density)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"resolutions": ()}, "expected one or more"),
        ({"resolutions": (20, -1)}, "expected one or more"),
        ({"sweeps": 0}, "expected at least 1"),
        ({"contrast_std": -0.1}, "expected at least 1"),
    ],
)
def test_impossible_settings_are_refused(data, start, settings, sentence):
    with pytest.raises(RecipeError, match=sentence):
        recover_black_box(
            data[0], Scaled(), start, SETTINGS._replace(**settings), np.random.default_rng(0)
        )


def test_unfit_particles_are_refused(data, start):
    rng = np.random.default_rng(0)
    with pytest.raises(ParticleFileError, match="known poses"):
        recover_black_box(data[0]._replace(rotations=None), Scaled(), start, SETTINGS, rng)
    small = Scaled()
    small.box_size = 12
    with pytest.raises(BlackBoxError, match="box_size is 12, the images have 16"):
        recover_black_box(data[0], small, start, SETTINGS, rng)


def test_overflow_on_the_way_is_said(data, start):
    molecule = Scaled()
    calls = []

    def slices(*arguments):
        calls.append(1)
        return Scaled.slices(molecule, *arguments) * (np.nan if len(calls) > 40 else 1)

    molecule.slices = slices
    with pytest.raises(BlackBoxError, match="not finite on the way up"):
        recover_black_box(data[0], molecule, start, SETTINGS, np.random.default_rng(0))

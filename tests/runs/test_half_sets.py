import numpy as np
import pytest

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io import read_particles
from napari_hypermol.runs.chunks import read_fourier_stack
from napari_hypermol.runs.half_sets import half_set_fsc, half_set_rows
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.recipe import composite_of, read_recipe
from napari_hypermol.runs.recover import RecoverySettings
from napari_hypermol.schedules.stage import Stage
from small_runs import PRETZEL

STAGES = [
    Stage("mean", 9.0, 0, sweeps=2, solve_iterations=8),
    Stage("states", 9.0, 1, sweeps=8, kindled_sweeps=6),
    Stage("more", 9.0, 3, sweeps=3),
]


@pytest.fixture(scope="module")
def particles(pretzel_run):
    return read_particles(pretzel_run.data / "particles.star").particles


def halves_of(particles, folder, seed=0):
    recipe = read_recipe(folder / "recipe.yaml")
    composite = composite_of(recipe, folder, PRETZEL.box_size, PRETZEL.pixel_size)
    stack = read_fourier_stack(particles, 9.0)
    reporter = Reporter()
    settings = RecoverySettings(STAGES)
    return half_set_fsc(particles, stack, composite, settings, seed, reporter)


def test_two_halves_agree_state_by_state(particles, pretzel_run):
    result = halves_of(particles, pretzel_run.data)
    states, curves = np.array(result["states"]), np.array(result["fsc"])
    assert states.shape == (10, 2)
    np.testing.assert_allclose(states[:5, 0], np.linspace(0.1, 0.9, 5))
    assert (states[:5, 1] == 0.5).all()
    assert curves.shape == (10, PRETZEL.box_size // 2 + 1)
    # 150 particles at SNR 1: far more signal than noise at low resolution, whatever the state
    assert curves[:, 1:5].mean() > 0.95
    assert curves[:, 1:5].min() > 0.85
    edge = PRETZEL.box_size * PRETZEL.pixel_size
    # never finer than the band limit, beyond which the halves share the edge of their supports
    assert all(edge / 9 <= r <= edge / 6 for r in result["resolution"])
    assert result["threshold"] == 0.143


def test_halves_are_those_of_the_file(particles):
    one, two = half_set_rows(particles)
    np.testing.assert_array_equal(one, np.arange(0, 300, 2))
    np.testing.assert_array_equal(two, np.arange(1, 300, 2))
    halves = np.repeat([2, 1], 150)
    one, two = half_set_rows(particles._replace(half_sets=halves))
    np.testing.assert_array_equal(two, np.arange(150))


def test_without_halves_every_other_particle(particles):
    one, two = half_set_rows(particles._replace(half_sets=None))
    np.testing.assert_array_equal(one, np.arange(0, 300, 2))
    assert len(one) + len(two) == 300


@pytest.mark.parametrize(
    "halves", [np.ones(300, int), np.arange(300) // 290 + 1, np.zeros(300, int)]
)
def test_halves_must_be_two(particles, halves):
    with pytest.raises(ParticleFileError, match="expected two halves of similar size"):
        half_set_rows(particles._replace(half_sets=halves))

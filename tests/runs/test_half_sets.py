import numpy as np
import pytest

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io import read_particles
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.from_recipe import composite_of
from napari_hypermol.runs.half_sets import (
    half_set_fsc,
    half_set_rows,
    same_state,
    states_compared,
)
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.recipe_text import read_recipe, recipe_from
from napari_hypermol.runs.snapshot import RecoverySettings
from napari_hypermol.runs.state_axes import StateAxis
from napari_hypermol.schedules.stage import Stage
from small_runs import MIXED, PRETZEL

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


# ---- which state of one half is which of the other ----------------------------------------------

RANGE = StateAxis("tau1", "arm")
CIRCLE = StateAxis("tau1", "wheel", "circle")
CLASSES = StateAxis("tau1", "lobe", "class", 4)


def test_states_compared_by_kind():
    states = np.array(states_compared([RANGE, CIRCLE, CLASSES]))
    assert states.shape == (5 + 5 + 4, 3)
    np.testing.assert_allclose(states[:5, 0], [0.1, 0.3, 0.5, 0.7, 0.9])
    np.testing.assert_allclose(states[5:10, 1], [0, 0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(states[10:, 2], [0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(states[:10, 2], 0.625)  # the others stay half way
    np.testing.assert_allclose(states[5:, 0], 0.5)
    assert states_compared([]) == [[]]


def test_a_range_may_run_the_other_way(rng):
    one = rng.random(200)
    noise = 0.1 * rng.normal(size=200)
    assert same_state(RANGE, one, one**2 + noise)(0.2) == 0.2
    assert same_state(RANGE, one, 1 - one**2 + noise)(0.2) == pytest.approx(0.8)
    assert same_state(RANGE, one, np.full(200, 0.5))(0.2) == 0.2  # nothing to go by


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("offset", [0.0, 0.3, 0.95])
def test_a_circle_may_begin_elsewhere(rng, direction, offset):
    one = rng.random(400)
    two = (direction * one + offset + 0.05 * rng.normal(size=400)) % 1
    partner = same_state(CIRCLE, one, two)
    for state in (0.0, 0.2, 0.9):
        difference = (partner(state) - (direction * state + offset) + 0.5) % 1 - 0.5
        # the mean of 400 phases with a spread of 0.05: 0.0025; four of those
        assert abs(difference) < 0.01
        assert 0 <= partner(state) < 1


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1], [3, 2, 1, 0]])
def test_classes_may_come_in_another_order(rng, order):
    first = rng.integers(0, 4, 400)
    second = np.where(rng.random(400) < 0.2, rng.integers(0, 4, 400), np.array(order)[first])
    partner = same_state(CLASSES, (first + 0.5) / 4, (second + 0.5) / 4)
    found = [partner((k + 0.5) / 4) for k in range(4)]
    np.testing.assert_allclose(found, (np.array(order) + 0.5) / 4)


def test_a_class_without_particles_still_has_a_partner():
    first = np.array([0, 0, 1, 1, 2, 2])
    partner = same_state(CLASSES, (first + 0.5) / 4, ((first + 1) % 4 + 0.5) / 4)
    found = sorted(partner((k + 0.5) / 4) for k in range(4))
    np.testing.assert_allclose(found, [0.125, 0.375, 0.625, 0.875])


def test_halves_with_every_kind(particles, pretzel_run):
    """Of a molecule with a circle, three classes and a position; 300 particles, one band limit."""
    recipe = read_recipe(pretzel_run.data / "recipe.yaml")
    recipe = recipe_from(recipe.model_dump(exclude_unset=True) | {"components": MIXED})
    composite = composite_of(recipe, pretzel_run.data, PRETZEL.box_size, PRETZEL.pixel_size)
    stack = read_fourier_stack(particles, 9.0)
    brief = [Stage("mean", 6.0, 0, sweeps=1), Stage("states", 6.0, 1, sweeps=2)]
    result = half_set_fsc(particles, stack, composite, RecoverySettings(brief), 0, Reporter())
    assert np.shape(result["states"]) == (5 + 3 + 5, 3)
    curves = np.array(result["fsc"])
    assert np.isfinite(curves).all()
    assert curves[:, 1].min() > 0.9  # the shared bulk of the molecule

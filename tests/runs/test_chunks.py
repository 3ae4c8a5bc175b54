import numpy as np
import pytest

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.io import read_particles
from napari_hypermol.io.stack import images_in_memory
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.runs.chunks import stage_problem, starting_noise
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.from_recipe import composite_of
from napari_hypermol.runs.noise_step import residual_noise
from napari_hypermol.runs.recipe_text import read_recipe

RADIUS = 8.0


@pytest.fixture(scope="module")
def particles(tiny_run):
    return read_particles(tiny_run.data / "particles.star").particles


@pytest.fixture(scope="module")
def stack(particles):
    return read_fourier_stack(particles, RADIUS)


@pytest.fixture(scope="module")
def molecule(tiny_run):
    recipe = read_recipe(tiny_run.data / "recipe.yaml")
    return composite_of(recipe, tiny_run.data, 24, 8.0).discretise(6.0, 1)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunk_size_has_no_effect_on_a_stage(particles, stack, molecule, chunk):
    noise, rows = starting_noise(particles, stack), np.arange(60)
    whole = stage_problem(particles, stack, molecule, 6.0, noise, rows)
    parts = stage_problem(particles, stack, molecule, 6.0, noise, rows, chunk)
    for name in ("data", "weights", "power", "fill", "rotations", "groups"):
        np.testing.assert_array_equal(getattr(parts.images, name), getattr(whole.images, name))
    np.testing.assert_array_equal(parts.mean_weights, whole.mean_weights)


def test_rows_are_those_asked_for(particles, stack, molecule):
    noise, rows = starting_noise(particles, stack), np.array([40, 2, 17])
    whole = stage_problem(particles, stack, molecule, 6.0, noise, np.arange(60))
    some = stage_problem(particles, stack, molecule, 6.0, noise, rows)
    np.testing.assert_array_equal(some.images.data, whole.images.data[rows])
    np.testing.assert_array_equal(
        some.images.rotations, particles.rotations[rows].astype(np.float32)
    )
    np.testing.assert_array_equal(some.mean_weights, whole.mean_weights[rows])


def test_a_stage_sees_the_samples_inside_its_band_limit(particles, stack, molecule):
    """As if the stack had been read at the stage's own band limit."""
    noise, rows = starting_noise(particles, stack), np.arange(60)
    direct = read_fourier_stack(particles, 6.0)
    one = stage_problem(particles, stack, molecule, 6.0, noise, rows)
    two = stage_problem(particles, direct, molecule, 6.0, noise, rows)
    np.testing.assert_array_equal(one.images.data, two.images.data)
    expected = fourier_samples(24, 6.0)
    np.testing.assert_array_equal(one.samples.kx, expected.kx)


def test_spectra_of_earlier_versions_had_more_shells(particles, stack, molecule):
    """To the corner of the box, with nothing in them."""
    noise, rows = starting_noise(particles, stack), np.arange(60)
    longer = np.concatenate([noise, np.full((1, 4), 1e-3)], axis=1)
    one = stage_problem(particles, stack, molecule, 6.0, noise, rows)
    two = stage_problem(particles, stack, molecule, 6.0, longer, rows)
    for name, column in one.images._asdict().items():
        np.testing.assert_array_equal(getattr(two.images, name), column)


def test_no_more_shells_than_samples_but_empty_ones(particles, molecule):
    """Weights are interpolated: past the last shell they fall to zero, as they did with all."""
    stack = read_fourier_stack(particles, 6.0)
    last = int(stack.samples.shells.max())
    assert stack.n_shells == last + 3 < stack.samples.box_size // 2 + 1
    noise, rows = starting_noise(particles, stack), np.arange(60)
    weights = stage_problem(particles, stack, molecule, 6.0, noise, rows).mean_weights
    assert (weights[:, 1:last] > 0).all()
    assert not weights[:, last + 1 :].any()


def test_starting_noise_is_all_the_power(particles, stack):
    noise = starting_noise(particles, stack)
    assert noise.shape == (1, stack.n_shells)
    assert (noise > 0.5).all()  # noise of variance 1, and the signal
    shell = stack.samples.shells == 4
    weights = stack.samples.weights[shell]
    mean = (abs(stack.values[:, shell]) ** 2 * weights).sum() / (60 * weights.sum())
    assert noise[0, 4] == pytest.approx(mean, rel=1e-4)


def test_unit_noise_is_one_in_a_shell_that_lies_half_inside(particles, rng):
    """The stack's last shell of a stage goes on beyond its band limit: its power must not."""
    noise_only = particles._replace(
        images=images_in_memory(rng.standard_normal((60, 24, 24)).astype(np.float32))
    )
    stack = read_fourier_stack(noise_only, 9.0)
    composite = Composite((Component("ball", Ball((0, 0, 0), 6.0, 1.0), ConstantBasis()),), 24)
    for radius in (6.0, 6.2):
        problem = stage_problem(
            noise_only, stack, composite.discretise(radius), radius,
            np.ones((1, stack.n_shells)), np.arange(60),
        )  # fmt: skip
        last = int(problem.samples.shells.max())
        counts = np.bincount(problem.samples.shells)
        of_stack = np.bincount(stack.samples.shells)
        assert counts[last] < 0.8 * of_stack[last]  # half inside
        explained = np.zeros((60, stack.n_shells))  # there is no molecule
        found = residual_noise(
            problem.images, explained, np.full((1, stack.n_shells), 1e-3), problem.samples
        )
        # of a variance from so many complex numbers
        error = 4 / np.sqrt(60 * counts[1:])
        assert (abs(found[0, 1 : last + 1] - 1) < error).all()
        np.testing.assert_array_equal(found[0, last + 1 :], 1e-3)  # beyond, nothing was seen

import numpy as np
import pytest

from examples import one_ball, pretzel_like, random_data, scene
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.runs import gridded_normal as module
from napari_hypermol.runs.gridded_normal import gridded_normal, gridded_size
from small_problems import problem_of


def moments(rng, n, q):
    c = rng.normal(size=(n, q))
    return (c[:, :, None] * c[:, None, :] + 0.2 * np.eye(q)).astype(np.float32)


def problem(rng, composite, n, radius):
    here = scene(composite, radius)
    return problem_of(here, random_data(rng, n, here.samples))


def filtered(rng, molecule):
    """Random densities without what the samples do not see."""
    white = rng.normal(size=molecule.n_coefficients).astype(np.float32)
    parts = []
    for basis, part in zip(molecule.bases, molecule.split(white), strict=True):
        gain = np.linspace(1, 0, basis.n_shells)[:, None] * np.ones(len(part))
        parts.append(basis.filter(part, gain).ravel())
    return np.concatenate(parts)


@pytest.mark.parametrize("n", [30, 300])
def test_near_the_operator_it_stands_for(rng, n):
    at = problem(rng, one_ball(24, 2), n, 9)
    second = moments(rng, n, 3)
    found = gridded_normal(at, second)
    assert found.is_whole
    x = filtered(rng, at.molecule)
    expected = at.normal(x, second)
    assert np.linalg.norm(found(x) - expected) < 0.06 * np.linalg.norm(expected)
    other = at.normal(x, second[::-1].copy())  # particles belong to their moments
    assert np.linalg.norm(found(x) - other) > 0.1 * np.linalg.norm(expected)


def test_symmetric_and_positive(rng):
    at = problem(rng, one_ball(16), 20, 6)
    found = gridded_normal(at, moments(rng, 20, 2))
    x, y = rng.normal(size=(2, at.molecule.n_coefficients)).astype(np.float32)
    norm = np.dot(x, found(x))
    assert norm > 0
    np.testing.assert_allclose(np.dot(y, found(x)), np.dot(x, found(y)), atol=1e-4 * norm)


def test_several_components_each_by_itself(rng):
    at = problem(rng, pretzel_like(16), 60, 6)
    second = moments(rng, 60, sum(at.molecule.n_functions))
    found = gridded_normal(at, second)
    assert not found.is_whole
    alone = np.zeros_like(second)
    for _, columns in at.molecule.placement_columns:
        alone[:, columns, columns] = second[:, columns, columns]
    x = filtered(rng, at.molecule)
    expected = at.normal(x, alone)
    assert np.linalg.norm(found(x) - expected) < 0.06 * np.linalg.norm(expected)
    assert np.linalg.norm(found(x) - at.normal(x, second)) > 0.1 * np.linalg.norm(expected)


def test_functions_of_the_ball(rng):
    ball = Component("ball", Ball((0, 0, 0), 7, 0), CosineBasis(1), spatial="gpswf")
    at = problem(rng, Composite((ball,), 24), 100, 8)
    second = moments(rng, 100, 2)
    x = rng.normal(size=at.molecule.n_coefficients).astype(np.float32)
    expected = at.normal(x, second)
    found = gridded_normal(at, second)(x)
    assert np.linalg.norm(found - expected) < 0.2 * np.linalg.norm(expected)


def test_memory_is_counted_and_kept_to(rng, monkeypatch):
    at = problem(rng, one_ball(16), 5, 6)
    second = moments(rng, 5, 2)
    found = gridded_normal(at, second)
    assert gridded_size(at.molecule) == sum(p.nbytes for p in found._products)
    monkeypatch.setattr(module, "is_in_memory", lambda size: False)
    assert gridded_normal(at, second) is None


def test_many_functions_have_none(rng):
    at = problem(rng, one_ball(8, 32), 2, 3)
    assert gridded_size(at.molecule) == 0
    assert gridded_normal(at, moments(rng, 2, 33)) is None

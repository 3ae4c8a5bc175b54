import numpy as np
import pytest

from contracts.black_box import BlackBoxContract
from examples import one_ball, pretzel_like, scene
from napari_hypermol.imaging import projector
from napari_hypermol.runs.linear_black_box import LinearBlackBox
from oracles.stationary_prior import stationary_precision


def boxed(molecule):
    spectra = [
        np.linspace(5, 1, b.n_shells) * np.ones((q, 1))
        for (q, _), b in zip(molecule.set_shapes, molecule.bases, strict=True)
    ]
    return LinearBlackBox(molecule, spectra)


class TestPretzel(BlackBoxContract):
    @pytest.fixture
    def molecule(self):
        return boxed(scene(pretzel_like(16), 5).molecule)

    @pytest.fixture
    def theta(self, molecule, rng):
        return rng.normal(size=molecule.n_coefficients)


def test_slices_are_sums_over_state_functions(rng):
    here = scene(pretzel_like(16), 5)
    molecule = boxed(here.molecule)
    theta = rng.normal(size=molecule.n_coefficients)
    states = rng.uniform(size=(3, 2))
    rotations = np.array([np.eye(3), np.eye(3)[[1, 2, 0]], np.eye(3)[[2, 0, 1]]])
    found = molecule.slices(theta, rotations, states, here.samples)
    grids = here.molecule.grids(theta.astype(np.float32))
    all_slices = projector.forward(rotations, grids, here.placements, here.samples)
    for i, (one, two) in enumerate(states):
        # rigid body, arm of degree 2, its copy; P_q = sqrt(2) cos(pi q tau)
        c = [1.0]
        for tau in (one, two):
            c += [1.0, np.sqrt(2) * np.cos(np.pi * tau), np.sqrt(2) * np.cos(2 * np.pi * tau)]
        np.testing.assert_allclose(found[i], all_slices[i] @ c, atol=1e-4 * abs(found).max())


def test_prior_is_the_stationary_one(rng):
    linear = scene(one_ball(12), 4).molecule
    molecule = boxed(linear)
    theta = rng.normal(size=molecule.n_coefficients)
    (basis,), (spectrum,) = linear.bases, molecule.spectra
    value, _ = molecule.log_prior(theta)
    expected = 0.0
    for row, part in zip(spectrum, theta.reshape(2, -1), strict=True):
        expected -= 0.5 * part @ stationary_precision(basis.size, basis.inside, row) @ part
    assert value == pytest.approx(expected, rel=1e-4)

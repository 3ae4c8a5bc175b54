"""Supports follow the density that was found: all of it, and little more."""

from dataclasses import replace

import numpy as np
import pytest

from napari_hypermol.bases.classes import ClassBasis
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.coordinates.grids import voxel_positions
from napari_hypermol.molecules.component import Component, rotation_about
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball, Trimmed
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.snapshot import Snapshot
from napari_hypermol.runs.stage_problem import Estimate
from napari_hypermol.runs.trimming import cut_arrays, cuts_among, trimmed
from napari_hypermol.schedules.stage import Stage

BOX, RADIUS = 32, 10.0
N = 200
NEAR, FAR = (-4.0, 0.0, 0.0), (5.0, 3.0, 0.0)


def blob(positions, centre):
    """A Gaussian of 1.5 voxels."""
    square = ((positions - np.array(centre)) ** 2).sum(axis=-1)
    return np.exp(-square / (2 * 1.5**2))


def whole(is_trimmed=True, state=None, **about):
    ball = Ball((1.0, 0.0, 0.0), 12.0)
    state = CosineBasis(1) if state is None else state
    return Component("all", ball, state, is_trimmed=is_trimmed, **about)


def found(composite, densities, noise=0.0, states=None, seed=0):
    """A snapshot whose set 0 has these functions of position."""
    rng = np.random.default_rng(seed)
    molecule = composite.discretise(RADIUS, 1)
    basis = molecule.bases[0]
    positions = voxel_positions(basis.size) * (basis.edge / basis.size) + molecule.centres[0]
    cubes = np.stack([density(positions) for density in densities])
    cubes = cubes + noise * rng.normal(size=cubes.shape)
    theta = molecule.zeros()
    molecule.split(theta)[0][:] = basis.gather(cubes)
    dims = sum(len(molecule.kinds(m)) for m in range(len(molecule.components)))
    states = rng.random((N, dims)) if states is None else states
    nothing = np.zeros(N)
    posterior = ParticlePosterior(
        states, states, nothing, nothing, nothing[:, None], nothing[:, None, None], nothing, ()
    )
    stage = Stage("states", RADIUS, 1, 3)
    return Snapshot(stage, 1, molecule, Estimate(theta, [], nothing, 0.1), posterior, 1.0, [])


def still(positions):
    return blob(positions, NEAR)


def moving(positions):
    """Times a cosine that is -1.4 to 1.4: here at one end of the state only."""
    return 0.7 * blob(positions, FAR)


def at(support, *places):
    return support.values(np.array(places), 1.0)


def test_density_is_kept_and_what_is_far_from_it_is_not():
    composite = Composite([whole()], BOX)
    support = trimmed(composite, found(composite, [still, moving])).components[0].support
    assert isinstance(support, Trimmed)
    np.testing.assert_allclose(at(support, NEAR, FAR), 1)
    assert (at(support, (1, -9, 0), (1, 0, 10), (-2, 0, -10)) == 0).all()
    np.testing.assert_array_equal(support.centre(), composite.components[0].support.centre())
    assert support.edge() == composite.components[0].support.edge()


def test_what_only_few_particles_have_is_kept():
    """Fifteen in a hundred at the end where the second blob is."""
    composite = Composite([whole()], BOX)
    states = np.where(np.arange(N) % 20 < 3, 0.02, 0.98)[:, None]
    snapshot = found(composite, [still, moving], states=states)
    assert at(trimmed(composite, snapshot).components[0].support, FAR) == 1
    away = found(composite, [still, moving], states=np.full((N, 1), 0.98))
    assert at(trimmed(composite, away).components[0].support, FAR) == 0


@pytest.mark.parametrize("n_classes", [3, 12])
def test_every_class_is_kept(n_classes):
    """What only one of many classes has, in as many particles."""
    angles = 2 * np.pi * np.arange(n_classes) / n_classes
    places = np.stack([1 + 8 * np.cos(angles), 8 * np.sin(angles), 0 * angles], axis=1)
    state = ClassBasis(n_classes)
    composite = Composite([whole(state=state)], BOX)
    classes = (np.arange(n_classes) + 0.5) / n_classes
    mixing = np.linalg.inv(state.evaluate(classes[:, None]))  # functions from shapes

    def function(q):
        return lambda x: sum(m * blob(x, p) for m, p in zip(mixing[q], places, strict=True))

    states = np.random.default_rng(1).choice(classes, (400, 1))
    snapshot = found(composite, [function(q) for q in range(n_classes)], states=states)
    support = trimmed(composite, snapshot).components[0].support
    np.testing.assert_allclose(at(support, *places), 1)
    assert at(support, (1, 0, 9)) == 0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_noise_is_solvent(seed):
    """Up to a tenth of the highest density; with more, nothing is risked."""
    composite = Composite([whole()], BOX)
    for noise in (0.05, 0.1):
        snapshot = found(composite, [still, moving], noise=noise, seed=seed)
        support = trimmed(composite, snapshot).components[0].support
        np.testing.assert_allclose(at(support, NEAR, FAR), 1)
        assert (support.cut > 0).mean() < 0.4
    loud = found(composite, [still, moving], noise=0.3, seed=seed)
    assert trimmed(composite, loud).components[0].support is composite.components[0].support


def test_coefficients_are_carried_over_where_both_have_them():
    composite = Composite([whole()], BOX)
    snapshot = found(composite, [still, moving])
    fine = trimmed(composite, snapshot).discretise(RADIUS, 1)
    theta = fine.transfer(snapshot.estimate.theta, snapshot.molecule)
    before = snapshot.molecule.bases[0].evaluate(
        snapshot.molecule.split(snapshot.estimate.theta)[0]
    )
    after = fine.bases[0].evaluate(fine.split(theta)[0])
    assert np.abs(after - before).max() < 0.1 * np.abs(before).max()


def test_components_that_do_not_ask_are_left_whole():
    composite = Composite([whole(is_trimmed=False)], BOX)
    assert trimmed(composite, found(composite, [still, moving])).components[0].support is (
        composite.components[0].support
    )


def test_where_nothing_stands_out_the_support_stays():
    composite = Composite([whole()], BOX)
    snapshot = found(composite, [lambda x: -still(x), lambda x: 0 * moving(x)])
    molecule = trimmed(composite, snapshot).discretise(RADIUS, 1)
    assert molecule.cuts == [None]


def test_copies_are_trimmed_with_their_component_and_their_states_count():
    turn = rotation_about((0, 0, 1), np.pi / 2)
    copy = replace(whole(), name="copy", shares="all", rotation=turn)
    composite = Composite([whole(), copy], BOX)
    states = np.stack([np.full(N, 0.98), np.full(N, 0.02)], axis=1)  # the copy has the second blob
    cut = trimmed(composite, found(composite, [still, moving], states=states))
    one, two = (component.support for component in cut.components)
    np.testing.assert_array_equal(one.cut, two.cut)
    assert at(one, FAR) == 1


def test_cuts_come_back_from_the_disk():
    composite = Composite([whole(), replace(whole(is_trimmed=False), name="other")], BOX)
    states = np.random.default_rng(0).random((N, 2))
    snapshot = found(composite, [still, moving], states=states)
    molecule = trimmed(composite, snapshot).discretise(RADIUS, 1)
    n_cuts, arrays = cut_arrays(molecule)
    assert (n_cuts, set(arrays)) == (2, {"cut_0"})
    again = composite.trimmed(cuts_among(n_cuts, arrays)).discretise(RADIUS, 1)
    assert again.n_coefficients == molecule.n_coefficients
    assert cut_arrays(snapshot.molecule) == (0, {})
    assert cuts_among(0, {}) == []


def test_rigid_molecules_are_trimmed_too():
    composite = Composite([whole(state=ConstantBasis())], BOX)
    support = trimmed(composite, found(composite, [still])).components[0].support
    assert at(support, NEAR) == 1
    assert at(support, FAR) == 0


def test_fine_maps_are_looked_at_on_fewer_voxels(monkeypatch):
    composite = Composite([whole()], BOX)
    snapshot = found(composite, [still, moving])
    expected = trimmed(composite, snapshot).components[0].support.cut
    monkeypatch.setattr("napari_hypermol.runs.trimming._MOST_VOXELS", 12)
    coarse = trimmed(composite, snapshot).components[0].support.cut
    assert coarse.shape == expected.shape
    assert (np.abs(coarse.astype(int) - expected) > 128).mean() < 0.1

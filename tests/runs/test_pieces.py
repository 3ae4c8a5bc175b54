from typing import NamedTuple

import numpy as np

from examples import pretzel_like, scene
from napari_hypermol.runs.pieces import GridsOf, LastGrids, Sums, joined, made_here, on_theta


class Pair(NamedTuple):
    left: np.ndarray
    right: tuple


def test_pieces_are_joined_inside_named_tuples_too():
    pieces = [Pair(np.zeros((n, 2)), (np.full(n, n),)) for n in (2, 3)]
    whole = joined(pieces)
    assert isinstance(whole, Pair)
    assert whole.left.shape == (5, 2)
    np.testing.assert_array_equal(whole.right[0], [2, 2, 3, 3, 3])


def test_what_is_elsewhere_is_left_there():
    pieces = [Pair(np.zeros((n, 2)), None) for n in (2, 3)]
    assert joined(pieces).right is None


def test_arrays_of_a_device_stay_there(cupy):
    whole = joined([cupy.ones((2, 3)), cupy.ones((1, 3))])
    assert isinstance(whole, cupy.ndarray)
    assert whole.shape == (3, 3)


def test_grids_are_made_where_they_are_asked_for(rng):
    molecule = scene(pretzel_like(16), 5.0).molecule
    theta = rng.normal(size=molecule.n_coefficients).astype(np.float32)
    grids = made_here(GridsOf(molecule, theta))
    np.testing.assert_array_equal(grids.values, molecule.grids(theta).values)
    assert not made_here(GridsOf(molecule, None)).values.any()
    assert made_here(3) == 3


def test_the_last_grids_are_kept_until_theta_changes(rng):
    molecule = scene(pretzel_like(16), 5.0).molecule
    theta = rng.normal(size=molecule.n_coefficients).astype(np.float32)
    last = LastGrids()
    grids = last.of(molecule, theta)
    np.testing.assert_array_equal(grids.values, molecule.grids(theta).values)
    assert last.of(molecule, theta.copy()) is grids
    theta[3] += 1  # in place
    other = last.of(molecule, theta)
    np.testing.assert_array_equal(other.values, molecule.grids(theta).values)
    assert last.of(molecule, theta) is other


def test_grids_of_another_molecule_are_not_those(rng):
    one, other = (scene(pretzel_like(16), 5.0).molecule for _ in range(2))
    theta = rng.normal(size=one.n_coefficients).astype(np.float32)
    last = LastGrids()
    grids = last.of(one, theta)
    assert last.of(other, theta) is not grids


def test_sums_are_added_each_to_its_own():
    one, two = Sums((np.ones(2), np.zeros((2, 3)))), Sums((np.full(2, 3.0), np.ones((2, 3))))
    total = one.copy()
    total += two
    assert isinstance(total, Sums)
    np.testing.assert_array_equal(total[0], [4, 4])
    np.testing.assert_array_equal(total[1], np.ones((2, 3)))
    np.testing.assert_array_equal(one[0], [1, 1])


def test_the_first_of_several_sums_are_grid_values(rng):
    molecule = scene(pretzel_like(16), 5.0).molecule
    values = rng.normal(size=len(molecule.empty_grids.values)).astype(np.float32)
    expected = molecule.grids_adjoint(values.copy())
    np.testing.assert_array_equal(on_theta(molecule, values.copy()), expected)
    found = on_theta(molecule, Sums((values, np.ones(3))))
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_array_equal(found[1], np.ones(3))

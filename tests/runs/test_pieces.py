from typing import NamedTuple

import numpy as np

from examples import pretzel_like, scene
from napari_hypermol.runs.pieces import GridsOf, joined, made_here


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

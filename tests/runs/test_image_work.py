from typing import NamedTuple

import numpy as np

from examples import pretzel_like, random_data, scene
from napari_hypermol.posterior.likelihood import image_adjoint, overlaps
from napari_hypermol.runs.image_work import each, joined, spread, total
from napari_hypermol.runs.remote_images import GridsOf


class Pair(NamedTuple):
    left: np.ndarray
    right: tuple


def test_pieces_are_joined_inside_named_tuples_too():
    pieces = [Pair(np.zeros((n, 2)), (np.full(n, n),)) for n in (2, 3)]
    whole = joined(pieces)
    assert isinstance(whole, Pair)
    assert whole.left.shape == (5, 2)
    np.testing.assert_array_equal(whole.right[0], [2, 2, 3, 3, 3])


def test_images_of_this_process_are_one_chunk(rng):
    here = scene(pretzel_like(16), 5.0)
    images = random_data(rng, 6, here.samples)
    theta = rng.normal(size=here.molecule.n_coefficients).astype(np.float32)
    about = here.placements, here.samples
    shared = (GridsOf(here.molecule, theta), *about)
    (found,) = each(images, overlaps, shared=shared)
    expected = overlaps(images, here.molecule.grids(theta), *about)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    first = spread(images, expected[0])
    assert first is expected[0]
    empty = (GridsOf(here.molecule, None), *about)
    values = image_adjoint(images, first, here.molecule.empty_grids, *about)
    np.testing.assert_array_equal(total(images, image_adjoint, (first,), empty), values)
    np.testing.assert_array_equal(
        total(images, image_adjoint, (first,), empty, here.molecule),
        here.molecule.grids_adjoint(values),
    )

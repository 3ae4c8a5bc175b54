import numpy as np

from examples import pretzel_like, random_data, scene
from napari_hypermol.posterior.likelihood import image_adjoint, overlaps
from napari_hypermol.runs.image_work import each, spread, total
from napari_hypermol.runs.pieces import GridsOf


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

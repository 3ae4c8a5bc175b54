"""What all launches have in common: packed placements, code, shared memory."""

import numpy as np
import pytest

from examples import one_ball, pretzel_like, scene
from napari_hypermol.errors import ShapeError
from napari_hypermol.posterior import slices_cuda


@pytest.fixture(scope="module")
def here():
    return scene(pretzel_like(16), 5.0)


def test_the_longest_stretch_is_taken_where_small_blocks_have_enough():
    assert slices_cuda.longest_stretch(lambda n: 1000 * n, 256) == 48  # of 48 KiB
    assert slices_cuda.longest_stretch(lambda n: 2000 * n, 256) == 48  # of 96 KiB: 24 are few
    assert slices_cuda.longest_stretch(lambda n: 10_000 * n, 256) == 8
    assert slices_cuda.longest_stretch(lambda n: 20_000 * n, 256) == 0
    assert slices_cuda.longest_stretch(lambda n: n, 16) == 16


def test_placements_are_packed(here):
    """By the address of the point left of frequency zero in all directions, on every grid."""
    grids, placements = here.molecule.empty_grids, here.placements
    packed = slices_cuda.packed_placements(grids, placements)
    for row, s, start in zip(packed, placements.grids, placements.starts, strict=True):
        shape = (*grids.sizes[s], grids.n_functions[s], 2)
        index = (grids.origins[s] - 1, grids.origins[s] - 1, 0, 0, 0)
        assert row["origin"] == grids.offsets[s] + np.ravel_multi_index(index, shape)
        steps = row["z_step"], row["y_step"], row["x_step"]
        assert steps == tuple(int(np.prod(shape[axis:])) for axis in (1, 2, 3))
        assert (row["n_functions"], row["start"]) == (grids.n_functions[s], start)
        assert row["width"] == 1  # one and three functions


def test_two_functions_are_read_at_once():
    even = scene(one_ball(8), 3.0)  # a constant and a cosine
    grids = even.molecule.empty_grids
    assert slices_cuda.packed_placements(grids, even.placements)["width"] == 2
    moved = grids._replace(offsets=grids.offsets + 2)
    assert slices_cuda.packed_placements(moved, even.placements)["width"] == 1


def test_grids_too_large_are_said(here):
    grids = here.molecule.empty_grids
    grids = grids._replace(sizes=grids.sizes * 2000)
    with pytest.raises(ShapeError, match="2\\^30"):
        slices_cuda.packed_placements(grids, here.placements)


def test_source_says_the_interpolation_once():
    source = slices_cuda.slices_source(4)
    for c in slices_cuda.KERNEL_POLYNOMIALS.ravel():
        assert f"{float(np.float32(c))!r}f" in source
    assert "#define TILE 4\n" in source

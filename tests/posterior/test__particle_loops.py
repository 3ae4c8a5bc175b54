import numpy as np

from examples import pretzel_like, scene
from napari_hypermol.posterior._particle_loops import _fill_factors, _used_columns
from napari_hypermol.posterior._row_products import TILE


def used_of(moments):
    """What a particle with these moments has sliced: columns, placements, where those begin."""
    here = scene(pretzel_like(16, degree=2), 6)
    n_placed = len(here.placements.grids)
    used, at = np.full(len(moments), -1), np.full(n_placed, -1)
    active = np.zeros(n_placed, dtype=np.bool_)
    grids = here.molecule.empty_grids
    count = _used_columns(moments, grids, here.placements, used, active, at)
    return used[:count].tolist(), active.tolist(), at.tolist()


def test_all_columns_where_all_have_moments():
    assert used_of(np.ones(7)) == ([*range(7)], [True, True, True], [0, 1, 4])


def test_columns_of_used_placements_lie_side_by_side():
    assert used_of(np.array([0, 0, 0, 0, 1.0, 0, 0])) == (
        [4, 5, 6],
        [False, False, True],
        [0, 0, 0],
    )
    assert used_of(np.array([1.0, 0, 0, 0, 0, 0, 2])) == (
        [0, 4, 5, 6], [True, False, True], [0, 1, 1],
    )  # fmt: skip
    assert used_of(np.zeros(7)) == ([], [False, False, False], [0, 0, 0])


def test_factors_are_of_used_columns_twice_and_zero_behind(rng):
    first = rng.normal(size=9).astype(np.float32)
    second = rng.normal(size=(9, 9)).astype(np.float32)
    used = np.array([1, 2, 3, 5, 8])
    width = 2 * TILE * 3
    factors, matrix = np.full(width, np.nan, np.float32), np.full((9, width), np.nan, np.float32)
    _fill_factors(first, second, used, factors, matrix)
    np.testing.assert_array_equal(factors[:10], np.repeat(first[used], 2))
    np.testing.assert_array_equal(matrix[:5, :10], np.repeat(second[np.ix_(used, used)], 2, axis=1))
    assert not factors[10:].any()
    assert not matrix[:5, 10:].any()

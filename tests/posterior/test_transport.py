import numpy as np
import pytest

from contracts.coefficient_prior import CoefficientPriorContract
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.errors import RecipeError, ShapeError
from napari_hypermol.posterior.density_priors import DensityAtStates
from napari_hypermol.posterior.transport import Transport, neighbouring_states


def blob(n, centre, width=0.08):
    axis = (np.arange(n) + 0.5) / n
    z, y, x = (np.exp(-((axis - c) ** 2) / (2 * width**2)) for c in centre)
    return z[:, None, None] * y[:, None] * x


def cube(n):
    return VoxelBasis(np.ones((n, n, n), dtype=np.float32), 2 * n, 64)


def transport(n, n_states, **options):
    """Coefficients are the densities at the probe states themselves."""
    densities = DensityAtStates(cube(n), np.eye(n_states))
    states = np.linspace(0, 1, n_states)[:, None]
    return Transport(densities, states, scale=1.0, **options)


def path(n, n_states, moves):
    """A blob that goes from one place to another; or that fades here and appears there."""
    start, end = np.array([0.5, 0.5, 0.2]), np.array([0.5, 0.5, 0.8])
    out = []
    for t in np.linspace(0, 1, n_states):
        if moves:
            out.append(blob(n, (1 - t) * start + t * end))
        else:
            out.append((1 - t) * blob(n, start) + t * blob(n, end))
    return np.stack(out).reshape(n_states, -1)


class TestTransport(CoefficientPriorContract):
    IS_MAJORISED = False
    DATA_PRECISION = 10.0

    @pytest.fixture
    def prior(self):
        return transport(6, 3, grid=4, blur=0.2, tolerance=1e-11)

    @pytest.fixture
    def coefficients(self, rng):
        return path(6, 3, moves=True) + 0.1 * rng.normal(size=(3, 216))


def test_equal_states_are_free(rng):
    density = rng.normal(size=(1, 8**3))
    prior = transport(8, 4, grid=8)
    same = np.repeat(density, 4, axis=0)
    assert abs(prior.log_density(same)) < 1e-6
    assert abs(prior.gradient(same)).max() < 1e-4


def test_getting_brighter_is_no_motion():
    still, moving = blob(12, (0.5, 0.5, 0.4)).ravel(), path(12, 3, moves=True)
    prior = transport(12, 3)
    brighter = np.stack([still, 2 * still, 3 * still])
    # not exactly, because weak voxels weigh less than in proportion
    assert abs(prior.log_density(brighter)) < 0.02 * abs(prior.log_density(moving))


def test_empty_maps_are_free():
    prior = transport(8, 3)
    empty = np.zeros((3, 8**3))
    assert prior.log_density(empty) == pytest.approx(0, abs=1e-9)
    assert np.isfinite(prior.gradient(empty)).all()
    assert np.isfinite(prior.curvature(empty)(empty + 1)).all()


def test_strength_one_is_a_motion_by_one_edge_over_the_range():
    """Speed 0.6 edges: the log density of a white normal prior, -k / 2, times 0.36."""
    n, n_states = 16, 5
    found = transport(n, n_states, strength=2.0).log_density(path(n, n_states, moves=True))
    expected = -2.0 * n**3 / 2 * 0.6**2
    # the floor, 1e-4 in every voxel, is 1 % of the mass of so small a blob, and stays
    assert found == pytest.approx(expected, rel=0.03)


def test_prefers_moving_to_fading_where_the_difference_of_voxels_does_not():
    n, n_states = 16, 5
    prior = transport(n, n_states)
    moving, fading = (path(n, n_states, moves) for moves in (True, False))
    # at every step a quarter of the mass goes all the way, 1 / 4 of its square, against all of it a
    # quarter of the way, 1 / 16; less than 4 to 1 because the near sides of the blobs go first
    assert prior.log_density(fading) < 2 * prior.log_density(moving)

    def paper(x):  # Eq. (24)
        return (np.diff(x, axis=0) ** 2).sum()

    assert paper(moving) > 2 * paper(fading)


def test_number_of_probe_states_does_not_matter():
    few, many = (transport(12, j).log_density(path(12, j, moves=True)) for j in (4, 7))
    assert few == pytest.approx(many, rel=0.1)


def test_neighbours_on_a_grid():
    grid = np.array([[a, b] for a in (0.1, 0.5, 0.9) for b in (0.25, 0.75)])
    shuffled = [3, 0, 5, 1, 4, 2]
    found = {frozenset(shuffled[i] for i in pair) for pair in neighbouring_states(grid[shuffled])}
    expected = {(0, 1), (2, 3), (4, 5), (0, 2), (2, 4), (1, 3), (3, 5)}
    assert found == {frozenset(pair) for pair in expected}


def test_two_state_coordinates(rng):
    grid = np.array([[a, b] for a in (0, 1.0) for b in (0, 1.0)])
    densities = DensityAtStates(cube(8), np.eye(4))
    prior = Transport(densities, grid, scale=1.0)
    still, moved = path(8, 2, moves=True)
    along_first = np.stack([still, still, moved, moved])
    along_second = np.stack([still, moved, still, moved])
    expected = prior.log_density(along_first)
    assert prior.log_density(along_second) == pytest.approx(expected, rel=1e-9)
    assert expected < 0


def test_cubes_that_the_coarse_grid_does_not_divide(rng):
    prior = transport(10, 2, grid=7)
    coarse = prior._pooled(np.full((2, 10, 10, 10), 3.0))
    np.testing.assert_allclose(coarse, 3.0)
    assert coarse.shape == (2, 7, 7, 7)
    x, y = rng.normal(size=(2, 10, 10, 10)), rng.normal(size=(2, 7, 7, 7))
    left, right = (prior._pooled(x) * y).sum(), (x * prior._pooled_adjoint(y, 10)).sum()
    assert left == pytest.approx(right, rel=1e-10)


def test_refuses_in_one_sentence():
    densities = DensityAtStates(cube(4), np.eye(2))
    with pytest.raises(ShapeError, match=r"states of shape \(3, 1\), expected \(2, d\)"):
        Transport(densities, np.zeros((3, 1)), 1.0)
    with pytest.raises(ShapeError, match="no two of the probe states are neighbours"):
        Transport(densities, np.array([[0.0, 0.0], [1.0, 1.0]]), 1.0)
    with pytest.raises(RecipeError, match="transport prior: a strength of -1"):
        Transport(densities, np.array([[0.0], [1.0]]), 1.0, -1.0)


def test_curvature_knows_what_the_state_functions_can_do(rng):
    """Three smooth functions at seven states: a wider parabola, still below around its point."""
    functions = CosineBasis(2).evaluate(np.linspace(0, 1, 7)[:, None])
    states = np.linspace(0, 1, 7)[:, None]
    densities = path(8, 7, moves=True) + 0.05 * rng.normal(size=(7, 512))
    coefficients = np.linalg.lstsq(functions, densities, rcond=None)[0]
    smooth = Transport(DensityAtStates(cube(8), functions), states, 1.0, grid=8)
    free = Transport(DensityAtStates(cube(8), np.eye(7)), states, 1.0, grid=8)
    direction = rng.normal(size=coefficients.shape)
    low = (direction * smooth.curvature(coefficients)(direction)).sum()
    moved = functions @ direction
    high = (moved * free.curvature(functions @ coefficients)(moved)).sum()
    assert low < 0.5 * high
    slope, start = smooth.gradient(coefficients), smooth.log_density(coefficients)
    step = slope * (0.01 * np.linalg.norm(coefficients) / np.linalg.norm(slope))
    apply = smooth.curvature(coefficients)
    for x in (step, -step):
        parabola = start + (slope * x).sum() - 0.5 * (x * apply(x)).sum()
        assert smooth.log_density(coefficients + x) >= parabola

"""The prolate basis against quadrature over the ball and direct Fourier sums."""

import pickle

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from contracts.basis import BasisContract
from examples import one_grid, random_rotations
from napari_hypermol.bases.gpswf import GpswfBasis
from napari_hypermol.bases.gpswf_radial import radial_orders
from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.coordinates.gridding import kernel_transform
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.errors import ShapeError
from napari_hypermol.imaging import projector
from oracles.ball_quadrature import ball_rule, real_harmonics
from oracles.dft import cube_points, slice_of_points

# radius, max_radius, box_size, edge, size: even and odd boxes, own voxels of the box and not,
# a ball that touches its cube and one that does not, a band limit between two grid steps
CASES = [
    (6, 8, 32, 16, 16),
    (6, 8, 33, 12, 12),
    (8, 6, 32, 16, 12),
    (5.3, 12.7, 33, 16, 24),
]


@pytest.mark.parametrize(("radius", "max_radius", "box", "edge", "size"), CASES)
class TestGpswfBasis(BasisContract):
    @pytest.fixture
    def basis(self, radius, max_radius, box, edge, size):
        return GpswfBasis(radius, max_radius, box, edge, size)


def functions_at(basis, points):
    """Every psi_k at points (v, 3), harmonics by SciPy; (v, k)."""
    radii = np.linalg.norm(points, axis=1)
    inside = radii <= basis.radius * (1 + 1e-12)
    columns = []
    for order in radial_orders(basis.bandwidth, basis.min_eigenvalue):
        radial = order.evaluate(np.minimum(radii / basis.radius, 1)) * basis.radius**-1.5
        angular = real_harmonics(order.order, points)
        if order.order:
            angular = np.where(radii[:, None] > 0, angular, 0)
        product = radial[:, :, None] * angular[:, None, :]
        columns.append(product.reshape(len(points), -1) * inside[:, None])
    return np.concatenate(columns, axis=1)


def quadrature(basis):
    """Points, weights and psi_k (v, k), exact for products of two of them and a wave."""
    points, weights = ball_rule(basis.radius, int(2 * basis.bandwidth) + 30)
    return points, weights, functions_at(basis, points)


@pytest.fixture(scope="module", params=CASES)
def case(request):
    basis = GpswfBasis(*request.param)
    return basis, *quadrature(basis)


def test_orthonormal_in_the_ball(case):
    basis, _, weights, functions = case
    gram = functions.T @ (functions * weights[:, None])
    np.testing.assert_allclose(gram, np.eye(basis.n_coefficients), atol=1e-10)
    assert basis.unit_volume == 1
    assert basis.fill == 1


def test_number_of_functions_is_about_the_shannon_number():
    basis = GpswfBasis(16, 16, 64, 32, 32)
    assert basis.bandwidth == pytest.approx(2 * np.pi * 16 * 16 / 64)
    # at mu = 1/2 the two differ by the surface of the ball, not its volume
    assert basis.n_coefficients == pytest.approx(basis.shannon_number, rel=0.03)


def test_evaluate_against_the_functions(case, rng):
    basis = case[0]
    coefficients = rng.normal(size=(2, basis.n_coefficients))
    for cubes, size in (
        (basis.evaluate(coefficients), basis.size),
        (basis.evaluate_full(coefficients), basis.edge),
    ):
        points = cube_points(size, basis.edge / size)
        # a voxel exactly on the sphere may count as inside or outside
        clear = abs(np.linalg.norm(points, axis=1) - basis.radius) > 1e-9
        expected = (functions_at(basis, points) @ coefficients.T).T
        assert cubes.shape == (2, size, size, size)
        assert cubes.dtype == np.float64
        found = cubes.reshape(2, -1)
        np.testing.assert_allclose(found[:, clear], expected[:, clear], atol=1e-12)


def test_single_precision_stays_single(rng):
    basis = GpswfBasis(*CASES[0])
    coefficients = rng.normal(size=(2, basis.n_coefficients)).astype(np.float32)
    cubes = basis.evaluate(coefficients)
    assert cubes.dtype == basis.evaluate_full(coefficients).dtype == np.float32
    assert basis.evaluate_adjoint(cubes).dtype == np.float32
    again = basis.expand(cubes)
    assert again.dtype == np.float32
    np.testing.assert_allclose(again, coefficients, atol=1e-5)
    assert basis.fourier_grid_adjoint(basis.fourier_grid(coefficients)).dtype == np.float32


def test_expand_is_least_squares(rng):
    """What is left over is orthogonal to every function, on the voxels."""
    basis = GpswfBasis(*CASES[0])
    cubes = rng.normal(size=(2, basis.size, basis.size, basis.size))
    rest = cubes - basis.evaluate(basis.expand(cubes))
    assert abs(basis.evaluate_adjoint(rest)).max() < 1e-9 * abs(basis.evaluate_adjoint(cubes)).max()


def test_fourier_grid_is_the_fourier_integral(case, rng):
    """Entry by entry, wherever a sample within the band limit can have a tap; halos included.

    The grid is the transform of the density divided by the kernel's window along x, y and z; the
    oracle divides, the basis filters, to 1e-4 along each axis.
    """
    basis, points, weights, functions = case
    coefficients = rng.normal(size=(2, basis.n_coefficients))
    stored = basis.fourier_grid(coefficients)
    padded = 2 * basis.edge
    windows = kernel_transform(points / padded).prod(axis=1)
    masses = (functions @ coefficients.T) * (weights / windows)[:, None]
    origin = basis.grid_origin
    steps = np.indices(basis.grid_shape).reshape(3, -1) - np.array([[origin], [origin], [1]])
    z, y, x = steps
    limit = basis.max_radius * basis.grid_scale
    nearest = np.linalg.norm(np.maximum(abs(steps) - 1.5, 0), axis=0)
    read = np.flatnonzero(nearest <= limit)
    at = rng.choice(read, 400, replace=False)
    waves = np.exp(-2j * np.pi / padded * np.stack([x, y, z])[:, at].T @ points.T)
    expected = waves @ masses / basis.box_size
    found = stored.reshape(-1, 2)[at]
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert error < 2e-4  # 1e-4 along each axis at the worst place, a few of them at once
    assert abs(found - expected).max() < 1e-3 * abs(expected).max()


def test_slices_are_as_exact_as_those_of_voxels(case, rng):
    """Random coefficients, all samples up to the band limit: the kernel's own error, below 1 %."""
    basis, points, weights, functions = case
    coefficients = rng.normal(size=(3, basis.n_coefficients)).astype(np.float32)
    samples = fourier_samples(basis.box_size, basis.max_radius)
    rotations = random_rotations(rng, 2)
    frequencies = list(zip(samples.kx, samples.ky, strict=True))
    centre = (2.0, -3.0, 1.0)
    masses = functions @ coefficients.T * weights[:, None]
    slices = projector.forward(rotations, *one_grid(basis, coefficients, centre), samples)
    for rotation, found in zip(rotations, slices, strict=True):
        exact = slice_of_points(
            points + np.array(centre), masses, rotation, frequencies, basis.box_size
        )
        assert np.linalg.norm(found - exact) < 0.01 * np.linalg.norm(exact)


def test_slices_of_one_density_in_both_bases(rng):
    """A smooth density inside the ball, in prolate functions and in voxels: slices agree."""
    box, edge, radius, max_radius = 32, 24, 12, 10
    points = cube_points(edge)
    centres = rng.uniform(-4, 4, size=(6, 3))
    squares = ((points[:, None] - centres) ** 2).sum(axis=-1)
    density = np.exp(-squares / (2 * 1.8**2)).sum(axis=1).reshape(1, edge, edge, edge)
    prolate = GpswfBasis(radius, max_radius, box, edge, edge)
    voxel = VoxelBasis(np.ones((edge,) * 3, dtype=np.float32), edge, box)
    samples, rotations = fourier_samples(box, max_radius), random_rotations(rng, 3)
    slices = [
        projector.forward(rotations, *one_grid(basis, basis.expand(density)), samples)
        for basis in (prolate, voxel)
    ]
    # interpolation 0.7 % each at worst, and what of the Gaussians is outside ball and band
    assert np.linalg.norm(slices[0] - slices[1]) < 0.01 * np.linalg.norm(slices[1])


def single(rotation):
    return rotation[None].astype(np.float32)


def test_turning_the_density_is_turning_the_pose(rng):
    """Each l mixes only within itself, by the same matrix for all n."""
    basis = GpswfBasis(*CASES[0])
    turn, pose = Rotation.random(2, rng=rng).as_matrix()
    coefficients = rng.normal(size=(1, basis.n_coefficients))
    turned, start = np.empty_like(coefficients), 0
    directions = rng.normal(size=(200, 3))
    for order in radial_orders(basis.bandwidth, basis.min_eigenvalue):
        n, n_m = order.n_functions, 2 * order.order + 1
        before = real_harmonics(order.order, directions @ turn)  # V(R^-1 r)
        mixing = np.linalg.lstsq(real_harmonics(order.order, directions), before)[0]
        np.testing.assert_allclose(mixing @ mixing.T, np.eye(n_m), atol=1e-10)
        own = coefficients[0, start : start + n * n_m].reshape(n, n_m)
        turned[0, start : start + n * n_m] = (own @ mixing.T).ravel()
        start += n * n_m
    samples = fourier_samples(basis.box_size, basis.max_radius)
    seen = projector.forward(single(pose), *one_grid(basis, turned), samples)
    expected = projector.forward(single(pose @ turn), *one_grid(basis, coefficients), samples)
    # twice the kernel's own error
    assert np.linalg.norm(seen - expected) < 0.015 * np.linalg.norm(expected)
    np.testing.assert_allclose(basis.power(turned), basis.power(coefficients), rtol=1e-10)


def test_samples_beyond_the_band_limit_are_refused(rng):
    basis = GpswfBasis(*CASES[0])
    grids = one_grid(basis, np.zeros((1, basis.n_coefficients), dtype=np.float32))
    rotations = random_rotations(rng, 1)
    projector.forward(rotations, *grids, fourier_samples(32, 8))
    with pytest.raises(ShapeError, match="beyond the band limit"):
        projector.forward(rotations, *grids, fourier_samples(32, 9))


# ---- radial spectra --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def larger():
    return GpswfBasis(10, 16, 48, 24, 24)


def test_shells_hold_all_modes_in_order_of_frequency(larger):
    np.testing.assert_allclose(larger.shell_counts.sum(), larger.n_coefficients)
    assert (np.diff(larger.shell_counts) > 0).all()
    assert (np.diff(larger.shell_radii) > 0).all()
    assert larger.shell_radii[-1] < larger.max_radius
    frequencies_of_cube = larger.max_radius * larger.edge / larger.box_size
    assert 0.5 * frequencies_of_cube < larger.n_shells <= frequencies_of_cube + 1


def test_modes_of_a_shell_fill_the_balls_share_of_it(larger):
    """Weyl's law: volume of the ball times volume of the shell, to its surface term."""
    edges = larger._shell_edges * larger.max_radius / larger.box_size
    volumes = 4 / 3 * np.pi * np.diff(edges**3) * 4 / 3 * np.pi * larger.radius**3
    np.testing.assert_allclose(larger.shell_counts[3:-1], volumes[3:-1], rtol=0.1)


def test_energies_are_those_of_direct_transforms(rng):
    """Energy of random coefficients in each shell, from quadrature of their transforms."""
    basis = GpswfBasis(6, 11, 32, 12, 12)
    points, weights, functions = quadrature(basis)
    coefficients = rng.normal(size=(1, basis.n_coefficients))
    density = weights * (functions @ coefficients[0])
    directions = rng.normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    found = basis.power(coefficients)[0] * basis.shell_counts
    for shell in range(basis.n_shells - 1):
        low, high = basis._shell_edges[shell : shell + 2] * basis.max_radius / basis.box_size
        radii = low + (high - low) * (np.arange(4) + 0.5) / 4
        energy = 0.0
        for radius in radii:
            waves = np.exp(-2j * np.pi * radius * directions @ points.T)
            mean = (abs(waves @ density) ** 2).mean()
            energy += 4 * np.pi * radius**2 * mean * (high - low) / 4
        # 200 directions of a field with some tens of independent ones
        assert found[shell] == pytest.approx(energy, rel=0.15), shell


def test_coverage_is_what_one_particle_sees(larger, rng):
    """Mean over rotations of the full-plane |slice|^2 of unit white modes, shell by shell."""
    samples = fourier_samples(larger.box_size, larger.max_radius)
    rotations = random_rotations(rng, 30)
    white = rng.choice([-1.0, 1.0], size=(12, larger.n_coefficients)).astype(np.float32)
    slices = projector.forward(rotations, *one_grid(larger, white), samples)
    squares = samples.weights[:, None] * abs(slices) ** 2
    radii = np.hypot(samples.kx, samples.ky) / larger.max_radius
    wanted = larger.shell_coverage * larger.shell_counts
    for shell in range(2, larger.n_shells - 1):
        low, high = larger._shell_edges[shell : shell + 2]
        # samples on a grid: their number in a thin ring scatters, their density does not
        inside = (radii >= low) & (radii < high)
        area = np.pi * (high**2 - low**2) * larger.max_radius**2
        seen = squares[:, inside].sum(axis=1).mean() * area / samples.weights[inside].sum()
        assert seen == pytest.approx(wanted[shell], rel=0.1), shell
    inside_band = larger.shell_coverage * 2 * larger.shell_radii / larger.box_size
    np.testing.assert_allclose(inside_band[:-1], 1)
    assert 0.3 < inside_band[-1] < 1


def test_power_of_white_coefficients(larger, rng):
    power = larger.power(3 * rng.normal(size=(40, larger.n_coefficients))).mean(axis=0)
    error = np.sqrt(2 / (40 * larger.shell_counts))
    assert (abs(power / 9 - 1) < 4 * error).all()


def test_parseval_of_power(larger, rng):
    coefficients = rng.normal(size=(2, larger.n_coefficients))
    total = (larger.power(coefficients) * larger.shell_counts).sum(axis=1)
    np.testing.assert_allclose(total, (coefficients**2).sum(axis=1), rtol=1e-10)


def test_filter_laws(larger, rng):
    a, b = rng.normal(size=(2, 3, larger.n_coefficients))
    ones = np.ones((larger.n_shells, 3))
    np.testing.assert_allclose(larger.filter(a, ones), a)
    gain = rng.uniform(size=(larger.n_shells, 3))
    matrices = np.stack([np.diag(row) for row in gain])
    np.testing.assert_allclose(larger.filter(a, gain), larger.filter(a, matrices))
    roots = rng.normal(size=(larger.n_shells, 3, 3))
    positive = roots @ np.swapaxes(roots, 1, 2)
    left, right = (a * larger.filter(b, positive)).sum(), (larger.filter(a, positive) * b).sum()
    np.testing.assert_allclose(left, right, rtol=1e-10)
    assert (a * larger.filter(a, positive)).sum() > 0


def test_filter_is_radial_in_the_slices(larger, rng):
    """A smooth gain of |k| on the coefficients is that gain on the slices, within the ball."""
    # a density well inside the ball: its surface smooths over what a gain would keep apart
    z, y, x = np.indices((larger.size,) * 3) - larger.size // 2
    window = np.exp(-(z**2 + y**2 + x**2) / (2 * (larger.radius / 3) ** 2))
    cubes = window * rng.normal(size=(1, larger.size, larger.size, larger.size))
    coefficients = larger.expand(cubes).astype(np.float32)
    gain = 1 / (1 + (larger.shell_radii / 10) ** 2)
    filtered = larger.filter(coefficients, gain[:, None])
    samples = fourier_samples(larger.box_size, 12)
    rotations = random_rotations(rng, 5)
    found = projector.forward(rotations, *one_grid(larger, filtered), samples)[:, :, 0]
    plain = projector.forward(rotations, *one_grid(larger, coefficients), samples)[:, :, 0]
    wanted = plain / (1 + (np.hypot(samples.kx, samples.ky) / 10) ** 2)
    # steps of a shell, and what the window leaves near the surface
    assert np.linalg.norm(found - wanted) < 0.06 * np.linalg.norm(wanted)
    assert np.linalg.norm(found - plain) > 0.3 * np.linalg.norm(plain)


def test_filter_mixes_functions(larger, rng):
    coefficients = rng.normal(size=(2, larger.n_coefficients))
    swap = np.tile([[0.0, 1.0], [1.0, 0.0]], (larger.n_shells, 1, 1))
    np.testing.assert_allclose(larger.filter(coefficients, swap), coefficients[::-1], atol=1e-12)
    assert larger.filter(coefficients.astype(np.float32), swap).dtype == np.float32


# ---- the object itself -----------------------------------------------------------------------


def test_pickle_is_small(larger, rng):
    larger.fourier_grid(rng.normal(size=(1, larger.n_coefficients)))
    again = pickle.dumps(larger)
    assert len(again) < 500  # its parameters, not its tables
    assert pickle.loads(again) == larger
    assert hash(pickle.loads(again)) == hash(larger)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ((6, 8, 32, 15, 16), "must be even"),
        ((6, 8, 32, 16, 15), "must be even"),
        ((9, 8, 32, 16, 16), "must fit in"),
        ((0, 8, 32, 16, 16), "must fit in"),
        ((6, 8, 32, 16, 6), "give it more"),
        ((6, 0, 32, 16, 16), "give it more"),
        ((1, 1, 32, 16, 16), "too small for this band limit"),
        ((6, 8, 32, 16, 16, 1.5), "not between 0 and 1"),
    ],
)
def test_senseless_parameters_are_refused(parameters, words):
    with pytest.raises(ShapeError, match=words):
        GpswfBasis(*parameters)

import numpy as np
import pytest

from contracts.basis import BasisContract
from napari_hypermol import backend
from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.coordinates.gridding import kernel_value
from napari_hypermol.errors import ShapeError


def ball_mask(size, radius, edge=0.0, lowest=0.0):
    """1 inside a radius, falling linearly over `edge` voxels, no value in (0, lowest)."""
    z, y, x = np.indices((size,) * 3) - size // 2
    distance = np.sqrt(z**2 + y**2 + x**2)
    mask = np.clip((radius + edge - distance) / edge if edge else distance <= radius, 0, 1)
    return np.where(mask >= lowest, mask, 0).astype(np.float32)


@pytest.mark.parametrize(
    ("size", "radius", "edge", "cube", "box"),
    [(8, 3, 0, 8, 16), (8, 2.5, 1.5, 12, 17), (12, 7, 2, 20, 33)],
)
class TestVoxelBasis(BasisContract):
    @pytest.fixture
    def basis(self, size, radius, edge, cube, box):
        # 0.3: below, `expand` stops dividing on purpose; see test_expand_does_not_amplify
        return VoxelBasis(ball_mask(size, radius, edge, lowest=0.31), cube, box)


@pytest.fixture(scope="module")
def soft():
    return VoxelBasis(ball_mask(12, 3.5, 2.0), 16, 24)


@pytest.fixture(scope="module")
def full():
    return VoxelBasis(np.ones((12, 12, 12), dtype=np.float32), 16, 24)


def test_scatter_and_gather_are_adjoint_and_inverse(soft, rng):
    coefficients = rng.normal(size=(2, soft.n_coefficients))
    cubes = soft.scatter(coefficients)
    np.testing.assert_array_equal(soft.gather(cubes), coefficients)
    assert np.count_nonzero(cubes[0]) == soft.n_coefficients
    other = rng.normal(size=cubes.shape)
    np.testing.assert_allclose((cubes * other).sum(), (coefficients * soft.gather(other)).sum())


def test_fill_is_the_share_of_voxels(soft, full):
    assert full.fill == 1
    assert soft.fill == (soft.mask > 0).sum() / 12**3


def test_unit_volume_is_that_of_a_voxel_in_voxels_of_the_box(full):
    """A constant density has the same squared norm, however coarse its voxels are."""
    constant = np.ones((1, full.n_coefficients))
    squares = (full.evaluate(constant) ** 2).sum() * full.unit_volume
    assert squares == pytest.approx(full.edge**3)


def test_shells_are_cycles_per_box_edge(full):
    np.testing.assert_allclose(full.shell_radii, np.arange(7) * 24 / 16)


def test_coverage_is_the_share_of_a_mode_that_a_plane_sees(full, rng):
    """Of planes through the origin at random, the area inside a shell per mode's volume.

    A slice has box_size^2 samples of unit weight a unit of (1 / pixel)^2, and a shell of modes
    spaced 1 / edge; the power of a unit coefficient in a slice follows by Parseval.
    """
    spacing, box, edge = full.edge / full.size, full.box_size, full.edge
    radius, width = full.shell_radii[4] / box, 0.02  # [1 / pixel]
    points = rng.uniform(-0.4, 0.4, size=(400_000, 2))
    density = len(points) / 0.8**2
    distance = np.hypot(*points.T)
    seen = (abs(distance - radius) < width / 2).sum() / density * box**2  # samples of one image
    shell = 4 * np.pi * ((radius + width / 2) ** 3 - (radius - width / 2) ** 3) / 3
    modes = shell * edge**3
    # A unit coefficient spread over all modes (unitary over size^3): |slice|^2 at a sample.
    power = spacing**6 * full.size**3 / box**2
    assert full.shell_coverage[4] == pytest.approx(seen * power / modes, rel=0.05)  # Monte Carlo


def test_expand_does_not_amplify(soft, rng):
    coefficients = rng.normal(size=(1, soft.n_coefficients))
    mask = soft.mask[soft.mask > 0]
    again = soft.expand(soft.evaluate(coefficients))
    np.testing.assert_allclose(again, coefficients * mask / np.maximum(mask, 0.3), rtol=1e-6)
    assert (abs(again) <= abs(coefficients) * (1 + 1e-6)).all()


def test_evaluate_full_keeps_a_constant_inside(full):
    volumes = full.evaluate_full(np.ones((1, full.n_coefficients)))
    assert volumes.shape == (1, 16, 16, 16)
    np.testing.assert_allclose(volumes, 1)


def test_stored_grid_is_hermitian_and_periodic(full, rng):
    stored = full.fourier_grid(rng.normal(size=(1, full.n_coefficients)))[..., 0]
    o, reach = full.grid_origin, stored.shape[0] - full.grid_origin - 1
    assert stored.shape == full.grid_shape == (29, 29, 16)
    tolerance = 1e-5 * abs(stored).max()
    inner = np.arange(-reach, reach + 1)
    for x in (-1, 0, 1):  # the halo column, the plane it mirrors at, and the first beyond
        here = stored[np.ix_(o + inner, o + inner, [1 + x])]
        there = stored[np.ix_(o - inner, o - inner, [1 - x])]
        np.testing.assert_allclose(here, np.conj(there), atol=tolerance)
    period = 24
    np.testing.assert_allclose(stored[:4], stored[period : period + 4], atol=tolerance)
    np.testing.assert_allclose(stored[:, :4], stored[:, period : period + 4], atol=tolerance)


def test_interpolated_zero_frequency_is_the_mass(soft):
    """Taps around 0 give sum(density) spacing^3 / box, the unitary transform's value there."""
    stored = soft.fourier_grid(np.ones((1, soft.n_coefficients)))[..., 0]
    o, taps = soft.grid_origin, kernel_value([-1, 0, 1])
    around = stored[o - 1 : o + 2, o - 1 : o + 2, 0:3]
    value = np.einsum("z,y,x,zyx", taps, taps, taps, around)
    mass = soft.mask.sum() * (16 / 12) ** 3 / 24
    np.testing.assert_allclose(value, mass, rtol=1e-2)  # the projector's promise


def test_parseval_of_power(soft, full, rng):
    for basis in (soft, full):
        coefficients = rng.normal(size=(2, basis.n_coefficients))
        total = (basis.power(coefficients) * basis.shell_counts).sum(axis=1)
        np.testing.assert_allclose(total, (coefficients**2).sum(axis=1), rtol=1e-10)
        assert basis.shell_counts.sum() == 12**3


def test_white_noise_has_its_variance_in_every_shell(full, rng):
    power = full.power(3 * rng.normal(size=(40, full.n_coefficients))).mean(axis=0)
    # relative error sqrt(2 / (40 modes)) at most, per shell
    error = np.sqrt(2 / (40 * full.shell_counts))
    assert (abs(power / 9 - 1) < 4 * error).all()


def test_filter_with_gain_one_is_the_identity(soft, rng):
    coefficients = rng.normal(size=(2, soft.n_coefficients))
    ones, matrices = np.ones((soft.n_shells, 2)), np.tile(np.eye(2), (soft.n_shells, 1, 1))
    np.testing.assert_allclose(soft.filter(coefficients, ones), coefficients, atol=1e-12)
    np.testing.assert_allclose(soft.filter(coefficients, matrices), coefficients, atol=1e-12)


def test_diagonal_and_matrix_gains_agree(soft, rng):
    coefficients = rng.normal(size=(2, soft.n_coefficients))
    gain = rng.uniform(size=(soft.n_shells, 2))
    matrices = np.stack([np.diag(row) for row in gain])
    np.testing.assert_allclose(soft.filter(coefficients, gain), soft.filter(coefficients, matrices))


def test_filter_is_symmetric_and_positive(soft, rng):
    a, b = rng.normal(size=(2, 3, soft.n_coefficients))
    roots = rng.normal(size=(soft.n_shells, 3, 3))
    gain = roots @ np.swapaxes(roots, 1, 2)
    left, right = (a * soft.filter(b, gain)).sum(), (soft.filter(a, gain) * b).sum()
    np.testing.assert_allclose(left, right, rtol=1e-10)
    assert (a * soft.filter(a, gain)).sum() > 0


def test_filter_mixes_functions(full, rng):
    coefficients = rng.normal(size=(2, full.n_coefficients))
    swap = np.tile([[0.0, 1.0], [1.0, 0.0]], (full.n_shells, 1, 1))
    np.testing.assert_allclose(full.filter(coefficients, swap), coefficients[::-1], atol=1e-12)


@pytest.mark.parametrize("size", [8, 12])
def test_what_a_solve_calls_is_the_same_on_a_device(cupy, rng, size):
    basis = VoxelBasis(ball_mask(size, size / 2 - 1.5, 1.5), size + 4, 2 * size + 1)
    assert basis.is_portable(3)
    assert not basis.is_portable(100)
    coefficients = rng.normal(size=(3, basis.n_coefficients)).astype(np.float32)
    cubes = rng.normal(size=(3, size, size, size)).astype(np.float32)
    stored = basis.fourier_grid(coefficients)
    other = stored + (rng.normal(size=stored.shape) * (1 + 2j)).astype(np.complex64)
    diagonal = rng.uniform(size=(basis.n_shells, 3))
    calls = [
        (basis.scatter, coefficients),
        (basis.gather, cubes),
        (basis.evaluate, coefficients),
        (basis.evaluate_adjoint, cubes),
        (basis.fourier_grid, coefficients),
        (basis.fourier_grid_adjoint, other),
        (lambda x: basis.filter(x, diagonal), coefficients),
        (lambda x: basis.filter(x, np.ones((basis.n_shells, 3, 3))), coefficients),
    ]
    for call, value in calls:
        expected, found = call(value), call(cupy.asarray(value))
        assert isinstance(found, cupy.ndarray)
        assert found.dtype == expected.dtype
        scale = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(backend.as_numpy(found), expected, atol=scale)


def test_filter_keeps_only_its_shell(full, rng):
    coefficients = rng.normal(size=(1, full.n_coefficients))
    gain = np.zeros((full.n_shells, 1))
    gain[3] = 2.0
    power = full.power(full.filter(coefficients, gain))[0]
    expected = np.zeros(full.n_shells)
    expected[3] = 4 * full.power(coefficients)[0, 3]
    np.testing.assert_allclose(power, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.ones((7, 7, 7)), r"shape \(7, 7, 7\), expected an even cube"),
        (np.ones((8, 8, 6)), r"shape \(8, 8, 6\)"),
        (np.zeros((8, 8, 8)), "zero everywhere"),
    ],
)
def test_what_is_no_basis_is_refused(mask, words):
    with pytest.raises(ShapeError, match=words):
        VoxelBasis(mask.astype(np.float32), 8, 16)

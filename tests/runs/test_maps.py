import numpy as np
import pytest
from scipy import ndimage

from examples import bumps, one_ball, pretzel_like, random_rotations
from napari_hypermol.bases.classes import ClassBasis
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.bases.product import ProductBasis
from napari_hypermol.errors import ShapeError
from napari_hypermol.molecules.component import Component, rotation_about
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.molecules.trajectory import RigidTrajectory, Translation, Turn
from napari_hypermol.runs.maps import HyperMaps, _add_moved


def random_maps(rng, composite, max_radius=6):
    molecule = composite.discretise(max_radius)
    return HyperMaps(molecule, rng.normal(size=molecule.n_coefficients).astype(np.float32))


@pytest.fixture
def maps(rng):
    return random_maps(rng, pretzel_like(16))


def test_axes_are_named_after_components(maps):
    assert maps.dims == 2
    assert maps.axis_names == ("tau1", "tau2")
    assert maps.axis_components == ("arm", "copy")
    assert maps.box_size == 16


def test_whole_is_the_sum_of_components(maps):
    parts = [("body", []), ("arm", [0.2]), ("copy", [0.9])]
    total = sum(maps.component_volume(name, states) for name, states in parts)
    np.testing.assert_allclose(maps.volume([0.2, 0.9]), total, atol=1e-5 * abs(total).max())
    assert maps.volume([0.2, 0.9]).dtype == np.float32


def test_each_state_moves_its_own_component(maps):
    difference = maps.volume([0.1, 0.5]) - maps.volume([0.8, 0.5])
    own = maps.component_volume("arm", [0.1]) - maps.component_volume("arm", [0.8])
    np.testing.assert_allclose(difference, own, atol=1e-5 * abs(own).max())
    assert abs(own).max() > 0


def test_mean_over_states_is_function_zero(rng):
    maps = random_maps(rng, one_ball(12, degree=3))
    steps = (np.arange(200) + 0.5) / 200
    mean = np.mean([maps.volume([t]) for t in steps], axis=0)
    molecule = maps.molecule
    (part,) = molecule.split(maps.theta)
    only_mean = part * (np.arange(len(part)) == 0)[:, None]
    expected = HyperMaps(molecule, only_mean.ravel()).volume([0.5])
    # midpoint sums of cos(pi q tau) vanish but for rounding
    np.testing.assert_allclose(mean, expected, atol=1e-5 * abs(expected).max())


def test_contrast_limits_hold_every_state(maps):
    low, high = maps.contrast_limits
    corners = [(s, t) for s in (0, 0.5, 1) for t in (0, 0.5, 1)]
    assert low == 0
    assert high == pytest.approx(max(maps.volume(c).max() for c in (*corners, (0.25, 1))), rel=0.3)
    assert high >= max(maps.volume(c).max() for c in corners)


def test_limits_of_an_empty_molecule():
    molecule = pretzel_like(16).discretise(6)
    assert HyperMaps(molecule, molecule.zeros()).contrast_limits == (0.0, 1.0)


@pytest.mark.parametrize("states", [[], [0.5], [0.5, 0.5, 0.5], [[0.5, 0.5]]])
def test_wrong_number_of_states(maps, states):
    with pytest.raises(ShapeError, match=r"expected 2 numbers in \[0, 1\]"):
        maps.volume(states)


def test_rigid_molecule(rng):
    composite = one_ball(12)
    maps = HyperMaps(composite.discretise(5, 0), np.ones(1, dtype=np.float32))
    molecule = maps.molecule
    maps = HyperMaps(molecule, rng.normal(size=molecule.n_coefficients).astype(np.float32))
    assert maps.volume([0.3]).shape == (12, 12, 12)
    np.testing.assert_array_equal(maps.volume([0.3]), maps.volume([0.9]))


# ---- components that move as a whole -------------------------------------------------------------

TURN = RigidTrajectory(
    Turn(np.array([0.0, 0.6, 0.8]), np.array([1.0, 0.0, -0.5]), np.array([0.6, 0.1])),
    Translation(np.array([[0.5, 1.5, 0.0]]), np.array([[1]])),
)
PLACE, SHIFT = rotation_about((1, 2, -1), np.radians(70)), np.array([1.5, -2.0, 0.7])
PLACES, HEIGHTS, WIDTH = np.array([[5.0, 0, 1], [2.8, -1.5, 0]]), np.array([1.0, 0.7]), 1.4


def moving_maps(shape=None, is_tied=False):
    """A component with a trajectory and a copy of it; its shapes are multiples of one density."""
    arm = Component(
        "arm", Ball((4, -1, 1), 6, 1.0), shape or ConstantBasis(), trajectory=TURN, is_tied=is_tied
    )
    copy = Component(
        "copy", arm.support, arm.state_basis, "arm", PLACE, SHIFT, TURN, is_tied=is_tied
    )
    molecule = Composite((arm, copy), 24).discretise(11)
    (basis,), (centre,) = molecule.bases, molecule.centres
    one = bumps(basis, centre, PLACES, HEIGHTS, WIDTH)
    factors = 1.0 / (1 + np.arange(molecule.set_shapes[0][0]))
    return HyperMaps(molecule, np.outer(factors, one).astype(np.float32).ravel()), factors


def analytic(move):
    """The Gaussians after `move`, on the voxels of the box."""
    axis = np.arange(24) - 12
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    total = np.zeros(x.shape)
    for place, height in zip(PLACES, HEIGHTS, strict=True):
        to = move(place)
        squares = (x - to[0]) ** 2 + (y - to[1]) ** 2 + (z - to[2]) ** 2
        total += height * np.exp(-squares / (2 * WIDTH**2))
    return total


def turned(tau, point):
    """TURN by its definition."""
    x = 2 * tau - 1
    rotation = rotation_about((0, 0.6, 0.8), 0.6 * x + 0.1 * x**2)
    pivot = np.array([1.0, 0, -0.5])
    return rotation @ (point - pivot) + pivot + x * np.array([0.5, 1.5, 0])


# Linear interpolation on half voxels: h^2 / 8 times the curvature 1 / width^2 along every axis,
# 5 % of the peak at worst; the support's edge and coarse voxels add a per cent.
CLOSE = 0.06


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0])
def test_a_moved_component_is_the_moved_density(tau):
    maps, _ = moving_maps()
    found = maps.component_volume("arm", [tau])
    expected = analytic(lambda x: turned(tau, x))
    np.testing.assert_allclose(found, expected, atol=CLOSE * expected.max())
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert error < 0.05
    still = analytic(lambda x: x)
    assert np.linalg.norm(still - expected) > 0.5 * np.linalg.norm(expected)


def test_a_placed_copy_moves_in_its_own_frame():
    maps, _ = moving_maps()
    found = maps.component_volume("copy", [0.8])
    expected = analytic(lambda x: PLACE @ turned(0.8, x) + SHIFT)
    np.testing.assert_allclose(found, expected, atol=CLOSE * expected.max())
    both = maps.volume([0.1, 0.8])
    parts = maps.component_volume("arm", [0.1]) + found
    np.testing.assert_allclose(both, parts, atol=1e-5)


@pytest.mark.parametrize("is_tied", [True, False])
def test_position_and_shape_have_their_own_sliders_unless_tied(is_tied):
    shape = CosineBasis(2)
    maps, factors = moving_maps(shape, is_tied)
    assert maps.dims == (2 if is_tied else 4)
    assert maps.axis_components == (("arm", "copy") if is_tied else ("arm", "arm", "copy", "copy"))
    state = [0.3] if is_tied else [0.3, 0.9]
    height = float((shape.evaluate(np.array([[state[-1]]])) @ factors)[0])
    expected = height * analytic(lambda x: turned(0.3, x))
    found = maps.component_volume("arm", state)
    np.testing.assert_allclose(found, expected, atol=CLOSE * abs(expected).max())


def test_kinds_of_axes_are_those_of_the_components():
    ball = Ball((0, 0, 0), 5)
    items = (
        Component("body", ball, ConstantBasis()),
        Component("wheel", ball, FourierBasis(1)),
        Component("mixed", ball, ProductBasis(ClassBasis(2), FourierBasis(1), 1)),
        Component("arm", ball, CosineBasis(1), trajectory=TURN),
    )
    composite = Composite(items, 16)
    for degree in (None, 0):  # the sliders are those of the recipe from the first stage on
        molecule = composite.discretise(6, degree)
        maps = HyperMaps(molecule, molecule.zeros())
        assert maps.axis_kinds == ("circle", "class", "circle", "interval", "interval")
        assert maps.axis_components == ("wheel", "mixed", "mixed", "arm", "arm")
        assert not maps.volume([0.5] * 5).any()


def test_before_it_moves_a_component_is_at_home():
    maps, _ = moving_maps()
    composite = Composite(maps.molecule.components, 24)
    still = composite.discretise(11, 0)
    early = HyperMaps(still, still.transfer(maps.theta, maps.molecule))
    expected = analytic(lambda x: x)
    for tau in (0.0, 0.9):
        found = early.component_volume("arm", [tau])
        np.testing.assert_allclose(found, expected, atol=CLOSE * expected.max())


# ---- the kernel that moves them ------------------------------------------------------------------


def moved(density, rotation, shift, centre, size):
    """V(P^-1 (r - s)) by scipy's linear interpolation, zero outside the density."""
    fine = len(density)
    grid = np.indices((size,) * 3).reshape(3, -1)[::-1] - size // 2  # x, y, z
    own = rotation.T @ (grid - shift[:, None])
    index = 2 * (own - centre[:, None]) + fine // 2
    values = ndimage.map_coordinates(density, index[::-1], np.float64, order=1, cval=0.0)
    return values.reshape((size,) * 3)


@pytest.mark.parametrize("size", [12, 15])
@pytest.mark.parametrize("offset", [0.0, 4.5, 30.0])
def test_moved_density(rng, size, offset):
    """As scipy does it, wherever the density comes to lie: inside, across the edge, outside."""
    density = rng.normal(size=(14, 14, 14)).astype(np.float32)
    for rotation in random_rotations(rng, 5).astype(np.float64):
        shift, centre = rng.normal(size=3) + offset, rng.normal(size=3)
        total = np.ones((size,) * 3, dtype=np.float32)
        _add_moved(total, density, rotation, shift, centre)
        expected = 1 + moved(density, rotation, shift, centre, size)
        # sums in single precision of numbers of order 1
        np.testing.assert_allclose(total, expected, atol=1e-5)
    is_seen = abs(expected - 1).max() > 0.5
    assert is_seen == (offset < 30)


def test_density_along_the_box_is_sampled(rng):
    """Rows parallel to the density's own: no rotation, every second voxel of it."""
    density = rng.normal(size=(8, 8, 8)).astype(np.float32)
    total = np.zeros((10, 10, 10), dtype=np.float32)
    _add_moved(total, density, np.eye(3), np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(total[3:7, 3:7, 3:7], density[::2, ::2, ::2])
    total[3:7, 3:7, 3:7] = 0
    assert not total.any()


def lid_on_base(shape):
    turn = RigidTrajectory(Turn(np.array([0.0, 0, 1]), np.array([2.0, 0, 0]), np.array([0.5])))
    base = Component("base", Ball((-3.0, 0, 0), 3.0, 1.0), ConstantBasis())
    lid = Component("lid", Ball((4.0, 0, 0), 3.0, 1.0), shape, trajectory=turn)
    return Composite((base, lid), 20)


@pytest.mark.parametrize("shape", [ConstantBasis(), CosineBasis(2)])
def test_shape_of_what_moves(rng, shape):
    """The density that is moved is the sum of the coefficient volumes at the shape's state."""
    maps = random_maps(rng, lid_on_base(shape))
    state = [0.8] + [0.3] * shape.dims
    placed = maps._placed[1]
    values = shape.evaluate(np.array([state[1:]]))[0]
    density = sum(v * volume for v, volume in zip(values, placed.volumes, strict=True))
    rotations, shifts = maps.molecule.placements(1, np.array([[0.8]]))
    expected = moved(density, rotations[0], shifts[0], placed.centre, 20)
    found = maps.component_volume("lid", state)
    np.testing.assert_allclose(found, expected, atol=1e-5 * abs(expected).max())


def test_coefficients_are_left_alone(rng):
    maps = random_maps(rng, lid_on_base(CosineBasis(2)))
    one = maps.volume([0.8, 0.3])
    maps.volume([0.1, 0.9])
    np.testing.assert_array_equal(maps.volume([0.8, 0.3]), one)


def test_contrast_limits_look_at_every_class(rng):
    """One class of seven far brighter than the others: five states along [0, 1] would miss it."""
    ball = Ball((0, 0, 0), 3.0, 1.0)
    molecule = Composite((Component("ball", ball, ClassBasis(7)),), 12).discretise(4)
    q, k = molecule.set_shapes[0]
    bright = np.linalg.inv(ClassBasis(7).evaluate((np.arange(7)[:, None] + 0.5) / 7))[:, 1]
    theta = np.outer(bright, np.ones(k)).astype(np.float32)
    maps = HyperMaps(molecule, theta.ravel())
    assert q == 7
    assert maps.contrast_limits[1] == pytest.approx(maps.volume([1.5 / 7]).max())
    assert maps.contrast_limits[1] > 10 * abs(maps.volume([0.5])).max()

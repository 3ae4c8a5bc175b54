import numpy as np
import pytest

from examples import pretzel_like, random_rotations, scene
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.coordinates.fourier import image_to_half_plane
from napari_hypermol.errors import MaskError
from napari_hypermol.imaging import projector
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.molecules.component import Component, rotation_about
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball, Mask


@pytest.fixture(scope="module")
def molecule():
    return pretzel_like(16).discretise(6)


@pytest.fixture
def theta(molecule, rng):
    return rng.normal(size=molecule.n_coefficients).astype(np.float32)


def test_columns_and_sets(molecule):
    assert molecule.n_functions == (1, 3, 3)
    assert molecule.columns == (slice(0, 1), slice(1, 4), slice(4, 7))
    np.testing.assert_array_equal(molecule.owners, [0, 1, 1])
    assert len(molecule.bases) == 2
    assert [q for q, _ in molecule.set_shapes] == [1, 3]
    assert pretzel_like(16).dims == 2


def test_split_shows_theta_itself(molecule, theta):
    parts = molecule.split(theta)
    assert [part.shape for part in parts] == list(molecule.set_shapes)
    parts[1][0, 0] = 99
    assert 99 in theta
    assert molecule.zeros().shape == theta.shape


def test_grids_lie_one_after_the_other(molecule, theta):
    grids = molecule.grids(theta)
    for s, (basis, part) in enumerate(zip(molecule.bases, molecule.split(theta), strict=True)):
        length = 2 * len(part) * np.prod(basis.grid_shape)
        stored = grids.values[grids.offsets[s] :][:length]
        np.testing.assert_array_equal(stored, basis.fourier_grid(part).view(np.float32).ravel())
        np.testing.assert_array_equal(grids.sizes[s], basis.grid_shape)
    assert not molecule.empty_grids.values.any()


def test_grids_and_their_adjoint(molecule, theta, rng):
    values = molecule.grids(theta).values
    other = values + rng.normal(size=values.shape).astype(np.float32)
    left = np.dot(values.astype(np.float64), other)
    right = np.dot(theta.astype(np.float64), molecule.grids_adjoint(other))
    np.testing.assert_allclose(left, right, rtol=1e-4)


@pytest.mark.parametrize("max_degree", [None, 5, 2, 1, 0])
def test_degree_is_capped(max_degree):
    molecule = pretzel_like(16, degree=3).discretise(5, max_degree)
    degree = 3 if max_degree is None else min(3, max_degree)
    assert molecule.n_functions == (1, degree + 1, degree + 1)
    assert [basis.dims for basis in molecule.state_bases[1:]] == [1 if degree else 0] * 2


def test_voxels_are_as_coarse_as_the_band_limit_allows():
    composite = pretzel_like(32)
    coarse, fine = composite.discretise(4), composite.discretise(14)
    assert coarse.n_coefficients < fine.n_coefficients / 5
    for molecule, radius in ((coarse, 4), (fine, 14)):
        for basis in molecule.bases:
            # the coarse voxels' Nyquist [cycles per box edge] is beyond the band limit
            assert 0.5 * 32 * basis.size / basis.edge >= radius


def test_supports_outside_the_box_are_refused():
    away = Component("tail", Ball((30, 0, 0), 3), CosineBasis(1))
    with pytest.raises(MaskError, match="component tail: its support misses the box"):
        Composite((away,), 16).discretise(5)


def test_what_sticks_out_of_the_box_has_no_coefficients():
    half_out = Component("tail", Ball((8, 0, 0), 3), ConstantBasis())
    basis = Composite((half_out,), 16).discretise(7).bases[0]
    inside = np.argwhere(basis.mask > 0)[:, 2] - basis.size // 2  # x from the ball's centre
    assert inside.max() == 0  # the box ends at x = 8, the centre
    assert inside.min() < -2


# Voxels as fine as the box: 1 % of the slices and 1 % of the cubic interpolation that turns the
# copy. Coarser ones: white noise cut off at the edge of its cube rings a little beyond it.
@pytest.mark.parametrize(
    ("box_size", "max_radius", "tolerance"), [(16, 7, 0.02), (33, 14, 0.02), (32, 10, 0.04)]
)
def test_maps_and_slices_are_the_same_density(box_size, max_radius, tolerance, rng):
    """Summing the placed volumes along z is the slice at R = 1, component by component."""
    molecule, placements, samples = scene(pretzel_like(box_size), max_radius)
    theta = smooth(molecule, rng)
    slices = projector.forward(
        np.eye(3, dtype=np.float32)[None], molecule.grids(theta), placements, samples
    )[0]
    for columns, placed in zip(molecule.columns, molecule.placed_volumes(theta), strict=True):
        for q, volume in enumerate(placed.volumes):
            box = np.zeros((box_size,) * 3, dtype=np.float32)
            z, y, x = placed.corner
            box[z : z + volume.shape[0], y : y + volume.shape[1], x : x + volume.shape[2]] = volume
            half = image_to_half_plane(box.sum(axis=0))[samples.rows, samples.columns]
            expected = slices[:, columns.start + q]
            error = np.linalg.norm(half - expected) / np.linalg.norm(expected)
            assert error < tolerance


def smooth(molecule, rng):
    """Coefficients whose density stays well below the band limit."""
    theta = rng.normal(size=molecule.n_coefficients).astype(np.float32)
    for basis, part in zip(molecule.bases, molecule.split(theta), strict=True):
        k = np.arange(basis.n_shells) * 16 / basis.edge  # [cycles per 16 voxels]
        part[:] = basis.filter(part, np.repeat(np.exp(-((k / 3) ** 2))[:, None], len(part), 1))
    return theta


def test_transfer_to_finer_voxels_keeps_the_slices(rng):
    composite = pretzel_like(32, degree=2)
    coarse, placements, samples = scene(composite, 10, 1)
    fine = composite.discretise(14, 2)
    theta = smooth(coarse, rng)
    for basis, part in zip(coarse.bases, coarse.split(theta), strict=True):
        # Fade out towards the edge of the support: coarse voxels have a wider edge than fine ones,
        # and what lies in it is lost on purpose (6 to 14 % of the norm for such small balls).
        squares = ((np.argwhere(basis.mask > 0) - basis.size // 2) ** 2).sum(axis=1)
        part *= np.exp(-squares / (2 * (basis.size / 8) ** 2))
    moved = fine.transfer(theta, coarse)
    rotations = random_rotations(rng, 2)
    before = projector.forward(rotations, coarse.grids(theta), placements, samples)
    after = projector.forward(
        rotations, fine.grids(moved), Placements(*fine.placement_arrays), samples
    )
    for old, new in zip(coarse.columns, fine.columns, strict=True):
        kept = after[..., new][..., : old.stop - old.start]
        error = np.linalg.norm(kept - before[..., old]) / np.linalg.norm(before[..., old])
        assert error < 0.04  # 2 % measured: interpolation, and what is left in the edge
        assert not after[..., new][..., old.stop - old.start :].any()  # new functions start at zero


def test_transfer_to_the_same_voxels_changes_little(molecule, rng):
    theta = molecule.transfer(smooth(molecule, rng), molecule)
    again = molecule.transfer(theta, molecule)
    for basis, one, two in zip(
        molecule.bases, molecule.split(theta), molecule.split(again), strict=True
    ):
        where = basis.mask[basis.mask > 0] >= 0.3  # below, the division is held back on purpose
        np.testing.assert_allclose(two[:, where], one[:, where], rtol=1e-4, atol=1e-6)


def test_transfer_gives_a_rigid_component_its_states(rng):
    composite = pretzel_like(16, degree=2)
    rigid, moving = composite.discretise(5, 0), composite.discretise(5, 2)
    theta = rng.normal(size=rigid.n_coefficients).astype(np.float32)
    mean, first, second = moving.split(moving.transfer(theta, rigid))[1]
    assert mean.any()
    assert not first.any()
    assert not second.any()


def test_a_mask_and_a_ball_of_the_same_shape_discretise_alike():
    z, y, x = np.indices((16, 16, 16)) - 8
    painted = Ball((0, 0, 0), 4, 2).values(np.stack([x, y, z], axis=-1), 1)
    from_mask, from_ball = (
        Composite((Component("c", support, ConstantBasis()),), 16).discretise(7).bases[0]
        for support in (Mask(painted), Ball((0, 0, 0), 4, 2))
    )
    shared = min(from_mask.size, from_ball.size) // 2
    inner = [slice(b.size // 2 - shared, b.size // 2 + shared) for b in (from_mask, from_ball)]
    a = from_mask.mask[(inner[0],) * 3]
    b = from_ball.mask[(inner[1],) * 3]
    np.testing.assert_allclose(a, b, atol=0.02)  # a mask below 0.02 is cut


def test_a_placed_copy_is_the_component_turned(rng):
    """Placing by P is imaging the component itself from R P."""
    turn = rotation_about((0, 0, 1), np.pi)
    arm = Ball((3, 1, 0), 2.5, 1)
    composite = Composite(
        (
            Component("arm", arm, ConstantBasis()),
            Component("copy", arm, ConstantBasis(), shares="arm", rotation=turn),
        ),
        16,
    )
    molecule, placements, samples = scene(composite, 6)
    grids = molecule.grids(rng.normal(size=molecule.n_coefficients).astype(np.float32))
    rotations = random_rotations(rng, 2)
    seen = projector.forward(rotations, grids, placements, samples)
    turned = projector.forward(rotations @ turn.astype(np.float32), grids, placements, samples)
    np.testing.assert_allclose(seen[..., 1], turned[..., 0], atol=1e-3 * abs(seen).max())

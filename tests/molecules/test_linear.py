from dataclasses import replace

import numpy as np
import pytest

from examples import bumps, one_ball, random_rotations, scene
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.imaging import projector
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.molecules.component import Component, rotation_about
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.linear import LinearMolecule, MovingVolumes, PlacedVolumes
from napari_hypermol.molecules.sharing import point_group
from napari_hypermol.molecules.support import Ball
from napari_hypermol.molecules.trajectory import RigidTrajectory, Translation, Turn

BOX, RADIUS = 24, 9.0
ARM = Ball((4, -1, 1), 5.5, 1.0)
AXIS = np.array([0.3, -0.2, 1.0]) / np.sqrt(1.13)
TURN = RigidTrajectory(Turn(AXIS, np.array([1.0, 0.5, 0.0]), np.array([0.5])))
PLANE = RigidTrajectory(
    translation=Translation(np.array([[2.0, 0, 0], [0, 1.5, 1.0]]), np.array([[1, 0], [0, 1]]))
)
PLACE = rotation_about((1, 2, -1), np.radians(70))
SHIFT = np.array([1.5, -2.0, 0.7])

# Inside ARM, wide enough for the band limit, narrow enough for the support.
CENTRES = np.array([[5.0, 0.0, 1.0], [2.8, -1.5, 0.0]])
HEIGHTS, WIDTH = (1.0, 0.7), 1.3


def arm(shape=None, **more):
    return Component("arm", ARM, shape or ConstantBasis(), **more)


def with_body(*components):
    body = Component("body", Ball((-3, 0, 0), 4, 1.0), ConstantBasis())
    return Composite((body, *components), BOX)


MOVING = {
    "rigid": (arm(), ()),
    "shape": (arm(CosineBasis(2)), ("interval",)),
    "circle": (arm(FourierBasis(1)), ("circle",)),
    "position": (arm(trajectory=TURN), ("interval",)),
    "position in a plane": (arm(trajectory=PLANE), ("interval",) * 2),
    "tied": (arm(CosineBasis(2), trajectory=TURN, is_tied=True), ("interval",)),
    "position and shape": (arm(FourierBasis(1), trajectory=TURN), ("interval", "circle")),
}
SIZES = {  # positions, state functions, states of the table
    "rigid": (1, 1, 1), "shape": (1, 3, 32), "circle": (1, 3, 32), "position": (24, 1, 24),
    "position in a plane": (64, 1, 64), "tied": (24, 3, 24), "position and shape": (24, 3, 24 * 12),
}  # fmt: skip


@pytest.fixture(params=MOVING)
def kind(request):
    return request.param


@pytest.fixture
def molecule(kind):
    return with_body(MOVING[kind][0]).discretise(RADIUS)


def test_columns_are_functions_once_for_every_position(molecule, kind):
    positions, functions, _ = SIZES[kind]
    assert molecule.n_functions == (1, positions * functions)
    assert molecule.columns == (slice(0, 1), slice(1, 1 + positions * functions))
    expected = [(0, slice(0, 1))]
    for t in range(positions):
        expected.append((1, slice(1 + t * functions, 1 + (t + 1) * functions)))
    assert list(molecule.placement_columns) == expected
    assert molecule.kinds(0) == ()
    assert molecule.kinds(1) == MOVING[kind][1] == MOVING[kind][0].kinds
    assert molecule.set_shapes[1][0] == functions  # positions do not add coefficients


def test_pairs_leave_out_two_positions_at_once(molecule, kind):
    positions, functions, _ = SIZES[kind]
    position_of = [-1] + [t for t in range(positions) for _ in range(functions)]
    for p, one in enumerate(position_of):
        for q, two in enumerate(position_of):
            assert molecule.pairs[p, q] == (-1 in (one, two) or one == two)


def test_table_has_functions_at_one_position_a_state(molecule, kind):
    positions, functions, n_states = SIZES[kind]
    states, table = molecule.table(1, 32)
    assert states.shape == (n_states, len(MOVING[kind][1]))
    assert table.shape == (n_states, positions * functions)
    assert len({tuple(row) for row in states}) == n_states
    basis, at = molecule.state_bases[1], molecule.positions(1)
    for state, row in zip(states, table, strict=True):
        position, shape = molecule.split_state(1, state[None])
        expected = np.zeros((positions, functions))
        where = np.flatnonzero((at == position).all(axis=1)) if positions > 1 else [0]
        expected[where] = basis.evaluate(shape)
        np.testing.assert_allclose(row, expected.ravel(), atol=1e-12)


def test_pairs_hold_all_that_the_table_needs(molecule):
    _, table = molecule.table(1, 16)
    own = molecule.pairs[molecule.columns[1], molecule.columns[1]]
    assert not ((abs(table).T @ abs(table) > 0) & ~own).any()


def test_grids_do_not_know_of_positions(molecule, rng):
    still = LinearMolecule(
        molecule.components, molecule.owners, molecule.bases, molecule.centres,
        molecule.state_bases, BOX, (None, None),
    )  # fmt: skip
    theta = rng.normal(size=molecule.n_coefficients).astype(np.float32)
    np.testing.assert_array_equal(molecule.grids(theta).values, still.grids(theta).values)


def test_still_at_degree_zero(kind):
    molecule = with_body(MOVING[kind][0]).discretise(RADIUS, 0)
    assert molecule.kinds(1) == ()
    assert molecule.n_functions == (1, 1)
    assert molecule.trajectories == (None, None)


# ---- slices against Gaussians in closed form -----------------------------------------------------


def density(basis, centre):
    """Coefficients of the Gaussians above."""
    return bumps(basis, centre, CENTRES, HEIGHTS, WIDTH)


def closed_form(samples, rotation, move):
    """Transform of the Gaussians' projection after `move` of the molecule, line by line."""
    total = np.zeros(len(samples.kx), dtype=complex)
    for bump, height in zip(CENTRES, HEIGHTS, strict=True):
        x, y, _ = np.asarray(rotation, float) @ move(bump)
        k2 = (samples.kx**2 + samples.ky**2) / BOX**2
        mass = height * (2 * np.pi) ** 1.5 * WIDTH**3 / BOX
        phase = np.exp(-2j * np.pi * (samples.kx * x + samples.ky * y) / BOX)
        total += mass * np.exp(-2 * np.pi**2 * WIDTH**2 * k2) * phase
    return total


def slices_of(composite, rng, theta_of=density):
    """The molecule, samples, rotations and slices with bumps in the first function of each set."""
    molecule, placements, samples = scene(composite, RADIUS)
    parts = []
    for (q, k), basis, centre in zip(
        molecule.set_shapes, molecule.bases, molecule.centres, strict=True
    ):
        part = np.zeros((q, k))
        part[0] = theta_of(basis, centre)
        parts.append(part.ravel())
    theta = np.concatenate(parts).astype(np.float32)
    rotations = random_rotations(rng, 3)
    slices = projector.forward(rotations, molecule.grids(theta), placements, samples)
    return molecule, samples, rotations, slices


def assert_slices(found, samples, rotations, move):
    for i, rotation in enumerate(rotations):
        expected = closed_form(samples, rotation, move)
        error = np.linalg.norm(found[i] - expected) / np.linalg.norm(expected)
        # 1 % of the projector, 1 to 2 % of the Gaussians cut by the support and its coarse voxels
        assert error < 0.04


def moved_to(trajectory, position, place=None, shift=(0, 0, 0)):
    """Where a point x of the own frame is, by the definition of each piece."""
    place, tau = np.eye(3) if place is None else place, np.asarray(position)[None]

    def move(x):
        turned, slid = (a[0] for a in trajectory.placements(tau))
        return place @ (turned @ x + slid) + np.asarray(shift)

    return move


@pytest.mark.parametrize("trajectory", [TURN, PLANE, RigidTrajectory(
    TURN.turn, Translation(np.array([[1.0, 2.0, -1.0]]), np.array([[1]])))
])  # fmt: skip
def test_slices_at_a_position_are_those_of_the_moved_density(trajectory, rng):
    composite = Composite((arm(trajectory=trajectory),), BOX)
    molecule, samples, rotations, slices = slices_of(composite, rng)
    positions = molecule.positions(0)
    for t in range(0, len(positions), 5):
        move = moved_to(trajectory, positions[t])
        assert_slices(slices[:, :, t], samples, rotations, move)
    ends = [moved_to(trajectory, positions[t])(CENTRES[0]) for t in (0, -1)]
    assert np.linalg.norm(ends[0] - ends[1]) > 2  # it does move


def test_shapes_at_positions_come_in_the_order_of_the_columns(rng):
    """Function q at position t is column t Q + q."""
    component = arm(CosineBasis(1), trajectory=TURN)
    molecule, placements, samples = scene(Composite((component,), BOX), RADIUS)
    (basis,), (centre,) = molecule.bases, molecule.centres
    part = np.stack([density(basis, centre), -2 * density(basis, centre)])
    theta = part.astype(np.float32).ravel()
    rotations = random_rotations(rng, 2)
    slices = projector.forward(rotations, molecule.grids(theta), placements, samples)
    np.testing.assert_allclose(
        slices[:, :, 1::2], -2 * slices[:, :, 0::2], atol=1e-5 * abs(slices).max()
    )
    move = moved_to(TURN, molecule.positions(0)[7])
    assert_slices(slices[:, :, 14], samples, rotations, move)


def test_a_placed_copy_moves_in_its_own_frame(rng):
    """r = P (R x + s) + p: the copy's trajectory is the owner's, turned and shifted with it."""
    owner = arm(trajectory=TURN)
    copy = replace(owner, name="copy", shares="arm", rotation=PLACE, shift=SHIFT)
    molecule, samples, rotations, slices = slices_of(Composite((owner, copy), BOX), rng)
    assert len(molecule.bases) == 1
    assert molecule.trajectory(1) is molecule.trajectory(0)
    positions = molecule.positions(1)
    for t in (0, 11, 23):
        move = moved_to(TURN, positions[t], PLACE, SHIFT)
        assert_slices(slices[:, :, 24 + t], samples, rotations, move)


def test_a_placed_copy_that_stays_is_shifted_after_its_turn(rng):
    copy = arm(shares="one", rotation=PLACE, shift=SHIFT)
    composite = Composite((Component("one", ARM, ConstantBasis()), copy), BOX)
    _, samples, rotations, slices = slices_of(composite, rng)
    assert_slices(slices[:, :, 0], samples, rotations, lambda x: x)
    assert_slices(slices[:, :, 1], samples, rotations, lambda x: PLACE @ x + SHIFT)


@pytest.mark.parametrize("group", ["C3", "D2"])
def test_copies_under_a_point_group_are_the_whole_turned(group, rng):
    """All copies together look the same from R and from R g, g any element of the group."""
    elements = point_group(group)
    first = arm()
    copies = [
        replace(first, name=f"copy {i}", shares="arm", rotation=g)
        for i, g in enumerate(elements[1:])
    ]
    molecule, samples, rotations, slices = slices_of(Composite((first, *copies), BOX), rng)
    for i, g in enumerate(elements):
        assert_slices(slices[:, :, i], samples, rotations, lambda x, g=g: g @ x)
    whole = slices.sum(axis=2)
    placements = Placements(*molecule.placement_arrays)
    theta = density(molecule.bases[0], molecule.centres[0]).astype(np.float32)
    for g in elements:
        turned = projector.forward(
            (rotations @ g).astype(np.float32), molecule.grids(theta), placements, samples
        ).sum(axis=2)
        np.testing.assert_allclose(turned, whole, atol=0.02 * abs(whole).max())  # the projector


# ---- maps and the rest ---------------------------------------------------------------------------


def test_only_what_stays_lies_on_the_voxels_of_the_box(rng):
    copy = replace(arm(), name="copy", shares="arm", shift=SHIFT)
    molecule = Composite((arm(), copy), BOX).discretise(RADIUS)
    theta = rng.normal(size=molecule.n_coefficients).astype(np.float32)
    for placed in molecule.placed_volumes(theta):
        assert isinstance(placed, PlacedVolumes)
    molecule = Composite((arm(CosineBasis(1), trajectory=TURN),), BOX).discretise(RADIUS)
    (moving,) = molecule.placed_volumes(molecule.zeros())
    assert isinstance(moving, MovingVolumes)
    edge = molecule.bases[0].edge
    assert moving.volumes.shape == (2, 2 * edge, 2 * edge, 2 * edge)


def test_other_trajectories_where_there_are_any():
    composite = with_body(arm(trajectory=TURN))
    molecule = composite.discretise(RADIUS)
    new = RigidTrajectory(replace(TURN.turn, angles=np.array([0.1])))
    assert molecule.with_trajectories((new, new)).trajectories == (None, new)
    assert molecule.with_trajectories((None, None)).trajectories == molecule.trajectories
    still = composite.discretise(RADIUS, 0)
    assert still.with_trajectories((None, new)).trajectories == (None, None)


def test_without_trajectories_every_component_is_placed_once():
    molecule = one_ball(16, degree=2).discretise(5)
    assert molecule.positions(0).shape == (1, 0)
    assert molecule.pairs.all()
    states, functions = molecule.table(0, 10)
    np.testing.assert_array_equal(functions, molecule.state_bases[0].evaluate(states))

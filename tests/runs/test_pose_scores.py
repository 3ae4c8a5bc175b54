"""Found poses made from true ones by what is known: a frame, a hand, errors, nonsense."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_hypermol.errors import ShapeError
from napari_hypermol.molecules.sharing import point_group
from napari_hypermol.runs.pose_scores import MIRROR, pose_scores
from napari_hypermol.synthetic.gaussians import GaussianComponent, GaussianMolecule

N = 400
OFFSET = np.array([2.0, -1.0, 3.0])


@pytest.fixture
def true(rng):
    return Rotation.random(N, rng=rng).as_matrix(), rng.normal(scale=2, size=(N, 2))


@pytest.fixture
def frame(rng):
    return Rotation.random(rng=rng).as_matrix()


def seen_from(true, frame, offset=OFFSET, is_mirrored=False):
    """The poses that a run finds that has the molecule elsewhere in space, without error."""
    rotations, shifts = true
    if is_mirrored:
        rotations = MIRROR @ rotations @ MIRROR
    found = rotations @ frame.T
    return found, shifts - (found @ offset)[:, :2]


def turned_by(rotations, degrees, rng):
    """Rotations with errors of a fixed angle about random axes."""
    axes = rng.normal(size=(len(rotations), 3))
    axes *= np.radians(degrees) / np.linalg.norm(axes, axis=1, keepdims=True)
    return Rotation.from_rotvec(axes).as_matrix() @ rotations


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_the_frame_is_nobodys_business(true, frame, is_mirrored):
    scores = pose_scores(seen_from(true, frame, OFFSET, is_mirrored), true)
    assert scores.is_mirrored == is_mirrored
    np.testing.assert_allclose(scores.rotation, frame, atol=1e-9)
    np.testing.assert_allclose(scores.offset, OFFSET, atol=1e-9)
    assert scores.angles.max() < 1e-5
    assert scores.shift_errors.max() < 1e-9
    assert scores.within(5) == 1
    assert scores.is_aligned.all()


def test_the_other_hand_is_not_taken_where_it_may_not(true, frame):
    scores = pose_scores(seen_from(true, frame, OFFSET, True), true, allow_mirror=False)
    assert not scores.is_mirrored
    assert scores.within(15) < 0.1
    assert scores.median_angle > 60


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_found_points_lie_where_the_true_ones_do(true, frame, is_mirrored, rng):
    """What the frame means, from projections alone: r of the true molecule is C r + o."""
    found = seen_from(true, frame, OFFSET, is_mirrored)
    scores = pose_scores(found, true)
    points = rng.normal(scale=10, size=(6, 3))
    elsewhere = points @ scores.frame.T + scores.offset
    one, two = (
        (np.einsum("nij,gj->ngi", rotations, r)[..., :2] + shifts[:, None])
        for (rotations, shifts), r in ((true, points), (found, elsewhere))
    )
    np.testing.assert_allclose(one, two, atol=1e-8)
    assert np.linalg.det(scores.frame) == pytest.approx(-1 if is_mirrored else 1)


def test_the_mirror_image_has_the_same_projections(true):
    """V(M r) under M R M, in closed form."""
    places = np.array([[4.0, 1.0, -2.0], [-3.0, 5.0, 2.0], [0.0, -4.0, 6.0], [1.0, 7.0, 7.0]])
    ones = np.ones(4)

    def molecule(at):
        part = GaussianComponent(
            "spots", lambda t: np.broadcast_to(at, (len(t), 4, 3)), ones, 1.5 * ones, False
        )
        return GaussianMolecule((part,))

    rotations, no_state = true[0][:3], np.zeros((3, 0))
    one = molecule(places).projections_ft(rotations, no_state, 24)
    mirrored = molecule(places @ MIRROR)
    two = mirrored.projections_ft(MIRROR @ rotations @ MIRROR, no_state, 24)
    np.testing.assert_allclose(one, two, atol=1e-5 * abs(one).max())
    wrong = mirrored.projections_ft(rotations, no_state, 24)
    assert abs(one - wrong).max() > 0.1 * abs(one).max()


def test_errors_are_told_as_they_are(true, frame, rng):
    rotations, shifts = seen_from(true, frame)
    moves = rng.normal(size=(N, 2))
    moves *= 1.5 / np.linalg.norm(moves, axis=1, keepdims=True)
    scores = pose_scores((turned_by(rotations, 7.0, rng), shifts + moves), true)
    # the frame is as uncertain as a mean over 400: 7 / sqrt(400) degrees or less
    assert scores.median_angle == pytest.approx(7.0, abs=0.2)
    assert (scores.within(5), scores.within(10)) == (0, 1)
    assert scores.median_shift_error == pytest.approx(1.5, abs=0.1)
    np.testing.assert_allclose(scores.offset, OFFSET, atol=0.3)


@pytest.mark.parametrize("wrong", [0.5, 0.8])
def test_particles_that_are_altogether_wrong_do_not_spoil_the_rest(true, frame, wrong, rng):
    rotations, shifts = seen_from(true, frame)
    rotations = turned_by(rotations, 3.0, rng)
    bad = rng.random(N) < wrong
    rotations[bad] = Rotation.random(bad.sum(), rng=rng).as_matrix()
    shifts[bad] += rng.normal(scale=20, size=(bad.sum(), 2))
    scores = pose_scores((rotations, shifts), true)
    assert not scores.is_mirrored
    assert scores.angles[~bad] == pytest.approx(3.0, abs=0.7)
    # by chance a random rotation lies within 15 degrees with a probability of 0.07 %
    assert scores.within(15) == pytest.approx(1 - bad.mean(), abs=0.01)
    # three degrees off, the offset of 3.7 pixels is seen up to 0.2 pixels away
    assert scores.shift_errors[~bad].max() < 0.3
    np.testing.assert_allclose(scores.offset, OFFSET, atol=0.1)


def test_random_poses_score_nothing(true, rng):
    random = Rotation.random(N, rng=rng).as_matrix(), true[1]
    scores = pose_scores(random, true)
    # the best of 100 candidates, each within 15 degrees of 0.07 % of the particles
    assert scores.within(15) < 0.03
    assert scores.median_angle > 90


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("name", ["C2", "D3"])
def test_symmetry(true, frame, is_mirrored, name, rng):
    """A third of the particles seen from the wrong one of the symmetric sides."""
    group = point_group(name)
    operations = np.where(rng.random(N) < 0.35, rng.integers(1, len(group), N), 0)
    seen = (true[0] @ group[operations], true[1])
    found = seen_from(seen, frame, OFFSET, is_mirrored)
    scores = pose_scores(found, true, group)
    assert scores.is_mirrored == is_mirrored
    np.testing.assert_allclose(scores.rotation, frame, atol=1e-9)
    np.testing.assert_array_equal(scores.operations, operations)
    assert scores.angles_modulo_symmetry.max() < 1e-5
    assert scores.within(15) == np.mean(operations == 0)
    assert scores.within(15, modulo_symmetry=True) == 1
    np.testing.assert_allclose(scores.offset, OFFSET, atol=1e-9)
    without = pose_scores(found, true)
    assert without.within(15) == np.mean(operations == 0)


def test_a_majority_on_the_other_side_is_the_same_molecule_turned(true, frame, rng):
    group = point_group("C2")
    operations = (rng.random(N) < 0.8).astype(int)
    found = seen_from((true[0] @ group[operations], true[1]), frame)
    scores = pose_scores(found, true, group)
    np.testing.assert_array_equal(scores.operations, 1 - operations)
    assert scores.within(15) == np.mean(operations == 1)
    np.testing.assert_allclose(scores.rotation, frame @ group[1].T, atol=1e-9)


def test_what_are_no_poses_is_refused(true):
    with pytest.raises(ShapeError, match=r"expected \(n, 3, 3\), \(n, 2\) twice"):
        pose_scores((true[0][1:], true[1][1:]), true)
    with pytest.raises(ShapeError, match="poses of shapes"):
        pose_scores((true[0], true[1][:, :1]), true)

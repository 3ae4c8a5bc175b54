import numpy as np
import pytest

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.molecules.component import Component, rotation_about
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.molecules.trajectory import RigidTrajectory, Translation, Turn
from napari_hypermol.runs.trajectories import learned_trajectories, trajectory_sentences

PIXEL = 3.0
BALL = Ball((5.0, 0.0, 2.0), 3.0, 1.0)
CENTRE = np.array([5.0, 0.0, 2.0])
AXIS = np.array([0.0, 0.6, 0.8])


def hinge(angles, **given):
    return RigidTrajectory(Turn(AXIS, np.array([1.0, 2.0, 3.0]), np.array(angles), **given))


def shuttle(vectors, exponents, learns=True):
    return RigidTrajectory(None, Translation(np.array(vectors), np.array(exponents), learns))


def found(trajectory, **more):
    lid = Component("lid", BALL, ConstantBasis(), trajectory=trajectory)
    base = Component("base", BALL, ConstantBasis())
    copies = (
        [Component("copy", BALL, ConstantBasis(), "lid", trajectory=trajectory, **more)]
        if more
        else []
    )
    molecule = Composite((base, lid, *copies), 20).discretise(6)
    return learned_trajectories(molecule, PIXEL), molecule


def stays(molecule, m, point, states):
    """Where a point of the molecule's frame [voxels] goes when component m moves."""
    rotations, shifts = molecule.placements(m, np.array(states)[:, None])
    own = np.linalg.solve(rotations[0], point - shifts[0])
    return rotations @ own + shifts


@pytest.mark.parametrize("m", [1, 2])
def test_points_of_the_axis_stay_where_they_are(m):
    """The one thing an axis is, in the molecule's frame, whatever its component's place."""
    turn = rotation_about((1.0, 0.3, -0.2), 1.1)
    its, molecule = found(hinge([0.4]), rotation=turn, shift=np.array([1.0, -2.0, 0.5]))
    entry = its["lid" if m == 1 else "copy"]
    pivot, axis = np.array(entry["pivot"]) / PIXEL, np.array(entry["axis"])
    assert np.linalg.norm(axis) == pytest.approx(1)
    for along in (-3.0, 0.0, 5.0):
        point = pivot + along * axis
        places = stays(molecule, m, point, [0.0, 0.3, 1.0])
        np.testing.assert_allclose(places, np.tile(point, (3, 1)), atol=1e-10)
    elsewhere = stays(molecule, m, pivot + np.cross(axis, [0.3, 0.5, 0.1]), [0.0, 1.0])
    assert np.linalg.norm(elsewhere[1] - elsewhere[0]) > 0.1


def test_pivot_is_the_point_nearest_to_the_component():
    its, molecule = found(hinge([0.4]))
    pivot = np.array(its["lid"]["pivot"]) / PIXEL
    centre = molecule.centres[molecule.owners[1]]
    assert (pivot - centre) @ AXIS == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(centre, CENTRE, atol=1)


def test_only_what_moves_is_listed():
    assert set(found(hinge([0.4]))[0]) == {"lid"}
    assert found(None)[0] == {}


def test_range_of_a_turn():
    """phi(x) = a x from -1 to 1; and x + x^2, whose lowest point -1/4 is inside, at x = -1/2."""
    degrees = np.degrees(0.4)
    np.testing.assert_allclose(found(hinge([0.4]))[0]["lid"]["range"], [-degrees, degrees])
    ends = found(hinge([0.4, 0.4]))[0]["lid"]["range"]
    np.testing.assert_allclose(ends, [-degrees / 4, 2 * degrees])


def test_translation_is_in_angstrom_and_turned_with_its_component():
    turn = rotation_about((0, 0, 1), np.pi / 2)
    its, _ = found(shuttle([[1.0, 0.0, 2.0]], [[1]]), rotation=turn, shift=np.zeros(3))
    np.testing.assert_allclose(its["lid"]["translation"], [[3, 0, 6]])
    np.testing.assert_allclose(its["copy"]["translation"], [[0, 3, 6]], atol=1e-12)
    assert its["lid"]["exponents"] == [[1]]
    assert "axis" not in its["lid"]


def test_says_whether_it_was_learned():
    given = {"learns_axis": False, "learns_pivot": False, "learns_angles": False}
    assert found(hinge([0.4]))[0]["lid"]["is_learned"]
    assert not found(hinge([0.4], **given))[0]["lid"]["is_learned"]


def test_numbers_go_into_a_file():
    import json

    its, _ = found(RigidTrajectory(hinge([0.4]).turn, shuttle([[1.0, 0, 0]], [[1]]).translation))
    assert json.loads(json.dumps(its)) == its


def test_sentence_of_a_turn():
    its = {
        "lid": {
            "is_learned": True,
            "axis": [0.0, -0.001, 1.0],
            "pivot": [-14.24, 2.0, 0.01],
            "range": [-20.0, 26.04],
        }
    }
    (line,) = trajectory_sentences(its)
    assert line == (
        "lid turns by 46.0° about the axis (0.00, 0.00, 1.00) through the point "
        "(-14.2, 2.0, 0.0) Å (learned)"
    )


def test_sentence_of_a_translation():
    """From x = -1 to 1 odd powers go twice their vector, even ones nowhere."""
    its, _ = found(shuttle([[1.0, 0, 0], [5.0, 0, 0], [0, 4 / 3, 0]], [[1], [2], [3]], False))
    assert trajectory_sentences(its) == [
        "lid moves by 10.0 Å, (6.0, 8.0, 0.0), from end to end (given by the recipe)"
    ]


def test_sentence_of_a_plane():
    its, _ = found(shuttle([[1.0, 0, 0], [0, 2.0, 0], [9.0, 9, 9]], [[1, 0], [0, 1], [1, 1]]))
    (line,) = trajectory_sentences(its)
    assert "moves by 6.0 Å, (6.0, 0.0, 0.0), from end to end" in line
    assert "and by 12.0 Å, (0.0, 12.0, 0.0), from end to end (learned)" in line


def test_sentence_of_both():
    both = RigidTrajectory(hinge([0.5]).turn, shuttle([[1.0, 0, 0]], [[1]]).translation)
    (line,) = trajectory_sentences(found(both)[0])
    assert line.startswith("lid turns by 57.3° about")
    assert "Å and moves by 6.0 Å" in line

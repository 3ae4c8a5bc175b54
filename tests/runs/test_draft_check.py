import numpy as np
import pytest

from napari_hypermol.io.mrc import write_volume
from napari_hypermol.runs.draft_check import check_draft

BOX, PIXEL = 24, 4.0
BALL = {"support": {"ball": {"center": [12, 0, 0], "radius": 20}}}
MOVING = {**BALL, "state": {"degree": 3}}


def checked(tmp_path, components, n=None, **more):
    return check_draft({"components": components, **more}, tmp_path, BOX, PIXEL, n)


def test_a_right_draft(tmp_path):
    found = checked(tmp_path, {"body": BALL, "arm": MOVING}, 5000)
    assert found.problems == {}
    assert [one.component for one in found.supports] == ["body", "arm"]
    assert found.asks[0].endswith("from 5,000 particles")
    assert found.warnings == []
    assert checked(tmp_path, {"body": BALL}).asks == []  # nobody knows how many particles


def test_too_few_particles(tmp_path):
    found = checked(tmp_path, {"arm": MOVING}, 300)
    assert "4 maps from 300 particles" in found.warnings[0]


@pytest.mark.parametrize(
    ("wrong", "path", "words"),
    [
        ({"support": {}}, ("support",), "either a ball or a mask"),
        ({"share": "leg"}, ("share",), "not a component with coefficients"),
        ({"support": {"mask": "no.mrc"}}, ("support",), "no.mrc"),
        (
            {**BALL, "trajectory": {"turn": {"axis": [0, 0, 1], "pivot": [900, 0, 0]}}},
            ("trajectory", "turn", "pivot"),
            "the hinge passes",
        ),
    ],
)
def test_what_is_wrong_is_beside_its_component(tmp_path, wrong, path, words):
    found = checked(tmp_path, {"body": BALL, "arm": wrong}, 5000)
    assert list(found.problems) == [("components", "arm", *path)]
    assert words in found.problems["components", "arm", *path]
    assert [one.component for one in found.supports] == ["body"]
    assert found.asks == []


def test_a_mask_of_another_box(tmp_path):
    write_volume(tmp_path / "small.mrc", np.ones((20, 20, 20)), PIXEL)
    found = checked(tmp_path, {"arm": {"support": {"mask": "small.mrc"}}})
    assert "resample it to their box" in found.problems["components", "arm", "support"]


def test_copies(tmp_path):
    placed = {"axis": [0, 0, 1], "angle": 180}
    components = {"arm": MOVING, "other": {"share": "arm", "placed": placed}}
    found = checked(tmp_path, {**components, "ring": {**BALL, "symmetry": "C3"}}, 5000)
    assert [one.component for one in found.supports] == ["arm", "other", *["ring"] * 3]
    where = [np.argwhere(one.values > 0.5).mean(axis=0)[2] - BOX // 2 for one in found.supports]
    np.testing.assert_allclose(where[:2], [3, -3], atol=0.5)


def test_the_schedule_is_checked_too(tmp_path):
    stage = {"resolution": 1.0, "degree": 0}
    found = checked(tmp_path, {"body": BALL}, schedule=[stage])
    ((path, words),) = found.problems.items()
    assert path == ("schedule", 0, "resolution")
    assert "Nyquist" in words
    assert check_draft({"seed": -1}, tmp_path, BOX, PIXEL).problems.keys() == {("seed",)}

from pathlib import Path

import pytest

from napari_hypermol.plugin.balls import Ball
from napari_hypermol.plugin.component_edits import (
    COLORS,
    ball_of,
    colored,
    free_name,
    moved_to,
    path_from,
    renamed,
)


def test_free_names():
    assert free_name("ball", ["ball_1", "ball_3"]) == "ball_2"


def test_copies_follow_a_renamed_component():
    components = {"a": {"support": {}}, "b": {"share": "a"}, "c": {"share": "b"}, "d": None}
    new = renamed(components, "a", "arm")
    assert new == {"arm": {"support": {}}, "b": {"share": "arm"}, "c": {"share": "b"}, "d": None}
    assert list(new) == ["arm", "b", "c", "d"]
    assert components["b"] == {"share": "a"}


def test_balls():
    values = {"support": {"ball": {"center": [1, 2, 3], "radius": 4}, "soft_edge": 5}, "state": {}}
    assert ball_of(values) == Ball((1.0, 2.0, 3.0), 4.0)
    moved = moved_to(values, Ball((0.0, 0.5, 0.0), 6.0))
    assert ball_of(moved) == Ball((0.0, 0.5, 0.0), 6.0)
    assert moved["support"]["soft_edge"] == 5
    assert moved["state"] == {}
    assert ball_of(values) == Ball((1.0, 2.0, 3.0), 4.0)
    assert ball_of({"support": {"ball": {"radius": 2}}}) == Ball((0.0, 0.0, 0.0), 2.0)


@pytest.mark.parametrize(
    "values",
    [
        None,
        {},
        {"support": None},
        {"support": {"mask": "a.mrc"}},
        {"support": {"ball": {"radius": "wide"}}},
        {"support": {"ball": {"radius": -1}}},
        {"support": {"ball": {"center": [1, 2], "radius": 1}}},
    ],
)
def test_no_ball(values):
    assert ball_of(values) is None


def test_colours_are_kept_and_differ():
    first = colored(["a", "b"], {})
    assert list(first.values()) == list(COLORS[:2])
    again = colored(["b", "new", "a"], first)
    assert (again["a"], again["b"]) == (first["a"], first["b"])
    assert again["new"] == COLORS[2]
    many = colored([str(n) for n in range(20)], {})
    assert set(many.values()) == set(COLORS)


def test_paths_are_relative_below_the_folder():
    assert path_from(Path("/data"), Path("/data/masks/a.mrc")) == str(Path("masks/a.mrc"))
    assert path_from(Path("/data/run"), Path("/data/masks/a.mrc")) == str(Path("/data/masks/a.mrc"))

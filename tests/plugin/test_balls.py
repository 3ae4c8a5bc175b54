import numpy as np
import pytest

from napari_hypermol.plugin.balls import Ball, BallsLayer
from napari_hypermol.plugin.viewing import hypermol_of

pytestmark = pytest.mark.qt
EDGE = 96.0
BALLS = {"body": Ball((0.0, 0.0, 0.0), 30.0), "arm": Ball((20.0, -4.0, 8.0), 12.0)}
COLORS = {"body": "#e69f00", "arm": "#56b4e9"}


class Heard:
    def __init__(self):
        self.moved, self.added, self.removed = [], [], []

    def on_moved(self, name, ball):
        self.moved.append((name, ball))


@pytest.fixture
def shown(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    heard = Heard()
    balls = BallsLayer(viewer, heard.on_moved, heard.added.append, heard.removed.append)
    balls.show(BALLS, COLORS, EDGE)
    yield viewer, balls, heard
    balls.let_go()


def world(layer):
    return np.asarray(layer.data) * layer.scale


def test_a_point_as_wide_as_the_ball_and_one_on_its_rim(shown):
    _viewer, balls, heard = shown
    layer = balls.layer
    np.testing.assert_allclose(world(layer)[2], (8, -4, 20), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(world(layer)[3] - world(layer)[2]), 12)
    np.testing.assert_allclose(layer.size[::2] * layer.scale[0], (60, 24), rtol=1e-6)
    assert hypermol_of(layer, "balls") is not None
    assert [str(unit) for unit in layer.units] == ["angstrom"] * 3
    assert heard.moved == []


def test_dragging_the_ball_and_its_rim(shown):
    _viewer, balls, heard = shown
    layer = balls.layer
    layer.data = layer.data + np.array([[0, 0, 0]] * 2 + [[0, 1.0, 2.0]] + [[0, 0, 0]]) / 192
    assert heard.moved == [("arm", Ball((22.0, -3.0, 8.0), 12.0))]
    balls.show({**BALLS, "arm": heard.moved[0][1]}, COLORS, EDGE)
    np.testing.assert_allclose(world(layer)[3] - world(layer)[2], (0, 0, 12), atol=1e-9)
    data = np.array(layer.data)
    data[3] = data[2] + np.array([0, 15.0, 0]) / 192
    layer.data = data
    assert heard.moved[1] == ("arm", Ball((22.0, -3.0, 8.0), 15.0))
    balls.show({**BALLS, "arm": heard.moved[1][1]}, COLORS, EDGE)  # the rim stays where it was left
    np.testing.assert_allclose(world(layer)[3] - world(layer)[2], (0, 15, 0), atol=1e-9)
    assert len(heard.moved) == 2


def test_points_added_and_deleted(shown):
    _viewer, balls, heard = shown
    layer = balls.layer
    layer.add(np.array([[4.0, 6.0, 10.0]]) / 192)
    assert heard.added == [(10.0, 6.0, 4.0)]
    balls.show(BALLS, COLORS, EDGE)
    assert len(layer.data) == 4
    layer.selected_data = {2, 3}
    layer.remove_selected()
    assert heard.removed == [["arm"]]


def test_choosing_goes_to_its_slice(shown):
    viewer, balls, _heard = shown
    viewer.dims.ndisplay = 2
    balls.choose("arm")
    assert viewer.dims.point[0] == pytest.approx(8, abs=1)
    assert set(balls.layer.selected_data) == {2}
    assert balls.layer.mode == "select"


def test_no_balls_no_layer(shown):
    _viewer, balls, _heard = shown
    balls.show({}, COLORS, EDGE)
    assert balls.layer is None
    balls.choose("arm")
    balls.show(BALLS, COLORS, EDGE)
    assert len(balls.layer.data) == 4

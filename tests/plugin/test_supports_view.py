import numpy as np
import pytest
from napari.components.layerlist import LayerList

from napari_hypermol.coordinates.grids import voxel_positions
from napari_hypermol.plugin.supports_view import SupportsView, contours_of, surface_of
from napari_hypermol.runs.support_maps import SupportMap

SIZE, SPACING = 24, 4.0
COLORS = {"body": "#ff0000", "arm": "#0000ff"}


def ball(name, centre, radius):
    """A support that is a half at the radius [Å]."""
    distance = np.linalg.norm(voxel_positions(SIZE) * SPACING - np.array(centre), axis=-1)
    return SupportMap(name, np.clip(0.5 + (radius - distance) / 8, 0, 1).astype(np.float32))


BODY, ARM = ball("body", (0, 0, 0), 24), ball("arm", (16, 0, 8), 12)


def test_contours_are_circles_of_the_right_radius():
    for at, radius in ((0, 24), (12, np.sqrt(24**2 - 12**2))):
        (path,) = contours_of(BODY, SPACING, 0, at)
        assert set(path[:, 0]) == {at}
        np.testing.assert_allclose(np.hypot(path[:, 1], path[:, 2]), radius, atol=0.6)
    (path,) = contours_of(ARM, SPACING, 2, 16)  # across x
    np.testing.assert_allclose(np.hypot(path[:, 0] - 8, path[:, 1]), 12, atol=0.6)
    assert contours_of(ARM, SPACING, 0, -40) == []
    assert contours_of(ARM, SPACING, 0, 400) == []


def test_surfaces_are_closed_spheres():
    surface = surface_of(ARM, SPACING)
    distance = np.linalg.norm(surface.vertices - np.array((8, 0, 16)), axis=1)
    np.testing.assert_allclose(distance, 12, atol=0.5)
    corners = surface.vertices[surface.faces]
    volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert abs(volume) == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.1)  # three voxels wide
    assert len(surface_of(ball("no", (0, 0, 0), -20), SPACING).vertices) == 0


@pytest.mark.qt
def test_layers_follow_the_view(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    data = np.zeros((3, SIZE, SIZE, SIZE), dtype=np.float32)
    viewer.add_image(data, scale=(1, 4, 4, 4), translate=(0, -48, -48, -48))
    view = SupportsView(viewer)
    supports = [BODY, ARM]
    view.show(supports, [surface_of(s, SPACING) for s in supports], COLORS, SPACING)
    viewer.dims.set_point(1, 8.0)
    contours, surfaces = view.layer("contours"), view.layer("surfaces")
    assert len(contours.data) == 2
    assert (contours.visible, surfaces.visible) == (True, False)
    np.testing.assert_allclose(contours.edge_color[:, :3], [(1, 0, 0), (0, 0, 1)])
    viewer.dims.set_point(1, -20.0)
    assert len(contours.data) == 1  # only the body reaches down there
    viewer.dims.ndisplay = 3
    assert (contours.visible, surfaces.visible) == (False, True)
    view.is_shown = False
    assert not surfaces.visible
    view.is_shown = True
    view.show([ARM], [surface_of(ARM, SPACING)], COLORS, SPACING)
    assert len(surfaces.data[0]) == len(surface_of(ARM, SPACING).vertices)
    np.testing.assert_allclose(np.unique(surfaces.vertex_colors, axis=0), [[0, 0, 1, 1]])
    viewer.layers.remove(contours)
    viewer.dims.ndisplay = 2
    view.show([], [], COLORS, SPACING)
    assert view.layer("surfaces") is None
    view.let_go()
    viewer.dims.set_point(1, 0.0)


@pytest.mark.qt
def test_no_layer_comes_in_between_another(make_napari_viewer_proxy, qtbot, monkeypatch):
    """Sliders may move while napari adds a layer; an outline added then leaves an empty row."""
    viewer = make_napari_viewer_proxy()
    data = np.zeros((3, SIZE, SIZE, SIZE), dtype=np.float32)
    viewer.add_image(data, scale=(1, 4, 4, 4), translate=(0, -48, -48, -48))
    viewer.dims.set_point(1, 40.0)  # above the body
    view = SupportsView(viewer)
    view.show([BODY], [], COLORS, SPACING)
    depths, insert = [0], LayerList.insert

    def counted(layers, index, layer):
        depths.append(depths[-1] + 1)
        insert(layers, index, layer)
        depths.append(depths[-1] - 1)

    monkeypatch.setattr(LayerList, "insert", counted)

    def into_the_body(event):
        viewer.dims.set_point(1, 0.0)

    viewer.layers.events.inserting.connect(into_the_body)
    viewer.add_points(np.zeros((1, 3)))
    viewer.layers.events.inserting.disconnect(into_the_body)
    qtbot.waitUntil(lambda: view.layer("contours") is not None, timeout=5000)
    assert depths == [0, 1, 0, 1, 0]
    view.let_go()


@pytest.mark.qt
def test_all_layers_can_go_at_once(make_napari_viewer_proxy, monkeypatch, qtbot):
    viewer = make_napari_viewer_proxy()
    # the sliders move when the large one goes, and when outlines beside the small one do
    viewer.add_image(np.zeros((4, 4, 4), dtype=np.float32), scale=(4, 4, 4))
    data = np.zeros((3, SIZE, SIZE, SIZE), dtype=np.float32)
    viewer.add_image(data, scale=(1, 4, 4, 4), translate=(0, -48, -48, -48))
    view, added, add = SupportsView(viewer), [], SupportsView._add

    def counted(self, kind, *rest, **attributes):
        added.append(kind)
        if len(added) > 4:
            view.let_go()  # or this would never end
            raise RuntimeError("layers come as fast as they go")
        return add(self, kind, *rest, **attributes)

    view.show([BODY, ARM], [surface_of(s, SPACING) for s in (BODY, ARM)], COLORS, SPACING)
    viewer.dims.set_point(1, 8.0)
    assert view.layer("contours") is not None
    monkeypatch.setattr(SupportsView, "_add", counted)
    viewer.layers.clear()
    qtbot.wait(50)
    assert added == []
    assert len(viewer.layers) == 0
    viewer.add_image(data, scale=(1, 4, 4, 4), translate=(0, -48, -48, -48))
    qtbot.wait(50)
    viewer.dims.set_point(1, 0.0)
    qtbot.waitUntil(lambda: view.layer("contours") is not None)  # they come back with a molecule

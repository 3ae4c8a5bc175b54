"""Handedness, states on the screen, and particles that step aside."""

import numpy as np
import pytest

from napari_hypermol.plugin.layers import lay_along_box, maps_layer
from napari_hypermol.plugin.viewing import (
    camera_of,
    ease_rendering,
    frame_molecule,
    hypermol_of,
    is_chimerax_handed,
    is_dark,
    set_chimerax_handed,
    set_states,
    states_shown,
    toggle_handedness,
)


@pytest.fixture
def viewer():
    """napari's model of a viewer, without a window."""
    from napari.components import ViewerModel

    return ViewerModel()


def screen_axes(viewer):
    """Unit vectors (x, y, z) of right, up and towards the viewer, in the molecule's (x, y, z).

    From what the camera says: its view and up directions are in the order of the data's axes.
    """
    towards = -np.array(camera_of(viewer).view_direction)[::-1]
    up = np.array(camera_of(viewer).up_direction)[::-1]
    horizontal = str(camera_of(viewer).orientation[2])
    right = np.array([1.0 if horizontal == "right" else -1.0, 0.0, 0.0])
    return right, up, towards


def chirality(viewer):
    """+1 if a right-handed helix looks right-handed on the screen."""
    return np.linalg.det(np.array(screen_axes(viewer)))


def test_handedness_is_that_of_chimerax(viewer):
    viewer.dims.ndisplay = 3
    assert chirality(viewer) == pytest.approx(-1)  # napari's own way: mirrored
    set_chimerax_handed(viewer, True)
    assert is_chimerax_handed(viewer)
    assert chirality(viewer) == pytest.approx(1)
    toggle_handedness(viewer)
    assert not is_chimerax_handed(viewer)
    toggle_handedness(viewer)
    assert is_chimerax_handed(viewer)


def test_states_on_the_sliders(viewer, small_maps):
    data, attributes, _ = maps_layer(small_maps(dims=2), 3.0, "m", {})
    layer = viewer.add_image(data, **attributes)
    set_states(viewer, layer, (0.35, 1.0))
    assert viewer.dims.current_step[:2] == (7, 20)
    assert states_shown(viewer, layer) == pytest.approx({"tau1": 0.35, "tau2": 1.0})


def test_states_of_the_smaller_of_two_molecules(viewer, small_maps):
    layers = []
    for dims in (2, 1):
        data, attributes, _ = maps_layer(small_maps(dims=dims), 3.0, "m", {})
        layers.append(viewer.add_image(data, **attributes))
    set_states(viewer, layers[1], (0.6,))
    assert states_shown(viewer, layers[1]) == pytest.approx({"tau1": 0.6})
    assert states_shown(viewer, layers[0])["tau2"] == pytest.approx(0.6)


def test_rigid_molecule_has_no_states(viewer, small_maps):
    data, attributes, _ = maps_layer(small_maps(dims=0), 3.0, "m", {})
    layer = viewer.add_image(data, **attributes)
    set_states(viewer, layer, ())
    assert states_shown(viewer, layer) == {}


def test_only_our_layers_are_ours(viewer):
    layer = viewer.add_image(np.zeros((4, 4)))
    assert hypermol_of(layer) is None
    layer.metadata["hypermol"] = {"kind": "particles"}
    assert hypermol_of(layer, "states") is None
    assert hypermol_of(layer, "particles") == {"kind": "particles"}


def test_particles_beside_a_molecule_leave_z_and_units_alone(viewer, small_maps):
    data, attributes, _ = maps_layer(small_maps(dims=1), 3.0, "m", {})
    viewer.add_image(data, **attributes)
    z = viewer.dims.range[1]
    place = lay_along_box({"scale": (1.0, 3.0, 3.0), "translate": (0.0, -12.0, -12.0)}, 100, 24.0)
    viewer.add_image(np.zeros((100, 8, 8)), **place)
    now = viewer.dims.range[1]
    assert now.start == pytest.approx(z.start)
    assert now.stop == pytest.approx(z.stop, abs=3.0)
    assert viewer.dims.units is not None


def test_frame_shows_three_dimensions(viewer, small_maps):
    data, attributes, _ = maps_layer(small_maps(dims=1), 3.0, "m", {})
    layer = viewer.add_image(data, **attributes)
    frame_molecule(viewer, layer)
    assert viewer.dims.ndisplay == 3
    np.testing.assert_allclose(camera_of(viewer).center, -1.5)
    assert viewer.canvas.overlays.scale_bar.visible


@pytest.mark.qt
@pytest.mark.parametrize("is_wanted", [True, False])
def test_handedness_in_pixels(make_napari_viewer_proxy, is_wanted):
    viewer = make_napari_viewer_proxy(show=True)
    volume = np.zeros((16, 16, 16), dtype=np.float32)
    volume[8, 12:15, 12:15] = 1.0  # towards positive x and y
    layer = viewer.add_image(volume, rendering="mip", contrast_limits=(0, 1))
    frame_molecule(viewer, layer)
    viewer.canvas.overlays.scale_bar.visible = False
    set_chimerax_handed(viewer, is_wanted)
    picture = viewer.screenshot(flash=False)[..., 0]
    rows, columns = np.nonzero(picture > 128)
    assert columns.mean() > picture.shape[1] / 2
    is_up = rows.mean() < picture.shape[0] / 2
    assert is_up == is_wanted


@pytest.mark.parametrize(("in_software", "rendering"), [(False, "iso"), (True, "mip")])
def test_isosurfaces_need_a_graphics_card(viewer, monkeypatch, in_software, rendering):
    told = []
    monkeypatch.setattr("napari_hypermol.plugin.viewing.show_info", told.append)
    monkeypatch.setattr("napari_hypermol.plugin.viewing.draws_in_software", lambda: in_software)
    layer = viewer.add_image(np.zeros((4, 4, 4)), rendering="iso")
    ease_rendering(layer)
    assert layer.rendering == rendering
    assert bool(told) == in_software


def test_dark_and_light_themes(viewer):
    viewer.theme = "dark"
    assert is_dark(viewer)
    viewer.theme = "light"
    assert not is_dark(viewer)

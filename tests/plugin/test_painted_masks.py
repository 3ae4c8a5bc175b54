import numpy as np
import pytest

from napari_hypermol.io.masks import read_mask
from napari_hypermol.plugin.layers import maps_layer
from napari_hypermol.plugin.painted_masks import (
    Grid,
    PaintedMasks,
    grid_of,
    map_layer,
    mask_layer,
    shown_map,
    write_masks,
)
from napari_hypermol.plugin.viewing import hypermol_of, set_states


def two_labels(size):
    labels = np.zeros((size,) * 3, dtype=np.uint8)
    labels[4:10, 4:10, 4:10] = 1
    labels[12:18, 12:18, 12:18] = 3
    return labels


def test_files_of_labels(tmp_path):
    files = {n: tmp_path / "masks" / f"{n}.mrc" for n in (1, 2, 3)}
    assert write_masks(two_labels(24), 4.0, files, 24, 4.0) == [1, 3]
    assert not files[2].exists()
    mask = read_mask(files[3], 24, 4.0)
    np.testing.assert_array_equal(mask, two_labels(24) == 3)


def test_files_on_the_particles_grid(tmp_path):
    path = tmp_path / "1.mrc"
    assert write_masks(two_labels(24), 4.0, {1: path}, 48, 2.0) == [1]
    fine = read_mask(path, 48, 2.0)
    assert set(np.unique(fine)) == {0.0, 1.0}
    assert fine.sum() == pytest.approx(8 * 6**3, rel=0.3)  # half a fine voxel off all around
    middle = np.argwhere(fine).mean(axis=0) - 24
    np.testing.assert_allclose(middle * 2.0, [(6.5 - 12) * 4.0] * 3, atol=1.1)


@pytest.mark.qt
def test_masks_stay_three_dimensional(make_napari_viewer_proxy, small_maps, qtbot):
    viewer = make_napari_viewer_proxy()
    data, attributes, _ = maps_layer(small_maps(), 4.0, "run", {})
    molecule = viewer.add_image(data, **{**attributes, "rendering": "mip"})
    assert map_layer(viewer).name == molecule.name
    grid = grid_of(molecule)
    painted = []
    masks = PaintedMasks(viewer, painted.append)
    layer = masks.add(mask_layer(np.zeros(grid.shape, np.uint8), grid, "Mask", {}))
    assert (layer.ndim, layer.data.dtype, layer.n_edit_dimensions) == (3, np.uint8, 3)
    assert layer.axis_labels == molecule.axis_labels[-3:]
    assert layer.units == molecule.units[-3:]
    np.testing.assert_allclose(layer.scale, molecule.scale[-3:])
    np.testing.assert_allclose(layer.translate, molecule.translate[-3:])
    assert viewer.dims.ndim == 5
    layer.selected_label = 2
    layer.paint((4, 4, 4), 2)
    layer.paint((4, 4, 5), 2)
    qtbot.waitUntil(lambda: len(painted) == 1, timeout=60_000)
    assert painted[0].name == "Mask"
    hypermol_of(layer)["names"][2] = "arm"
    masks.color({"arm": "#ff0000"})
    np.testing.assert_allclose(layer.get_color(2), (1, 0, 0, 1))
    assert masks.paint_of("arm")[1] == 2
    masks.erase("arm")
    assert masks.layers() == []
    masks.let_go()


@pytest.mark.qt
def test_the_map_at_the_state_on_the_screen(make_napari_viewer_proxy, small_maps):
    viewer = make_napari_viewer_proxy()
    data, attributes, _ = maps_layer(small_maps(), 4.0, "run", {})
    molecule = viewer.add_image(data, **{**attributes, "rendering": "mip"})
    set_states(viewer, molecule, [0.25, 0.5])
    volume = shown_map(viewer, molecule)()
    assert volume.shape == (8, 8, 8)
    assert volume[4, 4, 4] == pytest.approx(0.25 + 2 * 0.5)


def test_the_grid_of_a_box():
    grid = Grid.of_box(24, 4.0)
    assert grid.place["translate"] == (-48.0,) * 3
    assert grid.shape == (24, 24, 24)

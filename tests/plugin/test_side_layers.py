import numpy as np
import pytest

from napari_hypermol.plugin.side_layers import (
    DIFFERENCE_COLORMAP,
    find_side_layer,
    remove_side_layer,
    show_side_layer,
)

pytestmark = pytest.mark.qt


def test_one_layer_a_kind():
    from napari.components import ViewerModel

    viewer = ViewerModel()
    molecule = viewer.add_image(np.zeros((4, 4, 4)))
    volume = np.ones((4, 4, 4), np.float32)
    look = {"colormap": DIFFERENCE_COLORMAP, "rendering": "translucent"}
    layer = show_side_layer(viewer, "difference", volume, 3.0, "B - A", (-1, 1), **look)
    assert viewer.layers.selection.active is molecule
    assert [str(u) for u in layer.units] == ["angstrom"] * 3
    np.testing.assert_allclose(layer.translate, -6)
    layer.name = "mine"  # a name is the user's
    again = show_side_layer(viewer, "difference", 2 * volume, 3.0, "B - A", (-2, 2), **look)
    assert again is layer
    assert layer.contrast_limits == [-2, 2]
    assert layer.data.max() == 2
    other = show_side_layer(viewer, "difference", volume[:3, :3, :3], 3.0, "n", (-1, 1), **look)
    assert find_side_layer(viewer, "difference") is other
    assert len(viewer.layers) == 2
    remove_side_layer(viewer, "difference")
    remove_side_layer(viewer, "difference")
    assert list(viewer.layers) == [molecule]


def test_no_difference_cannot_be_seen():
    from napari.utils.colormaps import Colormap

    alpha = Colormap(**DIFFERENCE_COLORMAP).map(np.array([0.0, 0.5, 1.0]))[:, 3]
    np.testing.assert_allclose(alpha, [1, 0, 1], atol=1e-6)

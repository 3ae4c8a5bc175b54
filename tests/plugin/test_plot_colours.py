import numpy as np
import pytest

from napari_hypermol.plugin.plot_colours import plot_colours

pytestmark = pytest.mark.qt


def test_text_can_be_read_in_either_theme():
    from napari.components import ViewerModel

    viewer, grounds = ViewerModel(), []
    for theme in ("dark", "light"):
        viewer.theme = theme
        colours = plot_colours(viewer)
        assert abs(np.mean(colours.ground) - np.mean(colours.text)) > 120
        grounds.append(np.mean(colours.ground))
    assert grounds[0] < grounds[1]

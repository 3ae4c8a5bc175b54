import numpy as np
import pytest

from napari_hypermol.io.particle_file import read_particles
from napari_hypermol.plugin.layers import particles_layer
from napari_hypermol.plugin.particle_layer import ParticleLayer
from napari_hypermol.plugin.particle_views import OneByOne
from napari_hypermol.runs.predictions import Predictions
from napari_hypermol.runs.store import Run

pytestmark = pytest.mark.qt


@pytest.fixture
def shown(make_napari_viewer_proxy, pretzel_folder):
    viewer = make_napari_viewer_proxy()
    file = read_particles(pretzel_folder / "particles.star")
    followed = ParticleLayer(viewer)
    followed.add(particles_layer(file), file)
    yield viewer, followed, file
    followed.let_go()


def test_slider_and_row(shown):
    viewer, followed, _ = shown
    followed.go_to(17)
    assert followed.row() == 17
    viewer.dims.set_current_step(0, 3)
    assert followed.row() == 3
    followed.dim(True)
    assert followed.layer.opacity < 0.5
    followed.dim(False)
    assert followed.layer.opacity == 1
    viewer.layers.remove(followed.layer)
    assert followed.row() is None
    followed.go_to(2)  # nothing to move


def test_row_where_particles_lie_along_the_molecule(shown):
    followed = shown[1]
    layer = followed.layer
    layer.scale, layer.translate = (1.6, *layer.scale[1:]), (-48.0, *layer.translate[1:])
    followed.go_to(41)
    assert followed.row() == 41


def test_looks(shown, qtbot, run_folder):
    viewer, followed, file = shown
    raw = followed.layer.data
    followed.look("flip", 0.0, None)
    qtbot.waitUntil(lambda: isinstance(followed.layer.data, OneByOne), timeout=10_000)
    followed.go_to(5)
    run = Run.open(run_folder)
    followed.look("none", 0.0, run)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=10_000)
    assert followed.layer.data is raw
    beside = viewer.layers[1]
    expected = Predictions(file.particles, run.snapshot).images(np.array([5]))[0]
    np.testing.assert_allclose(np.asarray(beside.data[5]), expected, atol=1e-5)
    assert beside.translate[-1] > followed.layer.translate[-1] + 24 * 4.0
    assert beside.units == followed.layer.units
    followed.look("none", 0.0, None)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=10_000)

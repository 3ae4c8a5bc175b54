import numpy as np
import pytest

from napari_hypermol.errors import HypermolError
from napari_hypermol.io.particle_file import read_particles
from napari_hypermol.plugin.painted_masks import Grid
from napari_hypermol.plugin.widgets.draft_picture import picture_of

BALL = {"components": {"arm": {"support": {"ball": {"center": [8, 0, 0], "radius": 16}}}}}


def test_the_particles_say_how_large_the_box_is(pretzel_folder, tmp_path):
    def read():
        return read_particles(pretzel_folder / "particles.star")

    picture = picture_of(BALL, tmp_path, read, (99, 1.0), None)
    assert picture.box == (24, 4.0)
    assert picture.check.asks[0].endswith("from 60 particles")
    (surface,) = picture.surfaces
    centre = (surface.vertices.min(axis=0) + surface.vertices.max(axis=0)) / 2
    np.testing.assert_allclose(centre, (0, 0, 8), atol=0.1)  # (z, y, x) [Å]
    # half of a soft edge of two voxels of 4 Å beyond the radius
    distances = np.linalg.norm(surface.vertices - centre, axis=1)
    np.testing.assert_allclose(distances, 20, atol=1.5)


def test_without_particles_the_map_does(tmp_path):
    def refuse():
        raise HypermolError("no such file")

    picture = picture_of(BALL, tmp_path, refuse, (30, 3.0), None)
    assert picture.box == (30, 3.0)
    assert picture.check.asks == []
    assert picture_of(BALL, tmp_path, refuse, None, None) is None


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        (Grid.of_box(24, 4.0), ""),
        (Grid.of_box(48, 2.0), "resampled to the particles."),
        (Grid.of_box(48, 4.0), "what lies outside is cut."),
    ],
)
def test_other_voxels_are_mentioned(grid, words, tmp_path):
    picture = picture_of(BALL, tmp_path, None, (24, 4.0), None)
    assert picture.unlike(grid).endswith(words)
    assert bool(picture.unlike(grid)) == bool(words)

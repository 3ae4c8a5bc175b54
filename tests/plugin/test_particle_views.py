import numpy as np
import pytest

from napari_hypermol.imaging.restoration import ctf_planes, low_pass, phase_flip, wiener
from napari_hypermol.io.particle_file import read_particles
from napari_hypermol.plugin.particle_views import OneByOne, ViewedImages


@pytest.fixture(scope="module")
def particles(pretzel_folder):
    return read_particles(pretzel_folder / "particles.star").particles


def planes(particles, rows):
    defocus = type(particles.defocus)(*(c[rows] for c in particles.defocus))
    groups = particles.optics_group[rows]
    return ctf_planes(particles.optics, groups, defocus, 24, particles.pixel_size)


def test_views(particles):
    rows = np.array([7, 2])
    raw = np.asarray(particles.images[rows])
    np.testing.assert_array_equal(ViewedImages(particles)(rows), raw)
    flipped = phase_flip(raw, planes(particles, rows))
    np.testing.assert_allclose(ViewedImages(particles, "flip")(rows), flipped)
    assert np.abs(flipped - raw).max() > 0.1
    restored = low_pass(wiener(raw, planes(particles, rows), 0.5), particles.pixel_size, 20.0)
    np.testing.assert_allclose(ViewedImages(particles, "wiener", 20.0)(rows), restored, atol=1e-6)


def test_without_defocus_corrections_change_nothing(particles):
    raw = np.asarray(particles.images[:1])
    bare = particles._replace(defocus=None)
    np.testing.assert_array_equal(ViewedImages(bare, "wiener")(np.array([0])), raw)


def test_premultiplied_images_keep_their_phases(particles):
    once = particles._replace(optics=particles.optics._replace(is_premultiplied=np.array([True])))
    raw = np.asarray(particles.images[:1])
    np.testing.assert_array_equal(ViewedImages(once, "flip")(np.array([0])), raw)


def test_only_the_image_asked_for_is_made():
    asked = []

    def view(rows):
        asked.append(rows.tolist())
        return rows[:, None, None] + np.arange(6.0, dtype=np.float32).reshape(2, 3)

    array = OneByOne(view, (1000, 2, 3))
    assert (len(array), array.ndim, array.shape) == (1000, 3, (1000, 2, 3))
    np.testing.assert_array_equal(array[5], [[5, 6, 7], [8, 9, 10]])
    np.testing.assert_array_equal(array[-1, :, 1], [1000, 1003])
    np.testing.assert_array_equal(array[2:4, 0, 0], [2, 3])
    np.testing.assert_array_equal(array[[3, 1]][:, 1, 2], [8, 6])
    assert asked == [[5], [999], [2, 3], [3, 1]]
    np.testing.assert_array_equal(np.asarray(OneByOne(view, (2, 2, 3)))[1, 0], [1, 2, 3])

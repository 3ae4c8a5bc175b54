"""A random start: a map that learns from batches, of a molecule with no symmetry."""

import numpy as np
import pytest

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.io.stack import images_in_memory
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.particles import Defocus, Optics
from napari_hypermol.runs import random_start as module
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.random_start import whole_of
from small_hands import ROWS, hand, small_hands, started
from small_poses import BOX


@pytest.fixture(scope="module")
def simulated():
    return small_hands()


def test_a_map_of_both_hands_is_its_own_mirror_image(simulated, monkeypatch):
    start = started(simulated, 2, 1)
    volume = hand().components[0].volume(0.5, BOX)

    def symmetry_of(shown):
        monkeypatch.setattr(
            module, "HyperMaps", lambda *_: type("Maps", (), {"volume": lambda *_: shown})
        )
        return start.mirror_symmetry()

    assert symmetry_of(volume) < 0.85
    assert symmetry_of(volume + volume[:, :, ::-1]) > 0.97  # about a plane between two voxels


def test_noise_of_every_optics_group(simulated, monkeypatch):
    """The same particles seen by two microscopes, one four times as noisy in variance."""
    monkeypatch.setattr(module, "_NOISE_FALL", 0.01)  # at once
    particles, _, _ = simulated
    noisy, once = ROWS % 2 == 1, ROWS // 2
    images = np.array(particles.images.compute())[once]
    rng = np.random.default_rng(5)
    images[noisy] += np.sqrt(3) * rng.standard_normal(images[noisy].shape, dtype=np.float32)
    optics = Optics(("a", "b"), *(np.tile(column, 2) for column in particles.optics[1:]))
    groups = noisy.astype(np.int64)
    two = particles._replace(
        images=images_in_memory(images), optics=optics, optics_group=groups,
        defocus=Defocus(*(column[once] for column in particles.defocus)),
    )  # fmt: skip
    start = started((two, read_fourier_stack(two, 8.0), None), 0, 4, 250)
    quiet, loud = start.noise[:, 1:5]
    # What differs is three units of noise, whatever is still unexplained. The 25 left out are not
    # the same in both: a standard deviation of about 0.2.
    np.testing.assert_allclose((loud - quiet).mean(), 3, atol=0.6)


# ---- the whole ---------------------------------------------------------------------------------


def test_one_component_in_the_middle_is_the_whole():
    ball = Ball((0.0, 0.0, 0.0), 10.0, 2.0)
    found = whole_of(Composite([Component("a", ball, CosineBasis(3))], BOX))
    (only,) = found.components
    assert only.support == ball
    assert only.dims == 0
    assert found.box_size == BOX


@pytest.mark.parametrize("n", [1, 2])
def test_parts_have_no_place_before_there_is_a_frame(n):
    parts = [
        Component("arm", Ball((6.0, 0.0, 0.0), 5.0), CosineBasis(2)),
        Component("body", Ball((0.0, 0.0, 0.0), 8.0), ConstantBasis()),
    ]
    (only,) = whole_of(Composite(parts[:n], BOX)).components
    assert isinstance(only.support, Ball)
    assert not np.any(only.support.centre())
    assert only.support.radius > 0.4 * BOX
    assert only.dims == 0

"""Maps made of Gaussians placed where they belong, so that a rotated map needs no interpolation."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_hypermol.coordinates.fourier import resample_volume
from napari_hypermol.errors import ShapeError
from napari_hypermol.runs.alignment import (
    _interpolated,
    _Map,
    _Pair,
    align_hands,
    align_volumes,
    mirror_symmetry,
)

MIRROR = np.diag([-1.0, 1.0, 1.0])


def placed(places, size, rotation=None, shift=(0, 0, 0), width=1.6):
    """Density (z, y, x) of Gaussians at R r + shift, r in units of a 32-voxel box."""
    places = np.asarray(places) if rotation is None else np.asarray(places) @ rotation.T
    axis = np.arange(size) - size // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    total = np.zeros((size, size, size))
    for px, py, pz in size / 32 * (places + np.array(shift)):
        squares = (x - px) ** 2 + (y - py) ** 2 + (z - pz) ** 2
        total += np.exp(-squares / (2 * (width * size / 32) ** 2))
    return total


def chain(rng, n=40):
    """Beads along a walk: no symmetry, and a hand."""
    walk = np.cumsum(rng.normal(size=(n, 3)), axis=0)
    walk -= walk.mean(axis=0)
    return 8 * walk / np.linalg.norm(walk, axis=1).max()


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize(
    ("size", "shift"), [(32, (0, 0, 0)), (24, (1, -0.5, 0.7)), (33, (0, 1, 0))]
)
def test_known_rotation_is_found(rng, size, shift, is_mirrored):
    places, rotation = chain(rng), Rotation.random(rng=rng).as_matrix()
    hand = MIRROR if is_mirrored else np.eye(3)
    reference = placed(places, size, rotation @ hand, shift)
    found = align_volumes(reference, placed(places, size))
    assert found.is_mirrored == is_mirrored
    between = Rotation.from_matrix(found.rotation @ rotation.T).magnitude()
    assert np.degrees(between) < 2
    assert found.correlation > 0.99


def test_large_maps_are_blurred_on_fewer_voxels(rng):
    reference = placed(chain(rng), 128) + 0.2 * rng.normal(size=(128, 128, 128))
    for size in (12, 24):
        blurred = ndimage.gaussian_filter(reference, 0.5 * 128 / size, mode="constant")
        plain = resample_volume(resample_volume(blurred, size), 2 * size)
        found = _Map(reference).blurred(size)
        assert found.shape == plain.shape
        assert np.abs(found - plain).max() < 1e-3 * np.abs(plain).max()


def test_centre_of_mass_is_where_the_mass_is():
    volume = np.zeros((16, 16, 16))
    volume[9, 10, 12], volume[9, 10, 14], volume[2, 2, 2] = 1, 1, 0.1  # the last one is no mass
    np.testing.assert_allclose(_Map(volume).centre(32), [2 * 5, 2 * 2, 2 * 1])
    np.testing.assert_array_equal(_Map(-volume).centre(16), np.zeros(3))


def test_one_rotation_alone_is_as_among_others(rng):
    reference = _Map(placed(chain(rng), 32))
    pair = _Pair(reference, reference, 12, order=1)
    rotations = Rotation.random(3, rng=rng).as_matrix()
    alone = np.concatenate([pair.turned(rotation[None]) for rotation in rotations])
    np.testing.assert_array_equal(alone, pair.turned(rotations))


def test_turned_maps_are_those_of_plain_interpolation(rng):
    """Also where a molecule that is far off its box's middle brings points beyond its voxels."""
    reference = placed(chain(rng), 32, shift=(9, 5, -6)) + rng.uniform(size=(32, 32, 32))
    pair = _Pair(_Map(reference), _Map(reference), 12, order=1)
    rotations = Rotation.random(20, rng=rng).as_matrix()
    found, beyond = pair.turned(rotations), 0
    for row, rotation in zip(found, rotations, strict=True):
        at = pair._points @ rotation.T + pair._centre
        plain = _interpolated(pair._coefficients, at, pair._scale, 1, is_filtered=True)
        beyond += int((plain == 0).sum())
        plain -= plain.mean()
        np.testing.assert_allclose(row, plain / np.linalg.norm(plain), atol=1e-12)
    assert beyond > 20


def test_hand_is_left_alone_unless_allowed(rng):
    places = chain(rng)
    reference, moving = placed(places @ MIRROR, 32), placed(places, 32)
    same, mirrored = align_hands(reference, moving)
    assert not same.is_mirrored
    assert mirrored.is_mirrored
    assert mirrored.correlation > 0.999
    assert same.correlation < 0.985  # at low resolution the hand of a chain is a small thing
    alone = align_volumes(reference, moving, allow_mirror=False)
    assert (alone.correlation, alone.is_mirrored) == (same.correlation, False)
    assert align_volumes(reference, moving).is_mirrored


def test_molecule_without_a_hand_fits_either_way(rng):
    """Beads in a plane are their own mirror image."""
    places = chain(rng) * [1, 1, 0]
    same, mirrored = align_hands(placed(places, 32), placed(places, 32))
    assert same.correlation > 0.99
    assert mirrored.correlation > 0.99


def test_noise_moves_the_rotation_little(rng):
    places, rotation = chain(rng), Rotation.random(rng=rng).as_matrix()
    reference, moving = placed(places, 32, rotation), placed(places, 32)
    found = align_volumes(
        reference + 0.2 * rng.normal(size=reference.shape),
        moving + 0.2 * rng.normal(size=reference.shape),
    )
    assert not found.is_mirrored
    assert np.degrees(Rotation.from_matrix(found.rotation @ rotation.T).magnitude()) < 4


def test_maps_must_be_equal_cubes():
    with pytest.raises(ShapeError, match="expected equal cubes"):
        align_hands(np.zeros((8, 8, 8)), np.zeros((10, 10, 10)))
    with pytest.raises(ShapeError, match="expected equal cubes"):
        align_hands(np.zeros((8, 8, 10)), np.zeros((8, 8, 10)))


def test_a_map_beside_its_mirror_image_is_symmetric(rng):
    """Alone it lacks much of it; together, about any plane, nothing."""
    places = [[0, 0, 0], [6, 0, 0], [10, 0.5, 0], [1, 6, 2], [-4, -3, 5], [-3, -7, 1]]
    rotation = Rotation.random(rng=rng).as_matrix()
    alone = placed(places, 32)
    plane = rotation @ MIRROR @ rotation.T
    assert mirror_symmetry(alone) < 0.9
    assert mirror_symmetry(alone + placed(places, 32, plane)) > 0.98

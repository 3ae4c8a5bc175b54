import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_hypermol.runs.directions import (
    direction_density,
    direction_means,
    direction_share,
    mollweide,
)


@pytest.fixture(scope="module")
def rotations():
    return Rotation.random(4000, random_state=np.random.default_rng(2)).as_matrix()


def test_uniform_directions_have_density_one(rotations):
    density = direction_density(rotations)
    assert density.shape == (28, 14)
    assert density.mean() == pytest.approx(1)
    assert density.std() < 0.4  # ten particles a part


def test_one_direction_fills_one_part():
    density = direction_density(np.tile(np.eye(3), (100, 1, 1)))
    assert np.count_nonzero(density) == 1
    assert density[:, -1].max() == density.size  # z = 1: the last row


def test_means_are_of_those_seen_from_there(rotations):
    z = rotations[:, 2, 2]
    mean, std = direction_means(rotations, z)
    middles = (np.arange(14) + 0.5) / 7 - 1
    np.testing.assert_allclose(np.nanmean(mean, axis=0), middles, atol=0.03)
    assert np.nanmax(std) < 1 / 14 + 0.02
    few, _ = direction_means(rotations[:40], z[:40])
    assert np.isnan(few).any()


def test_share_of_variance(rotations, rng):
    noise = rng.normal(size=4000)
    assert direction_share(rotations, noise) < 0.03
    assert direction_share(rotations, rotations[:, 2, 2]) > 0.98
    assert direction_share(rotations, rotations[:, 2, 2] * np.sqrt(3) + noise) == pytest.approx(
        0.5, abs=0.05
    )
    assert direction_share(rotations, np.ones(4000)) == 0


def test_mollweide_keeps_areas_and_places():
    parts = np.zeros((8, 4))
    parts[:, 3] = 1  # the northern quarter of z
    picture = mollweide(parts, 400)
    assert picture.shape == (200, 400)
    assert np.isnan(picture[0, 0])
    assert np.nanmean(picture) == pytest.approx(0.25, abs=0.01)
    assert picture[199, 200] == 1
    east = np.zeros((8, 4))
    east[4:] = 1
    assert np.nanmean(mollweide(east)[:, 180:]) == 1

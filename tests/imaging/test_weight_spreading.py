import numpy as np
import pytest

from examples import random_rotations
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.imaging.weight_spreading import spread_weights
from oracles.spreading import spread_plain


@pytest.mark.parametrize(("edge", "rank"), [(16, 1), (16, 2), (16, 17), (66, 8), (66, 11)])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_sample_goes_to_the_points_around_it(rng, edge, rank, threads):
    """Near grids and far ones, which are prefetched: 66^2 x 35 x 8 numbers are 4.9 MB."""
    samples, n, scale = fourier_samples(16, 7), 3, np.float32(edge / 16 - 0.1)
    assert len(samples.kx) > 64  # more than one block
    rotations, (placed,) = random_rotations(rng, n), random_rotations(rng, 1)
    weights = rng.uniform(size=(n, len(samples.kx))).astype(np.float32)
    moments = rng.normal(size=(n, rank)).astype(np.float32)
    targets = np.zeros((threads, edge, edge, edge // 2 + 2, rank), dtype=np.float32)
    order = np.array([1, 2, 0])
    spread_weights(
        weights, moments, rotations, placed, scale, samples.kx, samples.ky, order, targets
    )
    rows = rotations[:, :2] @ placed
    expected = spread_plain(weights, moments, rows, samples, edge, scale)
    np.testing.assert_allclose(folded(targets), expected, atol=1e-5 * abs(expected).max())


def folded(targets):
    """The sum of what threads added: planes that hold both k and -k of what lies in them."""
    found = targets.sum(axis=0)
    np.testing.assert_array_equal(found[:, :, -1], 0)
    found = found[:, :, :-1]
    for plane in (found[:, :, 0], found[:, :, -1]):
        plane += np.roll(plane[::-1, ::-1], 1, axis=(0, 1)).copy()
    return found


def test_the_last_plane_and_none_beyond_it(rng):
    """Samples on the grid's own Nyquist frequency along x: the far point of their step is none."""
    samples, edge = fourier_samples(16, 7), 14
    eye = np.eye(3, dtype=np.float32)[None]
    weights = rng.uniform(size=(1, len(samples.kx))).astype(np.float32)
    moments = np.ones((1, 1), dtype=np.float32)
    targets = np.zeros((1, edge, edge, edge // 2 + 2, 1), dtype=np.float32)
    order = np.zeros(1, dtype=np.int64)
    scale = np.float32(1)
    spread_weights(weights, moments, eye, eye[0], scale, samples.kx, samples.ky, order, targets)
    assert targets[:, :, :, edge // 2].any()
    expected = spread_plain(weights, moments, eye[:, :2], samples, edge, scale)
    np.testing.assert_allclose(folded(targets), expected, atol=1e-6)


def test_particles_without_moments_are_passed_over(rng):
    samples = fourier_samples(13, 6)
    rotations = random_rotations(rng, 1)
    weights = np.full((1, len(samples.kx)), np.nan, dtype=np.float32)
    targets = np.zeros((1, 16, 16, 10, 2), dtype=np.float32)
    spread_weights(
        weights, np.zeros((1, 2), np.float32), rotations, np.eye(3, dtype=np.float32),
        np.float32(1), samples.kx, samples.ky, np.zeros(1, np.int64), targets,
    )  # fmt: skip
    assert not targets.any()

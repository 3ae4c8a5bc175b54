import numpy as np
import pytest

from examples import one_grid, random_rotations
from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.imaging import projector
from napari_hypermol.imaging._set_slices import _FAR, _MANY, SLICE_SET
from napari_hypermol.imaging._tap_table import BLOCK
from napari_hypermol.imaging._taps import MOST, gather_plain, scatter_plain
from oracles.taps import taps_of

BOX = 32


@pytest.fixture(scope="module", params=[_MANY, MOST + 1])
def far(request):
    """A grid that is asked for ahead; whatever numbers, not even Hermitian."""
    rng = np.random.default_rng(1)
    basis = VoxelBasis(np.ones((BOX,) * 3, dtype=np.float32), BOX, BOX)
    n_q = request.param
    grids, placements = one_grid(basis, np.zeros((n_q, basis.n_coefficients), dtype=np.float32))
    stored = rng.normal(size=(*basis.grid_shape, n_q, 2)).astype(np.float32)
    assert stored.size > _FAR
    return basis, grids._replace(values=stored.reshape(-1)), placements, stored


def test_a_far_grid_is_read_as_a_near_one(far, rng):
    basis, grids, placements, stored = far
    samples, rotations = fourier_samples(BOX, 14), random_rotations(rng, 2)
    assert len(samples.kx) % BLOCK  # the last block is not full
    slices = projector.forward(rotations, grids, placements, samples)
    points = stored.view(np.complex64)[..., 0]
    for rotation, found in zip(rotations, slices, strict=True):
        for k in range(0, len(samples.kx), 7):
            row, weights, flips = taps_of(basis, rotation, samples.kx[k], samples.ky[k])
            expected = gather_plain(points, row, *weights)
            expected = expected.conj() if flips else expected
            np.testing.assert_allclose(found[k], expected, atol=3e-5)


def test_a_far_grid_is_added_to_as_a_near_one(far, rng):
    basis, grids, placements, stored = far
    samples, rotations = fourier_samples(BOX, 4), random_rotations(rng, 1)
    shape = (1, len(samples.kx), stored.shape[3])
    values = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    found = projector.adjoint(values, rotations, grids, placements, samples)
    expected = np.zeros(stored.shape[:4], dtype=np.complex64)
    for k, value in enumerate(values[0]):
        row, weights, flips = taps_of(basis, rotations[0], samples.kx[k], samples.ky[k])
        scatter_plain(expected, row, *weights, value.conj() if flips else value)
    found = found.view(np.complex64).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_it_is_compiled_once():
    SLICE_SET.ready()
    compiled = SLICE_SET._compiled
    SLICE_SET.ready()
    assert SLICE_SET._compiled is compiled

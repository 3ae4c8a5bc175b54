"""Functions mixed on a device against products of matrices."""

import numpy as np
import pytest

from napari_hypermol import backend
from napari_hypermol.bases.mixing_cuda import MOST_FUNCTIONS, mix_pairs, mix_shells


def half_of(rng, q, shape=(3, 5, 11)):
    return (rng.normal(size=(q, *shape)) + 1j * rng.normal(size=(q, *shape))).astype(np.complex64)


@pytest.mark.parametrize("q", [1, 3, MOST_FUNCTIONS])
def test_every_shell_has_its_gain(cupy, rng, q):
    half, gain = half_of(rng, q), rng.normal(size=(4, q, q)).astype(np.float32)
    shells = rng.integers(0, 4, half.shape[1:]).astype(np.int32)
    there = cupy.asarray(half)
    mix_shells(there, gain, cupy.asarray(shells))
    expected = np.einsum("zyxqp,pzyx->qzyx", gain[shells], half)
    np.testing.assert_allclose(backend.as_numpy(there), expected, atol=2e-6 * q)


@pytest.mark.parametrize("q", [1, 3, MOST_FUNCTIONS])
def test_pairs_are_the_upper_half_of_a_symmetric_matrix(cupy, rng, q):
    half = half_of(rng, q)
    rows, columns = np.triu_indices(q)
    products = rng.normal(size=(len(rows), *half.shape[1:])).astype(np.float32)
    whole = np.zeros((q, q, *half.shape[1:]), np.float32)
    whole[rows, columns] = whole[columns, rows] = products
    there = cupy.asarray(half)
    mix_pairs(there, cupy.asarray(products))
    expected = np.einsum("qpzyx,pzyx->qzyx", whole, half)
    np.testing.assert_allclose(backend.as_numpy(there), expected, atol=4e-6 * q)

import numpy as np
import pytest

from examples import one_ball, pretzel_like, random_data, scene
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.errors import ShapeError
from napari_hypermol.posterior.gridded_weights import (
    PaddedGrid,
    _blas,
    gridded_weights,
    pair_products,
    paired,
    principal_pairs,
)
from oracles.spreading import spread_plain

N = 4


@pytest.mark.parametrize("composite", [one_ball(8), pretzel_like(12, 1)], ids=["one", "three"])
def test_every_sample_goes_to_the_eight_points_around_it(composite, rng):
    here = scene(composite, 3)
    molecule, images = here.molecule, random_data(rng, N, here.samples)
    q = sum(molecule.n_functions)
    c = rng.normal(size=(N, q))
    second = (c[:, :, None] * c[:, None, :]).astype(np.float32)
    grids = [
        PaddedGrid(2 * basis.size, basis.grid_scale, np.eye(w * (w + 1) // 2, dtype=np.float32))
        for basis, (w, _) in zip(molecule.bases, molecule.set_shapes, strict=True)
    ]
    found = gridded_weights(images, second, here.placements, here.samples, grids)
    ends = np.cumsum([np.prod(grid.shape) for grid in grids])
    for s, (grid, part) in enumerate(zip(grids, np.split(found, ends[:-1]), strict=True)):
        expected = 0
        for m, (owner, columns) in enumerate(molecule.placement_columns):
            if owner == s:
                rows = images.rotations[:, :2] @ here.placements.rotations[m]
                moments = paired(second[:, columns, columns])
                expected += spread_plain(
                    images.weights, moments, rows, here.samples, grid.edge, grid.scale
                )
        np.testing.assert_allclose(part.reshape(grid.shape), expected, atol=2e-5 * expected.max())


def test_weights_are_kept(rng):
    """Without moments they add up to those of the images, counted once in the full space."""
    here = scene(one_ball(12), 5)
    images = random_data(rng, N, here.samples)
    basis = here.molecule.bases[0]
    grid = PaddedGrid(2 * basis.size, basis.grid_scale, np.eye(3, 1, dtype=np.float32))
    second = np.ones((N, 2, 2), dtype=np.float32)
    found = gridded_weights(images, second, here.placements, here.samples, [grid])
    total = found.reshape(grid.shape)[..., 0].astype(np.float64)
    inner = total[:, :, 1:-1].sum()
    np.testing.assert_allclose(
        total[:, :, [0, -1]].sum() + 2 * inner, images.weights.sum(dtype=np.float64), rtol=1e-5
    )


def test_directions_are_found_by_one_thread(rng, monkeypatch):
    """With two, 36 pairs took 19 ms instead of 0.1 on a machine with other work."""
    factors = rng.normal(size=(36, 36))
    products, seen = factors @ factors.T, []
    eigh = np.linalg.eigh

    def watched(matrix):
        seen.extend(pool["num_threads"] for pool in _blas().info() if pool["user_api"] == "blas")
        return eigh(matrix)

    before = [pool["num_threads"] for pool in _blas().info()]
    monkeypatch.setattr(np.linalg, "eigh", watched)
    pairs = principal_pairs(products)
    assert set(seen) == {1}
    assert [pool["num_threads"] for pool in _blas().info()] == before
    np.testing.assert_allclose(pairs.T @ pairs, np.eye(36), atol=1e-5)


def test_products_of_cosines_are_fewer_cosines(rng):
    c = CosineBasis(8).evaluate(rng.uniform(size=(50, 1)))
    second = (c[:, :, None] * c[:, None, :]).astype(np.float32)
    flat = pair_products(None, second, ((0, slice(0, 9)),))
    pairs = principal_pairs(flat.reshape(45, 45))
    assert pairs.shape == (45, 17)
    np.testing.assert_allclose(pairs.T @ pairs, np.eye(17), atol=1e-5)
    kept = paired(second) @ pairs @ pairs.T
    np.testing.assert_allclose(kept, paired(second), atol=2e-3 * abs(second).max())


def test_products_of_several_sets_and_placements(rng):
    second = rng.normal(size=(N, 5, 5)).astype(np.float32)
    placed = ((0, slice(0, 1)), (1, slice(1, 3)), (1, slice(3, 5)))
    flat = pair_products(None, second, placed)
    rows = np.concatenate([paired(second[:, 1:3, 1:3]), paired(second[:, 3:, 3:])])
    np.testing.assert_allclose(flat[0], (second[:, 0, 0] ** 2).sum(), rtol=1e-5)
    np.testing.assert_allclose(flat[1:].reshape(3, 3), rows.T @ rows, rtol=1e-4)


def test_samples_beyond_the_grid_are_refused(rng):
    here, coarse = scene(one_ball(12), 5), scene(one_ball(12), 3).molecule.bases[0]
    grid = PaddedGrid(2 * coarse.size, 2 * coarse.grid_scale, np.eye(3, dtype=np.float32))
    second = np.ones((N, 2, 2), dtype=np.float32)
    images = random_data(rng, N, here.samples)
    with pytest.raises(ShapeError, match="samples reach"):
        gridded_weights(images, second, here.placements, here.samples, [grid])

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_hypermol.coordinates.fourier import half_plane_to_image
from napari_hypermol.errors import ShapeError, VolumeFileError
from napari_hypermol.io import write_volume
from napari_hypermol.synthetic.gaussians import GaussianComponent, GaussianMolecule
from napari_hypermol.synthetic.rigid_volume import (
    RigidVolume,
    fit_box,
    is_map,
    read_rigid_volume,
)
from oracles.dft import cube_points, slice_of_points

NOTHING = np.zeros((3, 0))


def rotations_of(n, seed=1):
    return Rotation.random(n, rng=np.random.default_rng(seed)).as_matrix()


def frequencies(size):
    """Every (kx, ky) of the half plane, and its place in the array."""
    rows, columns = np.mgrid[0:size, 0 : size // 2 + 1].reshape(2, -1)
    ky = (rows + size // 2) % size - size // 2
    return np.stack([columns, ky], axis=-1), rows, columns


@pytest.mark.parametrize("size", [12, 13])
def test_projections_are_the_brute_force_transform(size, rng):
    """White noise inside a ball, the hardest map there is."""
    points = cube_points(size)
    values = rng.normal(size=size**3) * (np.linalg.norm(points, axis=1) < 0.4 * size)
    rotations = rotations_of(3)
    found = RigidVolume(values.reshape((size,) * 3).astype(np.float32)).projections_ft(
        rotations, NOTHING, size
    )
    at, rows, columns = frequencies(size)
    inside = np.hypot(*at.T) < size / 2
    for image, rotation in zip(found, rotations, strict=True):
        true = slice_of_points(points, values, rotation, at, size)
        got = image[rows, columns]
        error = np.linalg.norm((got - true)[inside]) / np.linalg.norm(true[inside])
        assert error < 1e-3
        assert (got[~inside] == 0).all()
        # and not that of the opposite rotation
        other = slice_of_points(points, values, rotation.T, at, size)
        assert np.linalg.norm((got - other)[inside]) > 0.3 * np.linalg.norm(true[inside])


def test_it_agrees_with_gaussians_in_closed_form():
    places = np.array([[4.0, 1.0, -2.0], [-3.0, 5.0, 2.0], [0.0, -4.0, 6.0]])
    ones = np.ones(3)

    def centres(states):
        return np.broadcast_to(places, (len(states), 3, 3))

    component = GaussianComponent("spots", centres, ones, 1.6 * ones, False)
    size, rotations = 32, rotations_of(3)
    true = GaussianMolecule((component,)).projections_ft(rotations, NOTHING, size)
    molecule = RigidVolume(component.volume(0.0, size))
    found = molecule.projections_ft(rotations, NOTHING, size)
    error = np.linalg.norm(found - true) / np.linalg.norm(true)
    assert error < 1e-3


def test_without_rotation_it_is_the_sum_along_z(rng):
    values = np.zeros((16, 16, 16), dtype=np.float32)
    values[4:12, 4:12, 4:12] = rng.normal(size=(8, 8, 8))
    ft = RigidVolume(values).projections_ft(np.eye(3)[None], NOTHING[:1], 16)
    flat = values.sum(axis=0, dtype=np.float64)
    at, rows, columns = frequencies(16)
    outside = np.hypot(*at.T) >= 8
    image = half_plane_to_image(ft, (16, 16))[0]
    # what is missing are the corners of the half plane
    spectrum = np.abs(np.fft.rfft2(flat, norm="ortho")) ** 2
    corners = spectrum[rows[outside], columns[outside]].sum()
    assert np.sum((image - flat) ** 2) == pytest.approx(2 * corners, rel=0.2)
    assert np.corrcoef(image.ravel(), flat.ravel())[0, 1] > 0.85


@pytest.mark.parametrize(("old", "new"), [(8, 12), (8, 5), (7, 4), (7, 10), (65, 64), (6, 6)])
def test_the_origin_stays_the_origin(old, new):
    values = np.zeros((old,) * 3)
    values[old // 2, old // 2, old // 2] = 1
    values[old // 2 + 1, old // 2, old // 2 - 1] = 2
    out = fit_box(values, new)
    assert out.shape == (new,) * 3
    assert out[new // 2, new // 2, new // 2] == 1
    assert out[new // 2 + 1, new // 2, new // 2 - 1] == 2
    assert out.sum() == 3


def test_a_molecule_from_a_file(tmp_path, rng):
    values = rng.normal(size=(9, 9, 9)).astype(np.float32)
    write_volume(tmp_path / "map.mrc", values, 2.5)
    molecule = read_rigid_volume(tmp_path / "map.mrc")
    np.testing.assert_array_equal(molecule.values, values)
    assert (molecule.dims, molecule.components, molecule.symmetry) == (0, (molecule,), "C1")
    cropped = read_rigid_volume(tmp_path / "map.mrc", 8)
    np.testing.assert_array_equal(cropped.volume(0.3, 8), values[:8, :8, :8])


def test_files_that_are_no_molecule_are_refused(tmp_path):
    write_volume(tmp_path / "slab.mrc", np.ones((4, 5, 6), dtype=np.float32), 1.0)
    with pytest.raises(VolumeFileError, match=r"slab.mrc: has the shape \(4, 5, 6\)"):
        read_rigid_volume(tmp_path / "slab.mrc")
    write_volume(tmp_path / "flat.mrc", np.ones((4, 4, 4), dtype=np.float32), 1.0)
    with pytest.raises(VolumeFileError, match="the same everywhere"):
        read_rigid_volume(tmp_path / "flat.mrc")
    with pytest.raises(ShapeError, match="expected a cube"):
        RigidVolume(np.zeros((4, 4, 5), dtype=np.float32))
    with pytest.raises(ShapeError, match="a map of 4 voxels for a box of 5"):
        RigidVolume(np.zeros((4, 4, 4), dtype=np.float32)).projections_ft(
            np.eye(3)[None], NOTHING[:1], 5
        )


def test_names_of_maps():
    assert is_map("folder/Map.MRC")
    assert is_map("emd_1.map.gz")
    assert not is_map("pretzel")
    assert not is_map("stack.mrcs")

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from napari_hypermol.io.relion_columns import RelionColumns
from napari_hypermol.io.relion_poses import half_sets_of, pose_columns, rotations_of, shifts_of


def columns_of(**particles):
    return RelionColumns.of(Path("x.star"), pd.DataFrame(particles), None)


def test_rotation_of_known_angles():
    """The matrix of RELION's own formula at (30, 45, 60)."""
    columns = columns_of(rlnAngleRot=["30"], rlnAngleTilt=["45"], rlnAnglePsi=["60"])
    expected = [
        [-0.126826484, 0.9267766953, -0.3535533906],
        [-0.7803300859, 0.126826484, 0.6123724357],
        [0.6123724357, 0.3535533906, 0.7071067812],
    ]
    np.testing.assert_allclose(rotations_of(columns)[0], expected, atol=1e-9)


def test_angles_that_are_not_all_there_are_no_poses():
    assert rotations_of(columns_of(rlnAngleRot=["30"], rlnAngleTilt=["45"])) is None


def test_shift_is_minus_the_origin():
    in_angstrom = columns_of(rlnOriginXAngst=["3", "0"], rlnOriginYAngst=["-1.5", "0"])
    np.testing.assert_array_equal(shifts_of(in_angstrom, 2.0), [[-3, 1.5], [0, 0]])
    in_pixels = columns_of(rlnOriginX=["3", "0"], rlnOriginY=["-1.5", "0"])
    np.testing.assert_array_equal(shifts_of(in_pixels, 2.0), [[-6, 3], [0, 0]])
    assert not np.signbit(shifts_of(in_pixels, 2.0)[1]).any()
    both = columns_of(rlnOriginXAngst=["3"], rlnOriginYAngst=["4"], rlnOriginX=["9"])
    np.testing.assert_array_equal(shifts_of(both, 2.0), [[-3, -4]])
    np.testing.assert_array_equal(shifts_of(columns_of(rlnImageName=["a"]), 2.0), [[0, 0]])


def test_pose_columns_read_back(rng):
    rotations = Rotation.random(50, rng=rng).as_matrix()
    shifts = rng.normal(size=(50, 2))
    for pixel_size in (None, 1.7):
        columns = columns_of(**pose_columns(rotations, shifts, pixel_size))
        np.testing.assert_allclose(rotations_of(columns), rotations, atol=1e-12)
        np.testing.assert_allclose(shifts_of(columns, 1.7), shifts, atol=1e-12)


def test_half_sets():
    np.testing.assert_array_equal(half_sets_of(columns_of(rlnRandomSubset=["1", "2"])), [1, 2])
    assert half_sets_of(columns_of(rlnImageName=["a"])) is None


def test_shifted_projections_of_relion(shared_data):
    """RELION rolls the image by minus the origin, so the particle lies at s."""
    from napari_hypermol.io import read_particles

    folder = shared_data / "oracles"
    centred = read_particles(folder / "rln_proj_65_centered.star").particles
    shifted = read_particles(folder / "rln_proj_65_shifted.star").particles
    pairs = zip(centred.images.compute(), shifted.images.compute(), shifted.shifts, strict=True)
    for still, moved, (x, y) in pairs:
        rolled = np.roll(still, (round(y), round(x)), axis=(0, 1))
        assert np.corrcoef(rolled.ravel(), moved.ravel())[0, 1] > 0.999999

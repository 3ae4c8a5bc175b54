import bz2
import gzip

import mrcfile
import numpy as np
import pytest

from napari_hypermol.errors import OutputExistsError, VolumeFileError
from napari_hypermol.io.mrc import (
    is_stack,
    open_stack,
    read_volume,
    write_stack,
    write_volume,
)

SHAPE = (3, 4, 5)


@pytest.fixture
def values():
    return np.arange(60, dtype=np.float32).reshape(SHAPE)


@pytest.mark.parametrize("name", ["a.mrc", "a.map", "a.mrc.gz", "a.map.bz2"])
def test_a_volume_comes_back(tmp_path, values, name):
    write_volume(tmp_path / name, values, 1.25, origin=(1.0, 2.0, -3.0))
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.values, values)
    assert volume.values.dtype == np.float32
    assert volume.pixel_size == pytest.approx(1.25)
    assert volume.origin == (1.0, 2.0, -3.0)
    assert not is_stack(tmp_path / name)


def test_other_programs_read_what_is_written(tmp_path, values):
    write_volume(tmp_path / "a.mrc", values, 1.25)
    write_stack(tmp_path / "a.mrcs", values, 1.25)
    assert mrcfile.validate(tmp_path / "a.mrc")
    assert mrcfile.validate(tmp_path / "a.mrcs")
    with mrcfile.open(tmp_path / "a.mrc") as file:
        np.testing.assert_array_equal(file.data, values)
        assert file.is_volume()
    with mrcfile.open(tmp_path / "a.mrcs") as file:
        assert file.is_image_stack()
        assert file.voxel_size.x == pytest.approx(1.25)


@pytest.mark.parametrize("kind", ["i1", "i2", "u2", "f2", "f4"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_mode_in_either_byte_order(tmp_path, values, kind, order):
    path = tmp_path / "a.mrc"
    with mrcfile.new(path) as file:
        file.set_data(values.astype(order + kind))
        file.voxel_size = 2.0
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.values, values)
    assert volume.pixel_size == pytest.approx(2.0)


@pytest.mark.parametrize("order", ["<", ">"])
def test_old_files_without_map_or_stamp(tmp_path, values, order):
    path = tmp_path / "a.mrc"
    with mrcfile.new(path) as file:
        file.set_data(values.astype(order + "f4"))
    raw = bytearray(path.read_bytes())
    raw[208:216] = bytes(8)
    path.write_bytes(raw)
    np.testing.assert_array_equal(read_volume(path).values, values)


def test_axes_stored_in_another_order(tmp_path, values):
    path = tmp_path / "a.map"
    with mrcfile.new(path) as file:  # sections along y, rows along x, columns along z
        file.set_data(np.ascontiguousarray(values.transpose(1, 2, 0)))
        file.header.mapc, file.header.mapr, file.header.maps = 3, 1, 2
    np.testing.assert_array_equal(read_volume(path).values, values)


def test_extended_header_is_skipped(tmp_path, values):
    path = tmp_path / "a.mrc"
    with mrcfile.new(path) as file:
        file.set_data(values)
        file.set_extended_header(np.zeros(160, dtype="V1"))
    np.testing.assert_array_equal(read_volume(path).values, values)


def test_one_volume_in_a_stack_of_volumes(tmp_path, values):
    path = tmp_path / "a.mrc"
    with mrcfile.new(path) as file:
        file.set_data(values[None])
        assert file.header.ispg == 401
    np.testing.assert_array_equal(read_volume(path).values, values)
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(np.stack([values, values]))
    with pytest.raises(VolumeFileError, match="holds 2 volumes"):
        read_volume(path)


def test_unknown_voxel_size_is_none_and_start_is_an_origin(tmp_path, values):
    path = tmp_path / "a.mrc"
    with mrcfile.new(path) as file:
        file.set_data(values)
    assert read_volume(path).pixel_size is None
    with mrcfile.open(path, "r+") as file:
        file.voxel_size = 2.0
        file.header.nxstart = -3
    assert read_volume(path).origin == (-6.0, 0.0, 0.0)


def test_stack_or_volume(tmp_path):
    images, cube = np.zeros((3, 4, 4), "f4"), np.zeros((4, 4, 4), "f4")
    write_stack(tmp_path / "images.mrc", images, 1.0)
    write_volume(tmp_path / "says_volume.mrcs", images, 1.0)
    write_volume(tmp_path / "slab.mrc", images, 1.0)
    write_stack(tmp_path / "cube.mrc", cube, 1.0)
    write_stack(tmp_path / "cube.mrcs", cube, 1.0)
    assert is_stack(tmp_path / "images.mrc")
    assert is_stack(tmp_path / "says_volume.mrcs")
    assert not is_stack(tmp_path / "slab.mrc")
    assert not is_stack(tmp_path / "cube.mrc")
    assert is_stack(tmp_path / "cube.mrcs")
    with pytest.raises(VolumeFileError, match="stack of 3 images"):
        read_volume(tmp_path / "images.mrc")
    assert open_stack(tmp_path / "slab.mrc").shape == (3, 4, 4)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_a_truncated_file_is_refused_not_filled(tmp_path, values, pack):
    suffix = {bytes: "", gzip.compress: ".gz", bz2.compress: ".bz2"}[pack]
    write_volume(tmp_path / "a.mrc", values, 1.0)
    path = tmp_path / f"b.mrc{suffix}"
    path.write_bytes(pack((tmp_path / "a.mrc").read_bytes()[:-4]))
    with pytest.raises(VolumeFileError, match="cut short"):
        read_volume(path)


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
def test_a_truncated_archive_is_refused(tmp_path, suffix, rng):
    path = tmp_path / f"a.mrc{suffix}"
    write_volume(path, rng.normal(size=(16, 16, 16)), 1.0)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(VolumeFileError, match=r"copy the file again|cannot be read"):
        read_volume(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty or cut short"), (b"x" * 99, "cut short"), (b"\xff" * 4096, "not begin with")],
)
def test_what_is_no_mrc_file_is_refused(tmp_path, content, words):
    path = tmp_path / "a.mrc"
    path.write_bytes(content)
    with pytest.raises(VolumeFileError, match=words):
        read_volume(path)


def test_doors(tmp_path, values):
    with pytest.raises(VolumeFileError, match="is a folder"):
        read_volume(tmp_path)
    with pytest.raises(VolumeFileError, match="does not exist"):
        read_volume(tmp_path / "no.mrc")
    (tmp_path / "not.mrc.gz").write_bytes(b"not compressed")
    with pytest.raises(VolumeFileError, match="cannot be read"):
        read_volume(tmp_path / "not.mrc.gz")
    with pytest.raises(VolumeFileError, match=r"expected .z, y, x."):
        write_volume(tmp_path / "a.mrc", values[0], 1.0)
    with pytest.raises(VolumeFileError, match="NaN"):
        write_volume(tmp_path / "a.mrc", values * np.nan, 1.0)
    assert not (tmp_path / "a.mrc").exists()
    write_volume(tmp_path / "a.mrc", values, 1.0)
    with pytest.raises(OutputExistsError, match="exists already"):
        write_volume(tmp_path / "a.mrc", values, 1.0)
    write_volume(tmp_path / "a.mrc", values + 1, 1.0, overwrite=True)
    assert read_volume(tmp_path / "a.mrc").values[0, 0, 0] == 1


def test_complex_modes_and_odd_voxels_are_refused(tmp_path, values):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(values.astype("c8"))
    with pytest.raises(VolumeFileError, match="mode 4"):
        read_volume(tmp_path / "a.mrc")
    with mrcfile.new(tmp_path / "b.mrc") as file:
        file.set_data(values)
        file.voxel_size = (1.0, 1.0, 2.0)
    with pytest.raises(VolumeFileError, match="unequal edges"):
        read_volume(tmp_path / "b.mrc")


@pytest.mark.parametrize("suffix", [".mrcs", ".mrcs.gz"])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_statistics_in_the_header(tmp_path, rng, suffix, offset):
    """Also far from zero, where squares cancel."""
    images = rng.normal(offset, 3, (13, 8, 10)).astype(np.float32)
    path = tmp_path / f"stack{suffix}"
    write_stack(path, images, 2.0)
    with mrcfile.open(path) as file:
        header = file.header
        assert header.dmin == images.min()
        assert header.dmax == images.max()
        assert header.dmean == pytest.approx(images.mean(dtype=np.float64), abs=1e-4)
        assert header.rms == pytest.approx(images.std(dtype=np.float64), rel=1e-5)
        np.testing.assert_array_equal(file.data, images)
        assert mrcfile.validate(path)


def test_statistics_of_huge_numbers_and_of_none(tmp_path):
    write_stack(tmp_path / "huge.mrcs", np.float32([[[1e30, -1e30]]]), 1.0)
    write_stack(tmp_path / "none.mrcs", np.zeros((0, 2, 2), np.float32), 1.0)
    with mrcfile.open(tmp_path / "huge.mrcs", header_only=True) as file:
        assert file.header.rms == np.float32(1e30)
    with mrcfile.open(tmp_path / "none.mrcs", header_only=True) as file:
        assert file.header.dmax < file.header.dmin  # what MRC has for unknown


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_not_written(tmp_path, rng, bad):
    images = rng.normal(size=(9, 10, 10)).astype(np.float32)
    images.flat[700] = bad
    with pytest.raises(VolumeFileError, match="NaN or infinite"):
        write_stack(tmp_path / "stack.mrcs", images, 2.0)
    assert not list(tmp_path.iterdir())


def test_nan_voxels_are_refused(tmp_path, values):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(values)
        file.data[1, 1, 1] = np.nan
    with pytest.raises(VolumeFileError, match="NaN"):
        read_volume(tmp_path / "a.mrc")


def test_real_files(shared_data):
    real = shared_data / "real"
    old = read_volume(real / "toymodel_small_nocenter.mrc")
    assert old.values.shape == (30, 30, 30)
    assert old.pixel_size == 1.0
    plain, packed = read_volume(real / "EMD-3197.map"), read_volume(real / "emd_3197.map.gz")
    np.testing.assert_array_equal(plain.values, packed.values)
    assert plain.pixel_size == pytest.approx(11.4)
    assert plain.origin == pytest.approx((-22.8, 0, 0))
    assert read_volume(real / "test_mask_dilated_wide.mrc").values.shape == (16, 16, 16)
    for path in [*real.glob("vol*.mrc"), real / "3j9g_potential_ps4_4.mrc"]:
        assert read_volume(path).values.shape == (64, 64, 64)
    assert is_stack(real / "relion31.mrcs")
    assert is_stack(shared_data / "oracles" / "rln_proj_65.mrcs")
    assert not is_stack(real / "empiar_10076_7.mrc")  # says so, wrongly; its STAR file knows

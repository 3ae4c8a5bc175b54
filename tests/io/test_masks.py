import mrcfile
import numpy as np
import pytest

from napari_hypermol.errors import MaskError
from napari_hypermol.io.masks import read_mask
from napari_hypermol.io.mrc import write_volume


@pytest.fixture
def ball():
    z, y, x = np.mgrid[-4:4, -4:4, -4:4]
    return np.clip(3 - np.sqrt(x**2 + y**2 + z**2), 0, 1).astype(np.float32)


def test_a_mask_comes_back(tmp_path, ball):
    write_volume(tmp_path / "m.mrc", ball, 1.505)  # 0.3 % off: rounded headers are accepted
    mask = read_mask(tmp_path / "m.mrc", 8, 1.5)
    np.testing.assert_array_equal(mask, ball)
    assert mask.dtype == np.float32


@pytest.mark.parametrize("voxel_size", [0.0, 1.0])
def test_headers_that_do_not_know_are_accepted(tmp_path, ball, voxel_size):
    write_volume(tmp_path / "m.mrc", ball, voxel_size)
    assert read_mask(tmp_path / "m.mrc", 8, 3.0).shape == (8, 8, 8)


def test_a_stack_of_one_mask_is_accepted(tmp_path, ball):
    with mrcfile.new(tmp_path / "m.mrc") as file:
        file.set_data(ball[None])
    np.testing.assert_array_equal(read_mask(tmp_path / "m.mrc", 8, 1.5), ball)


def test_rounding_beyond_one_is_clipped(tmp_path, ball):
    write_volume(tmp_path / "m.mrc", ball * 1.0005, 1.5)
    assert read_mask(tmp_path / "m.mrc", 8, 1.5).max() == 1.0


@pytest.mark.parametrize(
    ("change", "voxel_size", "words"),
    [
        (lambda m: m[:-1], 1.5, r"shape \(7, 8, 8\), expected \(8, 8, 8\)"),
        (lambda m: m, 1.6, "voxels of 1.6 Å, expected 1.5 Å"),
        (lambda m: m * 2, 1.5, "0 to 2, expected 0 to 1"),
        (lambda m: m - 0.5, 1.5, "-0.5 to 0.5, expected 0 to 1"),
        (lambda m: m * 0, 1.5, "zero everywhere"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, ball, change, voxel_size, words):
    write_volume(tmp_path / "m.mrc", change(ball), voxel_size)
    with pytest.raises(MaskError, match=words):
        read_mask(tmp_path / "m.mrc", 8, 1.5)


def test_nan_is_refused(tmp_path, ball):
    with mrcfile.new(tmp_path / "m.mrc") as file:
        file.set_data(ball)
        file.data[0, 0, 0] = np.nan
    with pytest.raises(MaskError, match="NaN"):
        read_mask(tmp_path / "m.mrc", 8, 1.5)


def test_a_missing_file_is_a_mask_error(tmp_path):
    with pytest.raises(MaskError, match="does not exist"):
        read_mask(tmp_path / "no.mrc", 8, 1.5)


def test_real_masks(shared_data):
    mask = read_mask(shared_data / "real" / "test_mask_bool.mrc", 16, 2.0)
    assert set(np.unique(mask)) == {0.0, 1.0}
    with pytest.raises(
        MaskError, match=r"-0.1057 to 1.206, expected 0 to 1"
    ):  # as it was published
        read_mask(shared_data / "real" / "test_mask_dilated_wide.mrc", 16, 2.0)

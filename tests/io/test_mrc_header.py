import warnings

import mrcfile
import numpy as np
import pytest

from napari_hypermol.errors import ParticleFileError, VolumeFileError
from napari_hypermol.io.mrc_header import read_header


@pytest.fixture
def path(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(np.zeros((3, 4, 5), np.int16))
        file.voxel_size = 2.0
        file.header.origin = (1.0, -2.0, 3.0)
    return tmp_path / "a.mrc"


def overwrite(path, word, value, kind="<i4"):
    """Set one of the format's words, numbered from 1."""
    raw = bytearray(path.read_bytes())
    raw[4 * (word - 1) : 4 * word] = np.array(value, kind).tobytes()
    path.write_bytes(raw)


def test_what_it_says(path):
    header = read_header(path)
    assert header.shape == (3, 4, 5)
    assert header.dtype == np.int16
    assert header.offset == 1024
    assert header.pixel_size == pytest.approx(2.0)
    assert header.is_cubic
    assert header.origin == (1.0, -2.0, 3.0)
    assert header.axes == (1, 2, 3)
    assert header.space_group == 1


def test_agrees_with_mrcfile_on_real_files(shared_data):
    for path in [*shared_data.glob("real/*.m*"), *shared_data.glob("oracles/*.mrcs")]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # mrcfile's, on headers without the word MAP
            with mrcfile.open(path, permissive=True, header_only=True) as file:
                theirs = file.header.copy()
                cell = theirs.cella.x / theirs.mx
        ours = read_header(path)
        assert np.prod(ours.shape[:-2]) == theirs.nz
        assert ours.shape[-2:] == (theirs.ny, theirs.nx)
        assert (ours.pixel_size or 0) == pytest.approx(cell)


@pytest.mark.parametrize(
    ("word", "value", "words"),
    [
        (1, 0, "does not begin with an MRC header"),
        (2, -4, "does not begin with an MRC header"),
        (3, 400, "cut short, expected .* got 1144"),
        (4, 4, r"mode 4, expected one of \[0, 1, 2, 6, 12\]"),
        (4, 1234, "does not begin with an MRC header"),
        (24, 8, "cut short"),
        (24, -8, "does not begin with an MRC header"),
    ],
)
def test_sizes_that_cannot_be_are_refused(path, word, value, words):
    overwrite(path, word, value)
    with pytest.raises(VolumeFileError, match=words):
        read_header(path)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_a_meaningless_cell_is_no_pixel_size(path, value):
    for word in (11, 12, 13):
        overwrite(path, word, value, "<f4")
    assert read_header(path).pixel_size is None


def test_meaningless_axes_are_the_usual_ones(path):
    for word in (17, 18, 19):
        overwrite(path, word, 0)
    assert read_header(path).axes == (1, 2, 3)


def test_the_caller_chooses_the_error(tmp_path):
    with pytest.raises(ParticleFileError, match="does not exist"):
        read_header(tmp_path / "no.mrc", ParticleFileError)

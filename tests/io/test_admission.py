import os

import pytest

from napari_hypermol.errors import MaskError
from napari_hypermol.io.admission import admit_file, admit_size, inside, shown


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is a folder"),
        (os.mkfifo, "is a pipe or a device"),
    ],
)
def test_only_regular_files(tmp_path, make, says):
    make(tmp_path / "x")
    with pytest.raises(MaskError, match=f"x: {says}, expected a mask"):
        admit_file(tmp_path / "x", "a mask", MaskError)


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000])
def test_names_that_no_file_can_have(tmp_path, name):
    with pytest.raises(MaskError, match="does not exist") as caught:
        admit_file(tmp_path / name, "a mask", MaskError)
    assert len(str(caught.value)) < 600


def test_links_are_followed(tmp_path):
    (tmp_path / "x").touch()
    (tmp_path / "y").symlink_to(tmp_path / "x")
    admit_file(tmp_path / "y", "a mask", MaskError)


def test_expansion(tmp_path):
    admit_size(tmp_path, 1000, 2**30, MaskError)
    admit_size(tmp_path, 2**29, 10 * 2**29, MaskError)
    with pytest.raises(MaskError, match="1000 bytes announce 1073741825"):
        admit_size(tmp_path, 1000, 2**30 + 1, MaskError)


@pytest.mark.parametrize(
    ("name", "is_inside"),
    [("a/b.mrc", True), ("a/../b.mrc", True), ("../b", False), ("a/../../b", False), ("/b", False)],
)
def test_inside(name, is_inside):
    assert inside(name) == is_inside


def test_shown_is_one_short_line():
    assert shown("plain") == "plain"
    assert shown("a\nb\0") == "a\\nb\\x00"
    assert shown("x" * 61) == "x" * 57 + "..."
    assert shown("x" * 60) == "x" * 60

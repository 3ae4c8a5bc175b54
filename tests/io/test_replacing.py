import os

import pytest

from napari_hypermol.errors import HypermolError, OutputExistsError
from napari_hypermol.io.replacing import replacing, sync_tree


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half(temporary):
        temporary.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError), replacing(path, overwrite=True) as temporary:
        write_half(temporary)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_success_replaces(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path, overwrite=True) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_doors(tmp_path):
    with pytest.raises(OutputExistsError, match="is a folder"), replacing(tmp_path, True):
        pass
    with pytest.raises(HypermolError, match="create it first"), replacing(tmp_path / "b/c", True):
        pass


def test_folders_are_put_on_the_disk(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("c")
    synced = []
    monkeypatch.setattr(os, "fsync", lambda place: synced.append(os.fstat(place).st_ino))
    sync_tree(tmp_path / "a")
    assert synced == [(tmp_path / "a" / name).stat().st_ino for name in ("", "b/c", "b")]

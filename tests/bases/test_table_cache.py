import numpy as np
import pytest

from napari_hypermol.bases.table_cache import cache_folder, cached_tables

TABLES = {"one": np.arange(3.0), "two": np.ones((2, 2))}


class Counted:
    """Computes the tables and counts how often it was asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return TABLES


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "not" / "there yet"
    monkeypatch.setenv("HYPERMOL_CACHE", str(folder))
    return folder


def assert_are_the_tables(found):
    assert found.keys() == TABLES.keys()
    for name, table in TABLES.items():
        np.testing.assert_array_equal(found[name], table)


def test_computed_once(folder):
    compute = Counted()
    for _ in range(3):
        assert_are_the_tables(cached_tables("a", compute))
    assert compute.calls == 1
    assert [path.name for path in folder.iterdir()] == ["a.npz"]  # nothing half written


def test_names_are_apart(folder):
    compute = Counted()
    cached_tables("a", compute)
    cached_tables("b", compute)
    assert compute.calls == 2


def damaged(whole: bytes, kind: str) -> bytes:
    middle = len(whole) // 3
    return {
        "empty": b"",
        "cut off": whole[: len(whole) // 2],
        "text": b"not an archive",
        "a bit turned": whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "cut off", "text", "a bit turned"])
def test_damage_is_computed_again_and_repaired(folder, kind):
    compute = Counted()
    cached_tables("a", compute)
    path = folder / "a.npz"
    path.write_bytes(damaged(path.read_bytes(), kind))
    assert_are_the_tables(cached_tables("a", compute))
    assert_are_the_tables(cached_tables("a", compute))
    assert compute.calls == 2


def test_pickles_are_never_loaded(folder):
    folder.mkdir(parents=True)
    np.savez(folder / "a.npz", names=np.array(["one"]), one=np.array([{}], dtype=object))
    compute = Counted()
    assert_are_the_tables(cached_tables("a", compute))
    assert compute.calls == 1


def test_other_kinds_of_numbers_are_not_taken(folder):
    folder.mkdir(parents=True)
    np.savez(folder / "a.npz", names=np.array(["one"]), one=np.arange(3))
    assert_are_the_tables(cached_tables("a", Counted()))


@pytest.mark.parametrize("place", ["a file", "a file/below"])
def test_folder_that_cannot_be_written(tmp_path, monkeypatch, place):
    """A file stands where the folder should be: works for root too, unlike permissions."""
    (tmp_path / "a file").write_text("in the way")
    monkeypatch.setenv("HYPERMOL_CACHE", str(tmp_path / place))
    compute = Counted()
    for _ in range(2):
        assert_are_the_tables(cached_tables("a", compute))
    assert compute.calls == 2


def test_home_of_the_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("HYPERMOL_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "napari-hypermol" in cache_folder().parts
    monkeypatch.setenv("HYPERMOL_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"

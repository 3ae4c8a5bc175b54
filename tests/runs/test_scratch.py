import mmap
import os

import numpy as np
import pytest

from napari_hypermol.errors import RunFolderError
from napari_hypermol.runs import scratch
from napari_hypermol.runs.scratch import is_in_memory, room


def test_small_arrays_are_in_memory(tmp_path):
    array = room((3, 4), np.float32, tmp_path)
    assert not isinstance(array, np.memmap)
    assert array.shape == (3, 4)
    assert array.dtype == np.float32


def test_pages_of_its_own(monkeypatch):
    """As large as asked for, to be written to, and nobody else's."""
    monkeypatch.setattr(scratch, "_OWN_PAGES", 1000)
    flags = []
    pages = mmap.mmap
    monkeypatch.setattr(
        scratch.mmap, "mmap", lambda *args, **kw: flags.append(kw["flags"]) or pages(*args, **kw)
    )
    array = room((7, 100), np.complex64)
    assert isinstance(array.base.base.obj, pages)
    assert flags == [mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS]  # shared ones get no huge pages
    array[:] = np.arange(700).reshape(7, 100)
    np.testing.assert_array_equal(array[3], np.arange(300, 400))
    assert array.flags.c_contiguous
    assert array.flags.aligned


def test_where_there_are_no_pages_it_is_said_as_ever(monkeypatch):
    def none(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(scratch, "_OWN_PAGES", 1000)
    monkeypatch.setattr(scratch.mmap, "mmap", none)
    assert room((7, 100), np.complex64).shape == (7, 100)


def test_large_arrays_are_files_that_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "MEMORY_SHARE", 0.0)
    array = room((5, 7), np.complex64, tmp_path)
    assert isinstance(array, np.memmap)
    array[:] = np.arange(35).reshape(5, 7)
    np.testing.assert_array_equal(array[3], np.arange(21, 28))
    assert not list(tmp_path.iterdir())  # no name: gone with the process, however it ends


def test_the_share_is_of_what_is_free(monkeypatch):
    class Free:
        available = 1000

    monkeypatch.setattr(scratch.psutil, "virtual_memory", Free)
    assert is_in_memory(249)
    assert not is_in_memory(250)


def test_what_is_kept_for_later_is_not_taken(monkeypatch):
    """It is given back before an array is sent to a file for want of memory."""

    class Free:
        available = 1000

    def given_back():
        Free.available = 2000

    monkeypatch.setattr(scratch.psutil, "virtual_memory", Free)
    monkeypatch.setattr(scratch, "give_back_freed_memory", given_back)
    assert is_in_memory(249)
    assert Free.available == 1000
    assert is_in_memory(499)
    assert not is_in_memory(500)


def test_a_full_disk_is_said_at_once(tmp_path, monkeypatch):
    def full(file, start, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch, "MEMORY_SHARE", 0.0)
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(RunFolderError, match=r"no room for 2.0 GiB .*No space left"):
        room((2**28, 1), np.complex64, tmp_path)
    assert not list(tmp_path.iterdir())

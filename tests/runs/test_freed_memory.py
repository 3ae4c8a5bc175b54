import subprocess
import sys

import pytest

from napari_hypermol.runs import freed_memory
from napari_hypermol.runs.freed_memory import give_back_freed_memory, keep_freed_memory

# A process of its own: what is kept is kept for good.
COUNT = """
import resource, sys
from napari_hypermol.runs.scratch import room
import numpy as np
import psutil
from napari_hypermol.runs.freed_memory import give_back_freed_memory, keep_freed_memory

def held():
    return psutil.Process().memory_info().rss / 2**20

def use():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(25 * 2**20, dtype=np.float32)
    np.ones(10 * 2**20, dtype=np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep":
    assert keep_freed_memory()
begin = held()
first, second = use(), use()
kept = held() - begin
array = room((25 * 2**20,), np.float32)
array[:] = 1
del array
pages = held() - begin - kept
give_back_freed_memory()
print(first, second, kept, pages, held() - begin)
"""


def counted(how):
    if not sys.platform.startswith("linux") or freed_memory._c_library() is None:
        pytest.skip("not glibc: nothing is kept")
    done = subprocess.run(
        [sys.executable, "-c", COUNT, how], check=True, capture_output=True, text=True
    )
    return map(float, done.stdout.split())


def test_kept_memory_is_used_again_and_given_back_when_told():
    first, second, kept, pages, left = counted("keep")
    assert second < 0.1 * first
    assert kept > 90  # [MiB] of 100
    assert abs(pages) < 10  # of what images are in nothing is kept
    assert left < 10


def test_by_itself_it_is_asked_for_anew():
    """Else the test above would show nothing."""
    first, second, kept, _, _ = counted("do not")
    assert second > 0.5 * first
    assert kept < 10


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(freed_memory, "_c_library", lambda: None)
    assert not keep_freed_memory()
    give_back_freed_memory()

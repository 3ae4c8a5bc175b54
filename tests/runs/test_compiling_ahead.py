"""What is compiled ahead is what runs compile, and whoever does it ends with the run."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from napari_hypermol.runs import compiling_ahead as module
from napari_hypermol.runs import reconstruct as reconstruct_module
from napari_hypermol.runs.compiling_ahead import compiling_ahead, is_compiled, parts_of
from small_runs import recovered

KNOWN = ["states", "solve", "normal", "noise", "maps"]
ALL = ["search", "solve", "normal", "noise", "maps", "guides", "steps", "states", "evidence"]
PATIENCE = 120  # [s]


@pytest.fixture
def nothing_compiled(tmp_path, monkeypatch):
    """As far as the cache folder tells."""
    monkeypatch.setenv("HYPERMOL_CACHE", str(tmp_path / "none"))


@pytest.fixture
def started(monkeypatch):
    """The parts that every helper is given; none is started."""
    parts = []

    def start(own):
        parts.append(own)
        return SimpleNamespace(stdin=SimpleNamespace(close=lambda: parts.append("ended")))

    monkeypatch.setattr(module, "start", start)
    return parts


def test_parts_are_those_that_a_run_needs():
    assert parts_of(moves_poses=True, is_search=True, device="cpu") == ALL
    assert parts_of(True, False, "cpu") == [*KNOWN[:-1], "guides", "steps", "maps"]
    assert parts_of(False, False, "cpu") == KNOWN
    assert parts_of(False, False, "cuda") == ["solve", "normal", "maps"]
    assert set(ALL) == set(module._PARTS)


@pytest.mark.parametrize(
    ("processors", "expected"),
    [
        (1, []),
        (2, [KNOWN[::-1]]),
        (3, [["maps", "normal", "states"], ["noise", "solve"]]),
        (64, [["maps", "solve"], ["noise", "states"], ["normal"]]),
    ],
)
def test_each_begins_with_what_is_needed_last(
    nothing_compiled, started, monkeypatch, processors, expected
):
    monkeypatch.setattr(module.numba, "get_num_threads", lambda: processors)
    with compiling_ahead(parts_of(False, False, "cpu")):
        assert started == expected
    assert started[len(expected) :] == ["ended"] * len(expected)


def test_what_is_compiled_is_left_alone(nothing_compiled, started, monkeypatch):
    monkeypatch.setattr(module.numba, "get_num_threads", lambda: 2)
    module.tell_compiled(["noise", "maps"])
    with compiling_ahead(["solve", "noise", "maps"]):
        pass
    module.tell_compiled()
    with compiling_ahead(ALL):
        pass
    assert started == [["solve"], "ended"]


def test_they_end_with_a_run_that_fails(nothing_compiled, started, monkeypatch):
    monkeypatch.setattr(module.numba, "get_num_threads", lambda: 2)
    with pytest.raises(ZeroDivisionError), compiling_ahead(["solve"]):
        raise ZeroDivisionError
    assert started[-1] == "ended"


def test_other_code_is_compiled_anew(nothing_compiled, monkeypatch):
    module.tell_compiled(["solve"])
    assert is_compiled("solve")
    monkeypatch.setattr(module, "__version__", "another")
    assert not is_compiled("solve")


def test_a_cache_folder_that_is_a_file_or_closed_tells_nothing(started, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HYPERMOL_CACHE", str(tmp_path / "file"))
    assert is_compiled("solve")
    monkeypatch.setenv("HYPERMOL_CACHE", str(tmp_path))
    assert not is_compiled("solve")
    monkeypatch.setattr(module.os, "access", lambda *asked: False)
    assert is_compiled("solve")


def test_without_a_cache_folder_nobody_helps(started, monkeypatch):
    """Or they would help every time."""

    def nowhere():
        raise RuntimeError("no home folder")

    monkeypatch.setattr(module, "cache_folder", nowhere)
    with compiling_ahead(ALL):
        module.tell_compiled(["solve"])
    assert started == []


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        (module.sys, "executable", ""),
        (module.sys, "frozen", True),
        (module.psutil, "virtual_memory", lambda: SimpleNamespace(available=2**29)),
    ],
)
def test_without_python_or_memory_nobody_helps(
    nothing_compiled, started, monkeypatch, where, name, value
):
    monkeypatch.setattr(module.numba, "get_num_threads", lambda: 2)
    monkeypatch.setattr(where, name, value, raising=False)
    with compiling_ahead(ALL):
        pass
    assert started == []


def test_a_helper_that_cannot_be_started_is_done_without(nothing_compiled, monkeypatch):
    def fails(parts):
        raise PermissionError

    monkeypatch.setattr(module.numba, "get_num_threads", lambda: 2)
    monkeypatch.setattr(module, "start", fails)
    with compiling_ahead(ALL):
        pass


def test_a_helper_tells_what_it_has_compiled(nothing_compiled):
    with module.start(["noise"]) as helper:
        assert helper.wait(PATIENCE) == 0
    assert is_compiled("noise")
    assert not is_compiled("solve")


def test_by_hand_it_goes_on_without_an_input(nothing_compiled):
    command = [sys.executable, "-m", module.__name__, "noise"]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True, timeout=PATIENCE)
    assert is_compiled("noise")


def test_a_helper_at_work_ends_when_nobody_wants_it(nothing_compiled):
    with module.start(ALL) as helper:
        helper.stdin.close()
        assert helper.wait(PATIENCE) == 0
    assert not is_compiled(ALL[-1])


@pytest.mark.parametrize("scheduler", [None, "tcp://nowhere"])
def test_runs_ask_for_what_they_need(tiny_run, tmp_path, monkeypatch, scheduler):
    """A run with a scheduler has workers of its own."""
    asked = []

    def no_more(parts):
        asked.append(parts)
        raise InterruptedError

    monkeypatch.setattr(reconstruct_module, "compiling_ahead", no_more)
    monkeypatch.setattr(reconstruct_module, "executor_at", no_more)
    with pytest.raises(InterruptedError):
        recovered(tiny_run.data, tmp_path / "run", scheduler=scheduler)
    assert asked == [KNOWN if scheduler is None else scheduler]


CODE = """
import sys
from pathlib import Path
from napari_hypermol.runs import compiling_ahead
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.reconstruct import reconstruct

def loops():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("napari_hypermol."):
            for value in vars(module).values():
                if hasattr(value, "py_func") and hasattr(value, "signatures"):
                    found[f"{value.py_func.__module__}.{value.py_func.__name__}"] = value
    return {name: len(loop.signatures) for name, loop in found.items()}

compiling_ahead.compile_parts()
ahead = loops()
data, out = map(Path, sys.argv[1:])
reconstruct(Job(data / "particles.star", out, data / "recipe.yaml", device="cpu"))
for name, n in loops().items():
    if n > ahead.get(name, 0):
        print(name)
"""
SMALL = {"napari_hypermol.io.statistics"}  # compiled in a second


def test_a_run_compiles_next_to_nothing_after_it(tiny_run, tmp_path):
    command = [sys.executable, "-c", CODE, str(tiny_run.data), str(tmp_path / "run")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    new = {name.rpartition(".")[0] for name in answer.stdout.split()}
    assert new <= SMALL, answer.stdout

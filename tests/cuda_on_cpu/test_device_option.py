"""``pytest --device cuda`` where there is no GPU, and which tests it adds where there is one."""

import subprocess
import sys
from pathlib import Path

import pytest

from napari_hypermol import backend

_FILE = str(Path(__file__).parents[1] / "imaging" / "test_shift.py")
_PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:pytest-qt", "-p", "no:napari"]


def test_a_gpu_that_is_not_there_is_said_in_one_sentence():
    if backend.is_gpu_available():
        pytest.skip("there is a GPU")
    command = [*_PYTEST, "--device", "cuda", "--collect-only", _FILE]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == pytest.ExitCode.USAGE_ERROR
    said = answer.stderr.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("ERROR: --device cuda: no CUDA device was found;")


class _Function:
    """A test that asks for `cupy`, as `pytest_generate_tests` sees it."""

    fixturenames = ("cupy",)

    def __init__(self, device):
        self.config = self
        self._device = device

    def getoption(self, name):
        assert name == "--device"
        return self._device

    def parametrize(self, name, values, indirect):
        assert (name, indirect) == ("cupy", True)
        self.values = values


def test_tests_run_on_both_where_there_is_one(request):
    plugins = request.config.pluginmanager.get_plugins()
    conftest = next(p for p in plugins if getattr(p, "__file__", "") == _CONFTEST)
    alone, both = _Function("cpu"), _Function("cuda")
    conftest.pytest_generate_tests(alone)
    conftest.pytest_generate_tests(both)
    assert alone.values == ["pretend"]
    assert both.values[0] == "pretend"
    assert both.values[1].values == ("cuda",)
    assert [mark.name for mark in both.values[1].marks] == ["gpu"]


_CONFTEST = str(Path(__file__).parents[1] / "conftest.py")

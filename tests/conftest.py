"""What all tests share: a screen, real data, a seeded random generator.

Not here: fixtures of one folder, which live in that folder's conftest.
"""

import faulthandler
import importlib
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

from cuda_on_cpu import compiled
from cuda_on_cpu.pretend import PretendCupy
from napari_hypermol import backend
from napari_hypermol.runs import compiling_ahead
from small_runs import BRIEF, MIXED, PRETZEL, SmallRun, recovered, simulated

# Loaded below and not by pytest (tox says "-p no:..."), for a session that lives without Qt.
QT_PLUGINS = {"pytest-qt": "pytestqt.plugin", "napari": "napari.utils._testsupport"}
SCREEN_PATIENCE = 20  # [s] for Xvfb to come up; it takes about 0.2 on an idle machine

os.environ["NAPARI_CONFIG"] = ""  # napari then neither reads nor writes the user's settings


class Screen:
    """An X server without a monitor, for machines that have no display.

    Qt's own "offscreen" platform is no substitute: napari draws with OpenGL, which it lacks.
    """

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Make sure there is a display; return why there is none, or an empty string."""
        if sys.platform != "linux" or os.environ.get("DISPLAY"):
            return ""
        reader, writer = os.pipe()
        command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1280x1024x24"]
        try:
            self._server = subprocess.Popen(
                [*command, "-nolisten", "tcp"],
                pass_fds=[writer],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except FileNotFoundError:
            return "there is no display, and Xvfb is not installed (Debian: apt-get install xvfb)"
        finally:
            os.close(writer)
        with open(reader, "rb") as numbers:
            is_up = select.select([numbers], [], [], SCREEN_PATIENCE)[0]
            number = numbers.readline().decode().strip() if is_up else ""
        if not number:
            self.stop()
            return "there is no display, and Xvfb did not start"
        os.environ["DISPLAY"] = f":{number}"
        os.environ["QT_QPA_PLATFORM"] = "xcb"
        return ""

    def stop(self) -> None:
        """End the server that `start` started, if it did."""
        if self._server is not None:
            self._server.terminate()
            self._server.wait()


def _missing_qt() -> str:
    """Why Qt or napari cannot be loaded, or an empty string."""
    try:
        importlib.import_module("qtpy.QtWidgets")
        for plugin in QT_PLUGINS.values():
            importlib.import_module(plugin)
    except ImportError as reason:  # qtpy's own errors are ImportErrors too
        return f"Qt or napari cannot be loaded: {reason}"
    return ""


_screen = Screen()
NO_QT = _missing_qt()
NO_WINDOW = NO_QT or _screen.start()
collect_ignore = ["plugin"] if NO_QT else []


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add `--device`; bring the plugins that load Qt, which would end a session without Qt."""
    parser.addoption(
        "--device",
        choices=["cpu", "cuda"],
        default="cpu",
        help="cuda: what is written for a GPU is tested on it too, not on the pretended one alone",
    )
    for name, plugin in QT_PLUGINS.items():
        if not NO_QT and not pluginmanager.has_plugin(name):
            pluginmanager.import_plugin(plugin)


def pytest_report_header() -> str:
    """Say at the top what the machine cannot test."""
    return f"no window: {NO_WINDOW}" if NO_WINDOW else f"display: {os.environ.get('DISPLAY', '')}"


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a device that is not there, and share the processors among a session's workers.

    Threads that wait cost time too.
    """
    if config.getoption("--device") == "cuda" and not backend.is_gpu_available():
        raise pytest.UsageError(
            "--device cuda: no CUDA device was found; leave it out, or install "
            "napari-hypermol[gpu] on a machine with one"
        )
    if config.getoption("--device") == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # runs take a GPU where they find one
    if getattr(config.option, "numprocesses", None) and not config.option.collectonly:
        _compile_together()
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    numba.set_num_threads(max(1, numba.config.NUMBA_NUM_THREADS // workers))


def _compile_together() -> None:
    """Before there are workers, compile what most of their tests need, which else each would do.

    It takes seconds where it has been done.
    """
    parts = compiling_ahead.parts_of(moves_poses=True, is_search=True, device="cpu")
    half = len(parts) // 2
    with tempfile.TemporaryDirectory() as cache, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERMOL_CACHE", cache)
        helpers = [compiling_ahead.start(parts[:half]), compiling_ahead.start(parts[half:])]
        for helper in helpers:
            helper.wait()
            helper.stdin.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that ask for `cupy` get the pretended one, and the real one with ``--device cuda``."""
    if "cupy" in metafunc.fixturenames:
        has_gpu = metafunc.config.getoption("--device") == "cuda"
        real = [pytest.param("cuda", marks=pytest.mark.gpu)] if has_gpu else []
        metafunc.parametrize("cupy", ["pretend", *real], indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests go first, so that no worker ends long after the others.

    Slow ones that open windows go last: by then the code of the runs they wait for is compiled.
    They are skipped where no window can be opened.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    windows = {item.path for item in items if item.get_closest_marker("qt")}
    items.sort(key=lambda item: (item.path in slow & windows, item.path not in slow))
    if NO_WINDOW:
        for item in items:
            if item.get_closest_marker("qt"):
                item.add_marker(pytest.mark.skip(reason=NO_WINDOW))


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """What hangs while a failed test is cleaned up ends too: pytest has just put its clock away."""
    if patience := float(node.config.getini("faulthandler_timeout") or 0):
        stderr = node.config.stash[fault_handler_stderr_fd_key]
        faulthandler.dump_traceback_later(patience, file=stderr, exit=True)


def pytest_unconfigure() -> None:
    """Put the screen away."""
    _screen.stop()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tables are kept for this session only, away from the user's cache.

    Runs start no processes to compile ahead: what they need others have compiled, or will.
    """
    os.environ["HYPERMOL_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    compiling_ahead.tell_compiled()


@pytest.fixture
def rng() -> np.random.Generator:
    """A random generator, the same in every test."""
    return np.random.default_rng(20200324)


def forget_device_code() -> None:
    """Device code is compiled anew when it is called: for another device, or edited."""
    backend.device_function.cache_clear()
    backend.device_module.cache_clear()


@pytest.fixture
def cupy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of arrays on a device: CuPy, or what pretends to be it."""
    if request.param == "pretend":
        monkeypatch.setattr(backend, "cupy", PretendCupy())
        monkeypatch.setattr(backend, "cupy_special", backend.cupy.special)
    forget_device_code()
    yield backend.cupy
    forget_device_code()


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendCupy]:
    """A pretended device, for what only such a one can show."""
    if compiled.WHY_NOT:
        pytest.skip(compiled.WHY_NOT)
    forget_device_code()
    monkeypatch.setattr(backend, "cupy", PretendCupy())
    yield backend.cupy
    forget_device_code()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with files of other programs; a test that needs it is skipped where it is absent."""
    beside_checkout = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HYPERMOL_TEST_DATA") or beside_checkout)
    if not folder.is_dir():
        pytest.skip(f"no test data in {folder}: set HYPERMOL_TEST_DATA to the folder that has it")
    return folder


@pytest.fixture(scope="session")
def pretzel_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """A pretzel at high SNR, recovered with the automatic schedule; do not change it."""
    folder = tmp_path_factory.mktemp("pretzel")
    return recovered(simulated(folder / "data", PRETZEL), folder / "run")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """Sixty particles and five sweeps: for what does not depend on quality; do not change it."""
    folder = tmp_path_factory.mktemp("tiny")
    return recovered(simulated(folder / "data", schedule=BRIEF), folder / "run")


@pytest.fixture(scope="session")
def mixed_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """As brief, with a state of every kind; do not change it."""
    folder = tmp_path_factory.mktemp("mixed")
    data = simulated(folder / "data", components=MIXED, schedule=BRIEF)
    return recovered(data, folder / "run")
